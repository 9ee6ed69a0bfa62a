"""From a series as a target exposes it to the series that is stored: the target's labels, relabelling, limits on labels.

Decided once for each series text, not for each sample. What is beyond a limit fails the whole scrape, as in Prometheus
(`scrape/scrape.go`), and says which series it was.
"""

from __future__ import annotations

from tidegate.kit import relabel
from tidegate.model import labels as labels_
from tidegate.model import problems, targets

SHOWN = 50


class Naming:
    """Names the series of one target."""

    def __init__(self, target: targets.Target) -> None:
        """Raises `ValueError` for a relabelling step that makes no sense."""
        self._target = target
        self._relabelling = relabel.Relabelling(target.relabel)

    def stored(self, exposed: labels_.Labels) -> labels_.Labels | None:
        """The series that is stored; None when relabelling drops it. Raises `TransientError` when it is beyond a limit."""
        merged = joined(exposed, self._target)
        if self._relabelling and (not self._relabelling.apply(merged) or not merged):
            return None
        name = merged.get(labels_.NAME, "")
        if not name:
            raise problems.TransientError("a series has no metric name after metric_relabel_configs", reason="relabel")
        self._check(name, merged)
        return labels_.make(merged)

    def _check(self, metric: str, merged: dict[str, str]) -> None:
        limits, shown = self._target.limits, metric[:SHOWN]
        if limits.labels and len(merged) > limits.labels:
            raise _beyond("label_limit", f"metric: {shown}, number of labels: {len(merged)}, limit: {limits.labels}")
        if limits.name_length or limits.value_length:
            for name, value in merged.items():
                self._check_lengths(shown, name, value)
        if self._target.legacy_names:
            self._check_names(metric, merged)

    def _check_lengths(self, metric: str, name: str, value: str) -> None:
        limits, size = self._target.limits, len(name.encode())
        if 0 < limits.name_length < size:
            where = f"metric: {metric}, label name: {name[:SHOWN]}, length: {size}, limit: {limits.name_length}"
            raise _beyond("label_name_length_limit", where)
        size = len(value.encode())
        if 0 < limits.value_length < size:
            where = f"metric: {metric}, label name: {name[:SHOWN]}, value: {value[:SHOWN]!r}, length: {size}"
            raise _beyond("label_value_length_limit", f"{where}, limit: {limits.value_length}")

    def _check_names(self, metric: str, merged: dict[str, str]) -> None:
        odd = [name for name in merged if not relabel.classic_name(name)]
        if odd or not relabel.classic_name(metric.replace(":", "_")):
            wrong = f"label name {odd[0]!r}" if odd else f"metric name {metric!r}"
            why = f"{wrong} is not a classic one (metric_name_validation_scheme: legacy)"
            raise problems.TransientError(why, reason="names")


def _beyond(limit: str, where: str) -> problems.TransientError:
    return problems.TransientError(f"{limit} exceeded ({where})", reason=limit)


def joined(exposed: labels_.Labels, target: targets.Target) -> dict[str, str]:
    """A series' labels with its target's: on a clash the exposed one becomes `exported_<label>`, or wins with honor_labels."""
    merged = dict(target.labels)
    for name, value in exposed:
        if name not in merged or target.honor_labels:
            merged[name] = value  # an empty one takes the target's away
            continue
        if not value:
            continue
        renamed = f"exported_{name}"
        while renamed in merged or any(other == renamed for other, _ in exposed):
            renamed = f"exported_{renamed}"
        merged[renamed] = value
    return {name: value for name, value in merged.items() if value}
