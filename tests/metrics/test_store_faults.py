"""What may befall the files of the store: another process, a full disk, bits that change, readers that are too slow."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import test_store
from tidegate.kit import telemetry
from tidegate.metrics import columns, store
from tidegate.metrics.promql import engine
from tidegate.model import alerts, labels, problems, series

NAMES = [labels.make({"__name__": "m", "i": str(number)}) for number in range(6)]
ALL = test_store.ALL


def filled(folder: pathlib.Path, rows: int = 12) -> store.Store:
    one = test_store.open_store(folder)
    table = one.table("t", 15.0)
    for at in range(1, rows + 1):
        test_store.put(table, at * 1000, {name: at + number / 10 for number, name in enumerate(NAMES[: 2 + at // 3])})
    return one


HOLDER = """
import pathlib, sys
from tidegate.kit import clock, telemetry
from tidegate.metrics import store
one = store.Store(pathlib.Path(sys.argv[1]), clock.SystemClock(), telemetry.Registry())
print("open", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(problems.FatalError, match="another process uses the sample store"):
            test_store.open_store(tmp_path)
        holder.kill()
    test_store.open_store(tmp_path).close()


FULL = """
import pathlib, resource, sys
sys.path.insert(0, sys.argv[2])
from tests.metrics import test_store, test_store_faults as faults
from tidegate.kit import telemetry
from tidegate.model import labels, problems

registry = telemetry.Registry()
one = test_store.open_store(pathlib.Path(sys.argv[1]), registry=registry)
table = one.table("t", 15.0)
test_store.put(table, 1000, {faults.NAMES[0]: 1.0})

def room(more):
    size = (table.folder / "labels").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + more if more else resource.RLIM_INFINITY, resource.RLIM_INFINITY))

for at, more in enumerate((20, 30, 40), 2):
    room(more)
    test_store.put(table, at * 1000, {name: float(at) for name in faults.NAMES})
    try:
        one.table(f"another {at}", 15.0)
        raise SystemExit("a table was made on a full disk")
    except problems.FatalError:
        pass
dropped = registry.get_sample_value("tidegate_store_rows_dropped_total", {"reason": "disk"})
room(0)
test_store.put(table, 9000, {name: 9.0 for name in faults.NAMES})
test_store.put(one.table("another 2", 15.0), 9000, {labels.make({"__name__": "n"}): 1.0})
print(int(dropped))
"""


def test_a_full_disk_loses_the_rows_that_came_and_nothing_else(tmp_path: pathlib.Path) -> None:
    root = pathlib.Path(__file__).parents[2]
    command = [sys.executable, "-c", FULL, str(tmp_path), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["3"]), done.stderr
    registry = telemetry.Registry()
    found = test_store.samples(test_store.open_store(tmp_path, registry=registry).select(ALL, 0, 10**9))
    assert registry.get_sample_value("tidegate_store_tables_set_aside_total") == 0
    assert [at for at, _ in found[NAMES[0]]] == [1000, 9000]
    assert [at for at, _ in found[NAMES[5]]] == [9000]
    assert len(found) == 7


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("store")
    filled(folder).close()
    return folder


@settings(max_examples=150)
@given(data=st.data())
def test_a_changed_bit_is_never_read_as_data(
    template: pathlib.Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = test_store.samples(test_store.open_store(template).select(ALL, 0, 10**9))
    folder = tmp_path_factory.mktemp("changed") / "s"
    shutil.copytree(template, folder)
    path = test_store.only(folder) / data.draw(st.sampled_from(["ring", "labels"]))
    raw = bytearray(path.read_bytes())
    used = len(raw) if path.name == "labels" else min(len(raw), 4096 + 16 * 300 + 12 * 64)
    place = data.draw(st.integers(0, used - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    registry = telemetry.Registry()
    found = test_store.samples(test_store.open_store(folder, registry=registry).select(ALL, 0, 10**9))
    for name, some in found.items():
        assert set(some) <= set(whole[name]), "another value, time or series"
    lost = sum(map(len, whole.values())) - sum(map(len, found.values()))
    told = [
        registry.get_sample_value("tidegate_store_tables_set_aside_total"),
        registry.get_sample_value("tidegate_store_rows_dropped_total", {"reason": "damaged"}),
        registry.get_sample_value("tidegate_store_series_orphaned_total"),
    ]
    assert not lost or any(told)


def test_a_torn_file_of_any_length_is_no_crash(template: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for name in ("ring", "labels"):
        size = (test_store.only(template) / name).stat().st_size
        for length in {0, 1, 7, 64, 100, size // 2, size - 1}:
            folder = tmp_path / f"{name}{length}"
            shutil.copytree(template, folder)
            with (test_store.only(folder) / name).open("r+b") as file:
                file.truncate(length)
            assert len(test_store.samples(test_store.open_store(folder).select(ALL, 0, 10**9))) <= len(NAMES)


def test_two_folders_of_one_source_are_not_both_used(template: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(template, tmp_path / "s")
    shutil.copytree(test_store.only(template), tmp_path / "s" / "zzz")
    registry = telemetry.Registry()
    one = test_store.open_store(tmp_path / "s", registry=registry)
    assert registry.get_sample_value("tidegate_store_tables_set_aside_total") == 1
    assert one.series_count == len(NAMES)


def test_a_half_made_table_is_forgotten(tmp_path: pathlib.Path) -> None:
    (tmp_path / "abc.half").mkdir()
    (tmp_path / "abc.half" / "labels").write_text("")
    registry = telemetry.Registry()
    test_store.open_store(tmp_path, registry=registry)
    assert registry.get_sample_value("tidegate_store_tables_set_aside_total") == 0
    assert not (tmp_path / "abc.half").exists()


def test_history_beyond_the_largest_ring_is_told(tmp_path: pathlib.Path) -> None:
    registry = telemetry.Registry()
    one = test_store.open_store(tmp_path, registry=registry, keep="rules")
    test_store.put(one.table("t", 1.0), 1000, {NAMES[0]: 1.0})
    one.need({"m": 1 << 21})
    assert registry.get_sample_value("tidegate_store_tables_short") == 1
    one.need({"m": 3600.0})
    assert registry.get_sample_value("tidegate_store_tables_short") == 0


class Busy:
    """A store that takes so many rows in while a query works on what it selected."""

    def __init__(self, folder: pathlib.Path, rows: int) -> None:
        self.store = test_store.open_store(folder, retention=1.0, keep="rules")
        self.table = self.store.table("t", 15.0)
        self.rows, self.at, self.asked = rows, 0, 0
        self.more(40)

    @property
    def pool(self) -> columns.StringPool:
        return self.store.pool

    def more(self, rows: int) -> None:
        for _ in range(rows):
            self.at += 1
            test_store.put(self.table, self.at * 1000, {NAMES[0]: float(self.at)})

    def select(
        self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int, most: int | None = None
    ) -> columns.Selection:
        self.asked += 1
        found = self.store.select(matchers, start_ms, end_ms, most)
        if self.asked == 1:
            self.more(self.rows)
        return found


@pytest.mark.parametrize(("rows", "tries"), [(0, 1), (8, 1), (9, 2), (31, 2)])
def test_a_query_whose_samples_were_overwritten_is_done_again(tmp_path: pathlib.Path, rows: int, tries: int) -> None:
    busy = Busy(tmp_path, rows)
    first = busy.at - 23  # the oldest row that can be read
    found = engine.Engine(busy).prepare(f"m[{busy.at}s]").instant(float(busy.at))
    assert busy.asked == tries
    assert isinstance(found, series.Matrix)
    for one in found.series:
        assert (one.values * 1000 == one.times).all(), "rows of two times"
    if tries == 1:
        assert np.concatenate([one.times for one in found.series])[0] == first * 1000
