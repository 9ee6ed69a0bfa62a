"""Which log lines stand behind an alert, as a KQL query.

An alert over a log metric is about the lines that the metric counted, narrowed to the alert's own labels. Any other alert
of a service is about that service's error lines. The annotation `log_query` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidegate.model import labels, rules

ANNOTATION = "log_query"
SERVICE = "service"
ERRORS = "log.level:(error or critical or fatal)"


class Evidence:
    """Knows the loaded log metrics."""

    def __init__(self, metrics: Sequence[rules.LogMetric]) -> None:
        self._metrics = {metric.name: metric for metric in metrics}

    def query(self, names: Iterable[str], of: labels.Labels) -> str:
        """The KQL for an alert of an expression over these metric names; empty when nothing is known."""
        for name in sorted(names):
            metric = self._metrics.get(name)
            if metric is not None:
                narrowed = [
                    f"{field}:{quoted(value)}" for label, field in metric.by if (value := labels.get(of, label))
                ]
                return " and ".join([f"({metric.query})", *narrowed])
        service = labels.get(of, SERVICE)
        return f"service.name:{quoted(service)} and {ERRORS}" if service else ""


def quoted(value: str) -> str:
    """A KQL phrase."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
