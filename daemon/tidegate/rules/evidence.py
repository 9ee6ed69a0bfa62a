"""Which log lines stand behind an alert, as a KQL query.

An alert over a log metric is about the lines that the metric counted, narrowed to the alert's own labels. Any other alert
of a service is about that service's error lines. The annotation `log_query` says otherwise.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from tidegate.model import labels, rules
from tidegate.rules import logrules

ANNOTATION = "log_query"
SERVICE = "service"
ERRORS = "log.level:(error or critical or fatal)"
_CUT = re.compile("\u2026 [0-9a-f]{8}\\Z")
"""A value that was too long for a label ends like this."""
_WORDS = re.compile(r"\w")


class Evidence:
    """Knows the loaded log metrics and detectors."""

    def __init__(self, ruleset: rules.RuleSet) -> None:
        self._metrics = {name: metric for metric in ruleset.log_metrics for name in metric.series}
        self._detectors = {one.name: one for one in ruleset.log_detectors}

    def query(self, names: Iterable[str], of: labels.Labels) -> str:
        """The KQL for an alert of an expression over these metric names; empty when nothing is known."""
        for name in sorted(names):
            base = name.rpartition(":")[0]
            found = (
                self._metrics.get(name) or self._metrics.get(f"{base}{logrules.COUNTER}") or self._detectors.get(base)
            )
            if found is not None:
                narrowed = [f"{field}:{quoted(value)}" for label, field in found.by if (value := labels.get(of, label))]
                if isinstance(found, rules.LogDetector):
                    narrowed += _named(found, labels.get(of, found.label) if found.label else "")
                return " and ".join([*[f"({found.query})"][: bool(found.query)], *narrowed])
        service = labels.get(of, SERVICE)
        return f"service.name:{quoted(service)} and {ERRORS}" if service else ""


def _named(detector: rules.LogDetector, value: str) -> Iterator[str]:
    """Conditions for the value that an alert is about; of a template, each run of words that its lines share."""
    whole = not _CUT.search(value)
    if value and detector.kind != "new_template":
        yield f"{detector.field}:{quoted(value)}" if whole else f"{detector.field}:*"
    elif value:
        known = value if whole else value[: value.rfind(" ", 0, value.rfind("\u2026"))]
        runs = [" ".join(run).strip() for masked, run in itertools.groupby(known.split(), _masked) if not masked]
        yield from (f"{detector.field}:{quoted(run)}" for run in runs if _WORDS.search(run))


def _masked(word: str) -> bool:
    return "<*>" in word


def quoted(value: str) -> str:
    """A KQL phrase."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
