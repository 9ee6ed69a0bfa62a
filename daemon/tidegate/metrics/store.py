"""The sample store: every table, one string pool, and the answer to a selector.

Tables are folders of memory-mapped files, so a killed process comes back with its windows. Files that are torn or not
ours are set aside with a message. Readers may come from any thread: what is found is decided under a lock, and
`Selection.intact` tells whether what was read was overwritten meanwhile. PromQL is not known here.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import pathlib
import shutil
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from tidegate.kit import telemetry
from tidegate.metrics import columns, directory, ring
from tidegate.metrics import table as table_
from tidegate.model import alerts, ports, problems, series
from tidegate.model import labels as labels_


class Store:
    """Implements `ports.SampleStore` and `columns.SeriesReader`."""

    def __init__(
        self,
        folder: pathlib.Path,
        clock: ports.Clock,
        registry: telemetry.Registry,
        *,
        retention: float = 3600.0,
        series_limit: int = 2_000_000,
        keep: Literal["rules", "all"] = "all",
    ) -> None:
        """Open the folder and everything in it. Raises `FatalError` when it cannot be used."""
        self._folder, self._clock = folder, clock
        self._log = telemetry.logger("store")
        self._lock = threading.RLock()
        self._pool = columns.StringPool()
        self._directory = directory.Directory(self._pool)
        self._tables: dict[str, table_.Table] = {}
        self._retention, self._limit = retention, series_limit
        self._series = 0
        self._need: Mapping[str, float] = {}
        self._keep = keep
        self._instruments(registry)
        self._short: set[str] = set()
        """Tables that keep less history than is read of them."""
        self._told = False
        """Whether somebody was told that the disk refuses, since the last sweep."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._unlock = weakref.finalize(self, os.close, _locked(folder / "lock"))
            for path in sorted(folder.iterdir()):
                if path.is_dir() and ".bad-" not in path.name:
                    self._open(path)
        except OSError as error:
            raise problems.FatalError(f"cannot use the sample store {folder}: {error}") from error

    @property
    def pool(self) -> columns.StringPool:
        """See `columns.SeriesReader`."""
        return self._pool

    @property
    def series_count(self) -> int:
        """Series in all tables."""
        return self._series

    @property
    def size(self) -> int:
        """Bytes of all rings."""
        with self._lock:
            return sum(one.ring.size for one in self._tables.values())

    def table(self, key: str, interval: float) -> ports.SampleTable:
        """See `ports.SampleStore`. Raises `FatalError` when the disk refuses."""
        return self.own_table(key, interval)

    def own_table(self, key: str, interval: float) -> table_.Table:
        """The same, for those inside this stage, who may fill rows."""
        with self._lock:
            found = self._tables.get(key)
            if found is None:
                found = self._make(key, interval)
            found.interval = interval
            found.dropped_since = None
            self._keep_enough(found)
            return found

    def tables(self) -> list[table_.Table]:
        """All tables, as they are now."""
        with self._lock:
            return list(self._tables.values())

    def interval(self, key: str) -> float:
        """Seconds between the rows of a table; 0 when there is none."""
        with self._lock:
            return self._tables[key].interval if key in self._tables else 0.0

    def drop(self, key: str) -> None:
        """See `ports.SampleStore`."""
        with self._lock:
            if key in self._tables:
                self._tables[key].dropped_since = self._clock.now()

    def need(self, lookbacks: Mapping[str, float]) -> None:
        """How far back (seconds) each metric name is read by what is loaded now."""
        with self._lock:
            self._need = dict(lookbacks)
            for one in self._tables.values():
                self._keep_enough(one)

    def sweep(self) -> None:
        """Give back what nobody can read any more: dead series, and tables whose source is long gone."""
        with self._lock:
            self._told = False
            for key, one in list(self._tables.items()):
                self._keep_enough(one)
                self._swept.inc(one.sweep())
                one.ring.rest()
                if self._expired(one):
                    self._remove(key)
            self._sweep_texts()

    def _sweep_texts(self) -> None:
        used = np.zeros(len(self._pool.texts) + 1024, np.bool_)  # queries in threads may add some meanwhile
        for one in self._tables.values():
            one.index.mark(used)
        if self._pool.sweep(used):
            self._directory.forget()

    def select(
        self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int, most: int | None = None
    ) -> columns.Selection:
        """See `columns.SeriesReader`."""
        with self._lock:
            plan = [
                (wanted, one.ring, *one.ring.span(start_ms, end_ms), one.gap_row)
                for one, wanted in self._directory.find(tuple(matchers))
            ]
            cells = sum(len(wanted) * (end - first) for wanted, _, first, end, _ in plan)
            if most is not None and cells > most:
                raise columns.TooManyError(cells)
            frame = self._directory.frame(tuple(matchers))
        blocks, gone, start = [], [], 0
        for wanted, data, first, end, gap_row in plan:
            # A series whose first row was not written yet has no cells.
            shown = len(wanted) if int(wanted[-1]) < data.columns else int(np.searchsorted(wanted, data.columns))
            block, kept = _block(data, wanted[:shown], first, end, gap_row)
            if block is not None:
                blocks.append(block)
            if block is None or kept is not None or shown < len(wanted):
                there = np.zeros(len(wanted), np.bool_)
                there[:shown] = block is not None if kept is None else kept
                gone.append(start + np.flatnonzero(~there))
            start += len(wanted)
        if gone:
            rows = np.delete(np.arange(len(frame)), np.concatenate(gone))
            frame = directory.used(columns.LabelFrame(self._pool, frame.names, frame.codes[rows]))
        held = [(data, first) for _, data, first, end, _ in plan if end > first]
        return columns.Selection(frame, tuple(blocks), lambda: all(data.intact(first) for data, first in held))

    def labels(self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int) -> list[labels_.Labels]:
        """Label sets of the series that match and have a sample in (start_ms, end_ms]."""
        found = self.select(matchers, start_ms, end_ms)
        return [found.labels.labels(row) for row in range(len(found.labels))]

    def label_names(self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int) -> list[str]:
        """Names of the labels that the series of `labels` have."""
        return list(self.select(matchers, start_ms, end_ms).labels.names)

    def label_values(self, name: str, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int) -> list[str]:
        """Distinct values that the series of `labels` have for one label."""
        found = self.select(matchers, start_ms, end_ms).labels
        if name not in found.names:
            return []
        codes = np.unique(found.codes[:, found.names.index(name)])
        return [self._pool.texts[code] for code in codes.tolist() if code]

    def span(self) -> tuple[int, int]:
        """Times (milliseconds) of the oldest and the newest sample; zeros without any."""
        with self._lock:
            times = [one.ring.row_times(one.ring.first, one.ring.rows) for one in self._tables.values()]
        ends = [(int(each[0]), int(each[-1])) for each in times if each.size]
        return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else (0, 0)

    def close(self) -> None:
        """Hand everything to the disk."""
        with self._lock:
            for one in self._tables.values():
                one.close()
            self._unlock()

    def _history(self, one: table_.Table) -> float:
        base = self._retention if self._keep == "all" else 0.0
        return max([base, 300.0, *(self._need.get(name, 0.0) for name in one.names())])

    def _keep_enough(self, one: table_.Table) -> None:
        if one.want(self._history(one)):
            self._short.discard(one.key)
        elif one.key not in self._short:
            self._short.add(one.key)
            most = table_.MOST_SLOTS * one.interval
            self._log.warning("rules look further back than the store can keep", table=one.key, seconds=most)

    def _admit(self, number: int) -> None:
        if number > 0 and self._series + number > self._limit:
            self._refused.inc(number)
            raise table_.refused(self._limit)
        self._series += number

    def _make(self, key: str, interval: float) -> table_.Table:
        path = self._folder / hashlib.sha256(key.encode()).hexdigest()[:20]
        slots = int(self._retention / max(interval, 0.001)) + ring.SPARE + 2 if self._keep == "all" else 0
        try:
            table_.Table.create(path, key, interval, min(max(slots, table_.FEWEST_SLOTS), table_.MOST_SLOTS))
            return self._adopt(table_.Table(path, self._pool, self._drop_row, self._lock))
        except OSError as error:
            raise problems.FatalError(f"cannot make a table in the sample store: {error}") from error

    def _open(self, path: pathlib.Path) -> None:
        if path.name.endswith(table_.HALF):
            shutil.rmtree(path)
            return
        try:
            one = table_.Table(path, self._pool, self._drop_row, self._lock)
            if one.key in self._tables:
                raise ring.TornError(f"{self._tables[one.key].folder.name} is of the same source")
        except Exception as error:  # noqa: BLE001 - whatever a foreign file makes of us
            self._set_aside(path, error)
            return
        if one.ring.damaged or one.orphans:
            self._rows_dropped.labels("damaged").inc(one.ring.damaged)
            self._orphans.inc(one.orphans)
            self._log.error("samples were damaged", path=str(path), rows=one.ring.damaged, series=one.orphans)
        self._adopt(one).dropped_since = self._clock.now()

    def _set_aside(self, path: pathlib.Path, error: Exception) -> None:
        number = 1
        while (aside := path.with_name(f"{path.name}.bad-{number}")).exists():
            number += 1
        path.rename(aside)
        self._torn.inc()
        self._log.error("set aside a damaged table", path=str(aside), reason=f"{error}")

    def _adopt(self, one: table_.Table) -> table_.Table:
        self._series += one.size
        one.admit = self._admit
        one.came = functools.partial(self._directory.came, one)
        one.swept = lambda: self._directory.put(one, one.names())
        self._tables[one.key] = one
        self._directory.put(one, one.names())
        return one

    def _expired(self, one: table_.Table) -> bool:
        return one.dropped_since is not None and self._clock.now() - one.dropped_since > self._history(one)

    def _remove(self, key: str) -> None:
        one = self._tables.pop(key)
        self._short.discard(key)
        one.close()
        self._series -= one.size
        for path in sorted(one.folder.iterdir()):
            path.unlink()
        one.folder.rmdir()
        self._directory.remove(one)

    def _drop_row(self, reason: str) -> None:
        kind, _, detail = reason.partition(": ")
        self._rows_dropped.labels(kind).inc()
        if detail and not self._told:
            self._told = True
            self._log.error("samples are not stored", reason=detail)

    def _instruments(self, registry: telemetry.Registry) -> None:
        self._rows_dropped = telemetry.Counter(
            "tidegate_store_rows_dropped", "Rows that were not stored.", ["reason"], registry=registry
        )
        self._refused = telemetry.Counter(
            "tidegate_store_series_refused", "Series refused because of `scrape.series_limit`.", registry=registry
        )
        self._swept = telemetry.Counter(
            "tidegate_store_series_swept", "Dead series whose space was given back.", registry=registry
        )
        self._orphans = telemetry.Counter(
            "tidegate_store_series_orphaned",
            "Series whose labels were lost when the machine stopped.",
            registry=registry,
        )
        self._torn = telemetry.Counter(
            "tidegate_store_tables_set_aside", "Tables that were damaged and set aside at start.", registry=registry
        )
        telemetry.Gauge(
            "tidegate_store_tables_short", "Tables that keep less history than rules read of them.", registry=registry
        ).set_function(lambda: float(len(self._short)))
        telemetry.Gauge("tidegate_store_series", "Series in the sample store.", registry=registry).set_function(
            lambda: float(self._series)
        )
        telemetry.Gauge(
            "tidegate_store_texts", "Label names and values that are held.", registry=registry
        ).set_function(lambda: float(len(self._pool.codes)))
        telemetry.Gauge("tidegate_store_bytes", "Bytes of all sample rings.", registry=registry).set_function(
            lambda: float(self.size)
        )


def _locked(path: pathlib.Path) -> int:
    """The descriptor of the lock file. Raises `FatalError` when another process has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise problems.FatalError(f"another process uses the sample store {path.parent}") from None
    return file


def _block(
    data: ring.Ring, wanted: npt.NDArray[np.int64], first: int, end: int, gap_row: int
) -> tuple[columns.Block | None, npt.NDArray[np.bool_] | None]:
    """The wanted columns of rows [first, end), without series that have nothing there; and which were kept."""
    if end <= first or not wanted.size:
        return None, None
    low, high = int(wanted[0]), int(wanted[-1]) + 1
    values = data.window(first, end, low, high)
    if high - low != wanted.size:
        values = values[:, wanted - low]
    times = data.row_times(first, end)
    if gap_row < first:
        return columns.Block(times, values, gaps=False), None
    cells = ring.bits(np.ascontiguousarray(values))
    absent = cells == series.ABSENT_BITS
    kept = ~absent.all(axis=0)
    if not kept.any():
        return None, None
    gaps = bool(absent.any()) or bool((cells == series.STALE_BITS).any())
    if kept.all():
        return columns.Block(times, values, gaps), None
    return columns.Block(times, np.ascontiguousarray(values[:, kept]), gaps), kept
