"""The sample store: against a naive model, across crashes, torn files, threads and limits."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tidegate.kit import clock, matchers, telemetry
from tidegate.metrics import columns, store
from tidegate.model import labels, problems, series

ALL = (matchers.make("__name__", "=~", ".+"),)
SERIES = [labels.make({"__name__": f"m{number % 3}", "i": str(number)}) for number in range(8)]


class Frozen:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


def open_store(folder: pathlib.Path, **more: object) -> store.Store:
    return store.Store(folder, Frozen(), **{"registry": telemetry.Registry(), **more})  # type: ignore[arg-type]


def samples(found: columns.Selection) -> dict[labels.Labels, list[tuple[int, int]]]:
    """For each series its (time, bits), without absent cells."""
    out: dict[labels.Labels, list[tuple[int, int]]] = {}
    row = 0
    for block in found.blocks:
        cells = np.ascontiguousarray(block.values).view(np.int64)
        for column in range(cells.shape[1]):
            pairs = [
                (int(at), int(cell))
                for at, cell in zip(block.times, cells[:, column], strict=True)
                if cell != series.ABSENT_BITS
            ]
            if any(cell in (series.ABSENT_BITS, series.STALE_BITS) for cell in cells[:, column].tolist()):
                assert block.gaps
            out[found.labels.labels(row)] = pairs
            row += 1
    assert row == len(found.labels)
    return out


def put(table: object, at: int, values: dict[labels.Labels, float]) -> None:
    places = np.array([table.column(name) for name in values], np.int32)  # type: ignore[attr-defined]
    table.append(at, places, np.array(list(values.values()), np.float64))  # type: ignore[attr-defined]


def bits(value: float) -> int:
    return int(np.array([value]).view(np.int64)[0])


class Machine(RuleBasedStateMachine):
    """Rows come, series come and go, the ring wraps, the process restarts; a dictionary knows what must be there."""

    @initialize(folder=st.builds(lambda: pathlib.Path(os.fspath(pytest.store_folder()))))  # type: ignore[attr-defined]
    def start(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.store = open_store(folder, retention=10.0, keep="rules")
        self.table = self.store.table("target", 15.0)
        self.at = 0
        self.rows: list[tuple[int, dict[labels.Labels, int]]] = []
        self.live: set[labels.Labels] = set()

    @rule(values=st.dictionaries(st.sampled_from(SERIES), st.floats(width=32), max_size=6), step=st.integers(1, 40))
    def row(self, values: dict[labels.Labels, float], step: int) -> None:
        self.at += step
        put(self.table, self.at, values)
        cells = {name: bits(value) for name, value in values.items()}
        cells |= dict.fromkeys(self.live - set(values), series.STALE_BITS)
        self.rows.append((self.at, cells))
        self.live = set(values)

    @rule()
    def old_row(self) -> None:
        if self.rows:
            put(self.table, self.at, {SERIES[0]: 1.0})

    @rule()
    def end(self) -> None:
        if self.live:
            self.at += 1
            self.table.end(self.at)
            self.rows.append((self.at, dict.fromkeys(self.live, series.STALE_BITS)))
            self.live = set()

    @rule()
    def sweep(self) -> None:
        self.store.sweep()

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = open_store(self.folder, retention=10.0, keep="rules")
        self.table = self.store.table("target", 15.0)

    @rule(back=st.integers(0, 300))
    def look(self, back: int) -> None:
        start = self.at - back
        expected: dict[labels.Labels, list[tuple[int, int]]] = {}
        for at, cells in self.rows[-self.readable() :]:
            if start < at <= self.at:
                for name, cell in cells.items():
                    expected.setdefault(name, []).append((at, cell))
        assert samples(self.store.select(ALL, start, self.at)) == expected

    def readable(self) -> int:
        data = self.table.ring  # type: ignore[attr-defined]
        assert data.rows - data.first >= min(len(self.rows), 20)
        return int(data.rows - data.first) or -len(self.rows) or 1

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "store"):
            assert self.store.series_count == self.table.size  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.store_folder = lambda: tmp_path_factory.mktemp("store")  # type: ignore[attr-defined]


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@pytest.fixture
def filled(tmp_path: pathlib.Path) -> pathlib.Path:
    one = open_store(tmp_path / "s")
    table = one.table("t", 15.0)
    for at in range(1, 6):
        put(table, at * 1000, {SERIES[0]: float(at), SERIES[1]: -float(at)})
    one.close()
    return tmp_path / "s"


def only(folder: pathlib.Path) -> pathlib.Path:
    return next(path for path in folder.iterdir() if path.is_dir())


@pytest.mark.parametrize("damage", ["magic", "header", "short", "times", "labels", "empty", "missing"])
def test_a_damaged_table_is_set_aside_and_the_rest_goes_on(filled: pathlib.Path, damage: str) -> None:
    ring, names = only(filled) / "ring", only(filled) / "labels"
    raw = bytearray(ring.read_bytes())
    if damage == "magic":
        raw[0] ^= 255
    elif damage == "header":
        raw[20] ^= 1
    elif damage == "times":
        raw[4096:4104] = (10**15).to_bytes(8, "little")
    if damage in ("magic", "header", "times"):
        ring.write_bytes(raw)
    elif damage == "short":
        ring.write_bytes(raw[:-100])
    elif damage == "empty":
        ring.write_bytes(b"")
    elif damage == "missing":
        ring.unlink()
    else:
        names.write_bytes(b"not json\n")
    registry = telemetry.Registry()
    one = store.Store(filled, Frozen(), registry)
    assert registry.get_sample_value("tidegate_store_tables_set_aside_total") == 1
    assert samples(one.select(ALL, 0, 10**9)) == {}
    put(one.table("t", 15.0), 9000, {SERIES[0]: 1.0})
    assert samples(one.select(ALL, 0, 10**9)) == {SERIES[0]: [(9000, bits(1.0))]}
    assert len(list(filled.glob("*.bad-1"))) == 1


def test_a_torn_label_line_costs_nothing_that_was_committed(filled: pathlib.Path) -> None:
    with (only(filled) / "labels").open("ab") as file:
        file.write(b'{"c":2,"l":{"__na')
    one = open_store(filled)
    found = samples(one.select(ALL, 0, 10**9))
    assert set(found) == {SERIES[0], SERIES[1]}
    put(one.table("t", 15.0), 9000, {SERIES[2]: 1.0})
    one.close()
    assert set(samples(open_store(filled).select(ALL, 8500, 10**9))) == {SERIES[0], SERIES[1], SERIES[2]}


WRITER = """
import pathlib, sys, numpy as np
from tidegate.kit import clock, telemetry
from tidegate.metrics import store
from tidegate.model import labels
one = store.Store(pathlib.Path(sys.argv[1]), clock.SystemClock(), telemetry.Registry())
table = one.table("t", 15.0)
at = 0
while True:
    at += 1
    names = [labels.make({"__name__": "m", "i": str(n)}) for n in range(50 + at // 20)]
    places = np.array([table.column(name) for name in names], np.int32)
    table.append(at, places, np.full(len(places), float(at)))
    print(at, flush=True)
"""


def test_sigkill_loses_at_most_the_row_in_flight(tmp_path: pathlib.Path) -> None:
    for round_ in range(5):
        folder = tmp_path / str(round_)
        with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = 0
            while said < 100 + 37 * round_:
                said = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            said = max([said, *(int(line) for line in writer.stdout.read().split("\n")[:-1])])
        one = open_store(folder)
        found = samples(one.select(ALL, 0, 10**9))
        last = max(at for pairs in found.values() for at, _ in pairs)
        assert last in (said, said + 1)
        assert len(found) == 50 + last // 20
        for pairs in found.values():
            assert all(cell == bits(float(at)) for at, cell in pairs)
        assert [at for at, _ in found[labels.make({"__name__": "m", "i": "0"})]][-100:] == list(
            range(last - 99, last + 1)
        )


def test_the_series_limit_refuses_and_counts(tmp_path: pathlib.Path) -> None:
    registry = telemetry.Registry()
    one = store.Store(tmp_path, Frozen(), registry, series_limit=3)
    table = one.table("t", 15.0)
    for name in SERIES[:3]:
        table.column(name)
    with pytest.raises(problems.PermanentError, match="3 series") as caught:
        table.column(SERIES[3])
    assert caught.value.reason == "series_limit"
    assert table.column(SERIES[0]) == 0
    assert registry.get_sample_value("tidegate_store_series_refused_total") == 1


def test_a_column_that_was_given_back_cannot_be_written(tmp_path: pathlib.Path) -> None:
    one = open_store(tmp_path, retention=1.0, keep="rules")
    table = one.table("t", 15.0)
    put(table, 1, {SERIES[0]: 1.0, SERIES[1]: 1.0})
    for at in range(2, 200):
        put(table, at, {SERIES[1]: 1.0})
    before = table.epoch
    one.sweep()
    assert table.epoch == before + 1
    with pytest.raises(ValueError, match="given back"):
        table.append(300, np.array([0], np.int32), np.array([5.0]))
    assert table.column(SERIES[4]) == 2, "not given to another before the next sweep"
    one.sweep()
    assert table.column(SERIES[5]) == 0
    put(table, 301, {SERIES[5]: 7.0})
    assert samples(one.select(ALL, 300, 301))[SERIES[5]] == [(301, bits(7.0))]


def test_a_series_that_was_claimed_is_not_dead_before_its_first_row(tmp_path: pathlib.Path) -> None:
    one = open_store(tmp_path, retention=1.0, keep="rules")
    table = one.table("t", 15.0)
    for at in range(1, 200):
        put(table, at, {SERIES[0]: 1.0})
    columns_ = [table.column(labels.make({"__name__": "n", "i": str(number)})) for number in range(100)]
    one.sweep()
    table.append(300, np.array(columns_, np.int32), np.ones(100))
    assert one.series_count == 101


def test_dead_series_are_found_after_the_ring_was_made_longer(tmp_path: pathlib.Path) -> None:
    one = open_store(tmp_path, retention=1.0, keep="rules")
    table = one.table("t", 1.0)
    put(table, 1, {SERIES[0]: 1.0, SERIES[1]: 1.0})
    for at in range(2, 2000):
        put(table, at * 1000, {SERIES[1]: 1.0})
    one.need({"m1": 900.0})
    for at in range(2000, 4000):
        put(table, at * 1000, {SERIES[1]: 1.0})
    one.sweep()
    assert one.series_count == 1


def test_the_label_file_does_not_grow_with_churn(tmp_path: pathlib.Path) -> None:
    one = open_store(tmp_path, retention=1.0, keep="rules")
    table = one.table("t", 15.0)
    for at in range(1, 3000):
        put(table, at, {SERIES[0]: 1.0, labels.make({"__name__": "n", "i": str(at)}): 1.0})
        if at % 100 == 0:
            one.sweep()
    size = (only(tmp_path) / "labels").stat().st_size
    assert size < 1100 * (one.series_count + 1)
    one.close()
    again = open_store(tmp_path, retention=1.0, keep="rules")
    assert samples(again.select(ALL, 2990, 3000)).keys() == samples(one.select(ALL, 2990, 3000)).keys()


def test_a_series_twice_in_one_row_is_refused(tmp_path: pathlib.Path) -> None:
    table = open_store(tmp_path).table("t", 15.0)
    column = table.column(SERIES[0])
    with pytest.raises(ValueError, match="twice"):
        table.append(1, np.array([column, column], np.int32), np.array([1.0, 2.0]))


def test_need_makes_a_ring_longer_and_keeps_what_it_has(tmp_path: pathlib.Path) -> None:
    one = open_store(tmp_path, retention=60.0, keep="rules")
    table = one.table("t", 1.0)
    for at in range(1, 250):
        put(table, at * 1000, {SERIES[0]: float(at)})
    one.need({"m0": 3600.0})
    for at in range(250, 1000):
        put(table, at * 1000, {SERIES[0]: float(at)})
    pairs = samples(one.select(ALL, 0, 10**9))[SERIES[0]]
    assert len(pairs) >= 950
    assert [cell for _, cell in pairs] == [bits(at / 1000) for at, _ in pairs]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('i="3"', {3}),
        ('i!="3"', {0, 1, 2, 4, 5, 6, 7}),
        ('i=~"[12]"', {1, 2}),
        ('i=~"1|.*7"', {1, 7}),
        ('i!~"[0-6]"', {7}),
        ('none=""', set(range(8))),
        ('none!=""', set()),
        ('none=~".*"', set(range(8))),
        ('i=~""', set()),
    ],
)
def test_matchers(tmp_path: pathlib.Path, condition: str, expected: set[int]) -> None:
    one = open_store(tmp_path)
    put(one.table("t", 15.0), 1, dict.fromkeys(SERIES, 1.0))
    found = samples(one.select((*ALL, matchers.parse(condition)), 0, 1))
    assert {int(labels.get(name, "i")) for name in found} == expected


def test_a_source_that_went_away_is_forgotten_after_its_history(tmp_path: pathlib.Path) -> None:
    time = Frozen()
    one = store.Store(tmp_path, time, telemetry.Registry(), retention=400.0)
    put(one.table("t", 15.0), 1, {SERIES[0]: 1.0})
    one.drop("t")
    time.time += 300
    one.sweep()
    assert one.series_count == 1
    one.table("t", 15.0)
    time.time += 5000
    one.sweep()
    assert one.series_count == 1
    one.drop("t")
    time.time += 401
    one.sweep()
    assert one.series_count == 0
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_reader_in_a_thread_never_sees_a_torn_window(tmp_path: pathlib.Path) -> None:
    one = open_store(tmp_path, retention=1.0, keep="rules")
    table = one.table("t", 15.0)
    names = [labels.make({"__name__": "m", "i": str(number)}) for number in range(500)]
    places = np.array([table.column(name) for name in names], np.int32)
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            for block in one.select(ALL, 0, 10**12).blocks:
                plain = np.array(block.values)
                if not (plain == block.times[:, None]).all():
                    wrong.append(block.times)

    reader = threading.Thread(target=read)
    reader.start()
    for at in range(1, 400):
        table.append(at, places, np.full(500, float(at)))
        clock.SystemClock()
        stop.wait(0.001)
    stop.set()
    reader.join()
    assert wrong == []
