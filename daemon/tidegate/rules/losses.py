"""Which alerts cannot be judged because the target they speak of does not answer.

An alert speaks of the target whose `job` and `instance` it carries, or, without `instance`, of all targets of its `job`,
which are lost when every one of them fails. One without `job` is never taken for lost: nothing sound can be said of it.
A target that is gone from discovery is not lost, and neither are series that a failed scrape writes (`up`, `scrape_*`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from tidegate.model import labels as labels_
from tidegate.model import targets

Lost = Callable[[labels_.Labels], bool]
_ALWAYS = ("up", "ALERTS", "ALERTS_FOR_STATE")


def never(of: labels_.Labels) -> bool:  # noqa: ARG001 - one signature for all
    """For those who do not want alerts to be kept."""
    return False


def can_be_lost(names: Collection[str]) -> bool:
    """Whether an expression over these metrics loses series when a scrape fails; of no names nothing is known."""
    return not names or any(name not in _ALWAYS and not name.startswith("scrape_") for name in names)


class Losses:
    """What fails at one moment; looks at the targets when first asked."""

    def __init__(self, statuses: Callable[[], Sequence[targets.TargetStatus]]) -> None:
        self._statuses = statuses
        self._failing: dict[tuple[str, str], bool] | None = None
        """Job and instance (empty: the whole job), and whether all targets of them fail."""

    def __call__(self, of: labels_.Labels) -> bool:
        """Whether the alert with these labels speaks of targets that all fail."""
        if self._failing is None:
            self._failing = _failing(self._statuses())
        job = labels_.get(of, "job")
        return bool(job) and self._failing.get((job, labels_.get(of, "instance")), False)


def _failing(statuses: Sequence[targets.TargetStatus]) -> dict[tuple[str, str], bool]:
    found: dict[tuple[str, str], bool] = {}
    for status in statuses:
        down = status.health == "down"
        job = labels_.get(status.target.labels, "job")
        for key in {(job, labels_.get(status.target.labels, "instance")), (job, "")}:
            found[key] = found.get(key, True) and down
    return found
