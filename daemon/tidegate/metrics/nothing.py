"""A store without series: for whoever checks expressions and evaluates none."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.metrics import columns
from tidegate.model import alerts


class Nothing:
    """Implements `columns.SeriesReader`."""

    def __init__(self) -> None:
        self._pool = columns.StringPool()

    @property
    def pool(self) -> columns.StringPool:
        """See `columns.SeriesReader`."""
        return self._pool

    def select(
        self,
        matchers: Sequence[alerts.Matcher],  # noqa: ARG002
        start_ms: int,  # noqa: ARG002
        end_ms: int,  # noqa: ARG002
        most: int | None = None,  # noqa: ARG002
    ) -> columns.Selection:
        """Nothing, whatever is asked."""
        return columns.Selection(columns.frame(self._pool, ()), ())
