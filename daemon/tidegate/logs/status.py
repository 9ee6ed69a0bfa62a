"""How the shipper is doing: a status for each file and output, and the gauges of lag and errors. Only looks."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.logs.read import lookout, saving
from tidegate.logs.ship import delivery, fanout, instruments
from tidegate.model import ports

LETTERS = "dead letters"
"""What the dead-letter file is called among the outputs."""


class Status:
    """What can be told of one shipper at any time."""

    def __init__(
        self,
        looks: lookout.Lookout,
        saver: saving.Saver,
        deliveries: delivery.Delivery,
        outputs: fanout.Fanout,
        clock: ports.Clock,
        metrics: instruments.Instruments,
    ) -> None:
        self._looks = looks
        self._saver = saver
        self._delivery = deliveries
        self._outputs = outputs
        self._clock = clock
        self._metrics = metrics

    def streams(self) -> Sequence[ports.StreamStatus]:
        """One status for each file, and one for each output."""
        followed = list(self._looks.roster.statuses(self._clock.now()))
        ours = self._delivery.error or self._saver.error
        lag = max((each.lag_seconds for each in followed), default=0.0)
        total = sum(each.lag_bytes for each in followed)
        lines = self._delivery.lines
        outputs = [
            ports.StreamStatus(name, "output", total, lag, lines, error or ours)
            for name, error in self._outputs.errors()
        ]
        return [*followed, *outputs]

    def lag(self) -> float:
        """Seconds since the oldest line was written that is not stored yet."""
        now = self._clock.now()
        return max((watched.lag_seconds(now) for watched in self._looks.roster.watched.values()), default=0.0)

    def measure(self) -> None:
        """Set the gauges."""
        self._measure_lag()
        roster = self._looks.roster
        self._metrics.files.set(len(roster.watched))
        self._metrics.open_files.set(roster.opened)
        for name, error in (*self._outputs.errors(), (LETTERS, self._delivery.error)):
            self._metrics.output_error.labels(name).set(bool(error))

    def _measure_lag(self) -> None:
        now = self._clock.now()
        sizes: dict[str, int] = {each.dataset: 0 for each in self._looks.inputs}
        seconds: dict[str, float] = dict.fromkeys(sizes, 0.0)
        for watched in self._looks.roster.watched.values():
            dataset = watched.source.input.dataset
            sizes[dataset] = sizes.get(dataset, 0) + watched.lag_bytes
            seconds[dataset] = max(seconds.get(dataset, 0.0), watched.lag_seconds(now))
        for dataset, size in sizes.items():
            self._metrics.lag_bytes.labels(dataset).set(size)
            self._metrics.lag_seconds.labels(dataset).set(seconds[dataset])
