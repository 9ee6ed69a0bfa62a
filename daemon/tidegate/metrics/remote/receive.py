"""Takes in what others push by remote write, and stores it beside what is scraped.

Each series is ordered by itself, as in Prometheus, whatever others of its `job` and `instance` do. What cannot be stored is
counted by reason and told to the sender once; the rest of the message is stored. Which table a series goes to is the
business of `lanes`.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Iterator

import numpy as np

from tidegate.kit import telemetry
from tidegate.metrics import store as store_
from tidegate.metrics import table as table_
from tidegate.metrics.remote import lanes, wire
from tidegate.model import labels as labels_
from tidegate.model import ports, problems, series

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
FASTER = 0.9
"""Rows that come faster than this part of what was thought need a longer ring."""
LOOK, GONE = 300.0, 3600.0
"""Seconds: how often senders that went away are looked for, and for how long one may be silent."""
AHEAD = 600.0
"""Seconds: samples further in the future are refused, as from a scrape."""
KNOWN = 500_000
"""Series whose bytes are remembered."""
METRICS = 50_000
"""Metrics whose type, help and unit are remembered."""
MILLISECONDS = 1000


@dataclasses.dataclass(slots=True)
class _Place:
    """Where a series goes."""

    table: table_.Table
    column: int
    epoch: int


class _Rows:
    """Samples of one table, to be stored together."""

    def __init__(self, table: table_.Table) -> None:
        self.table = table
        self.number = 0
        self._rows: dict[int, tuple[list[int], list[int]]] = {}

    def put(self, column: int, samples: list[tuple[int, int]]) -> None:
        """Samples of one series: (milliseconds, bits)."""
        self.number += len(samples)
        for at_ms, bits in samples:
            columns, values = self._rows.get(at_ms) or self._rows.setdefault(at_ms, ([], []))
            columns.append(column)
            values.append(bits)

    def sorted(self) -> list[table_.Row]:
        """In order of time."""
        return [
            (at_ms, np.array(columns, np.int32), np.array(bits, np.int64).view(np.float64))
            for at_ms, (columns, bits) in sorted(self._rows.items())
        ]


class Receiver:
    """Implements `ports.WriteReceiver`."""

    def __init__(self, store: store_.Store, clock: ports.Clock, registry: telemetry.Registry) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._known: dict[str, dict[bytes, _Place]] = {V1: {}, V2: {}}
        self._lanes = lanes.Lanes(store)
        self._look_at = 0.0
        self._told: dict[str, series.Metadata] = {}
        self._samples = telemetry.Counter(
            "tidegate_remote_write_received_samples", "Samples stored from remote write.", registry=registry
        )
        self._dropped = telemetry.Counter(
            "tidegate_remote_write_received_dropped",
            "Samples, histograms and exemplars from remote write that were not stored.",
            ["reason"],
            registry=registry,
        )
        self._exemplars = self._dropped.labels("exemplar")

    def write(self, body: bytes, message: str) -> ports.Written:
        """See `ports.WriteReceiver`."""
        plain = wire.unpacked(body)
        with self._lock:
            self._rest()
            if message == V2:
                named, incoming = wire.version_2(plain)
                return self._store_all(incoming, named)
            for said in wire.metadata_1(plain):
                self._tell(said)
            return self._store_all(wire.version_1(plain, self._known[V1]), wire.Named1())

    def told(self, metric: str = "") -> Iterator[series.Metadata]:
        """See `ports.WriteReceiver`."""
        found = (self._told.get(metric),) if metric else tuple(self._told.values())
        return (said for said in found if said is not None)

    def _store_all(self, incoming: Iterable[wire.Incoming], named: wire.Named) -> ports.Written:
        tables: dict[str, _Rows] = {}
        wrong: dict[str, int] = {}
        exemplars = 0
        latest = round((self._clock.now() + AHEAD) * MILLISECONDS)
        for one in incoming:
            _count(wrong, "native_histogram", one.histograms)
            exemplars += one.exemplars
            samples = one.samples
            if samples and (len(samples) > 1 or samples[0][0] > latest):
                samples = [(at_ms, bits) for at_ms, bits in samples if at_ms <= latest]
                _count(wrong, "out_of_bounds", len(one.samples) - len(samples))
            if not samples:
                continue
            try:
                place = self._place(one, named, samples[-1][0])
            except problems.PermanentError as error:
                _count(wrong, error.reason, len(samples))
                continue
            rows = tables.get(place.table.key) or tables.setdefault(place.table.key, _Rows(place.table))
            rows.put(place.column, samples)
        stored = sum(self._fill(rows, wrong) for rows in tables.values())
        self._lanes.stored()
        self._exemplars.inc(exemplars)
        self._samples.inc(stored)
        for reason, number in wrong.items():
            self._dropped.labels(reason).inc(number)
        return ports.Written(stored, tuple(sorted(wrong.items())))

    def _fill(self, rows: _Rows, wrong: dict[str, int]) -> int:
        """Store the samples of one table; how many were."""
        outcome = rows.table.fill(rows.sorted())
        _count(wrong, "duplicate", outcome.duplicates)
        _count(wrong, "out_of_order", outcome.late)
        pace = rows.table.pace()
        if 0 < pace < rows.table.interval * FASTER:
            self._store.own_table(rows.table.key, pace)
        return rows.number - outcome.duplicates - outcome.late

    def _place(self, one: wire.Incoming, named: wire.Named, newest_ms: int) -> _Place:
        """Where a series goes. Raises `PermanentError` (`labels`, `series_limit`, `protobuf`)."""
        key = named.key(one.key)
        known = self._known[V2 if isinstance(named, wire.Named2) else V1]
        found = known.get(key)
        if found is None or found.epoch != found.table.epoch or found.table.dropped_since is not None:
            labels = named.labels(one.key)
            found = self._new(labels, newest_ms)
            if isinstance(named, wire.Named2) and one.told:
                self._tell(named.metadata(labels, one.told))
            if len(known) >= KNOWN:
                known.clear()
            known[key] = found
        return found

    def _new(self, labels: labels_.Labels, newest_ms: int) -> _Place:
        if not labels_.get(labels, labels_.NAME):
            raise problems.PermanentError("a series without a metric name", reason="labels")
        table = self._lanes.choose(labels, newest_ms).table
        return _Place(table, table.column(labels), table.epoch)

    def _tell(self, said: series.Metadata) -> None:
        """Remember what is said of a metric."""
        if said.name in self._told or len(self._told) < METRICS:
            self._told[said.name] = said
        else:
            self._dropped.labels("metadata").inc()

    def _rest(self) -> None:
        """Let the store give up the tables of senders that went away."""
        now = self._clock.now()
        if now < self._look_at:
            return
        self._look_at = now + LOOK
        for one in self._store.tables():
            silent = one.ring.last_time < (now - GONE) * MILLISECONDS
            if silent and one.dropped_since is None and one.key.startswith(lanes.PREFIX):
                self._store.drop(one.key)


def _count(counts: dict[str, int], reason: str, number: int) -> None:
    if number:
        counts[reason] = counts.get(reason, 0) + number
