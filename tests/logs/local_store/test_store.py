"""The embedded store over a real SQLite file: stored once, found again, forgotten in time, honest about a full disk."""

from __future__ import annotations

import asyncio
import collections.abc
import pathlib
import random
import sqlite3
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from prometheus_client import CollectorRegistry

from tests.logs.kql import stories
from tidegate.logs import kql
from tidegate.logs.kql import matcher, tree
from tidegate.logs.local_store import database, local, reading
from tidegate.logs.ship import output
from tidegate.model import problems

NOW = 1_714_557_600.0


class Clock:
    """Stands still; sleeping moves it."""

    def __init__(self) -> None:
        self.at = NOW
        self.slept: list[float] = []

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds
        await asyncio.sleep(0)


def line(number: int, message: str = "", **more: Any) -> dict[str, Any]:
    text = message or f"line {number} connection {'refused' if number % 3 == 0 else 'made'}"
    return {
        "@timestamp": int((NOW - number) * 1000),
        "message": text,
        "log": {"level": "error" if number % 2 else "info"},
        "service": {"name": "shop"},
        **more,
    }


def batch(documents: collections.abc.Sequence[Any], start: int = 0) -> output.Batch:
    ids = [f"id-{start + number}" for number in range(len(documents))]
    return output.Batch(["logs-a-default"] * len(ids), ids, [orjson.dumps(one) for one in documents])


class Rig:
    """A store, its clock and its metrics."""

    def __init__(self, folder: pathlib.Path, retention: float = 3600.0, max_bytes: int = 1 << 30) -> None:
        self.clock, self.registry = Clock(), CollectorRegistry()
        self.folder = folder
        self.store = local.LocalStore(folder, retention, max_bytes, self.clock, self.registry)

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"tidegate_local_logs_{name}", labels) or 0.0

    async def search(self, query: str, limit: int = 100, start: float = 0.0, end: float = NOW + 9) -> Any:
        return await self.store.search(query, start=start, end=end, limit=limit)


@pytest.fixture
async def rig(tmp_path: pathlib.Path) -> collections.abc.AsyncIterator[Rig]:
    made = Rig(tmp_path)
    yield made
    await made.store.close()


def messages(page: Any) -> list[str]:
    return [one.message for one in page.lines]


async def test_found_newest_first_with_a_total(rig: Rig) -> None:
    assert await rig.store.send(batch([line(number) for number in range(30)])) == ()
    page = await rig.search("message:refused and level:error", limit=2)
    assert messages(page) == ["line 3 connection refused", "line 9 connection refused"]
    assert (page.total, page.at_least) == (5, False)
    first = page.lines[0]
    assert (first.at, first.level, first.service) == (NOW - 3, "error", "shop")
    assert messages(await rig.search("", start=NOW - 2, end=NOW - 1)) == [
        "line 1 connection made",
        "line 2 connection made",
    ]
    assert (await rig.search("", limit=1)).total == 30


async def test_what_is_sent_again_is_stored_once(rig: Rig) -> None:
    one = batch([line(number) for number in range(5)])
    await rig.store.send(one)
    await rig.store.send(one)
    await rig.store.send(output.Batch(["s", "s"], ["id-9", "id-9"], [orjson.dumps(line(9))] * 2))
    assert (await rig.search("")).total == 6
    assert rig.metric("stored_total") == 6


async def test_survives_the_process(tmp_path: pathlib.Path) -> None:
    first = Rig(tmp_path)
    await first.store.send(batch([line(1)]))
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("lines.db", "lines.db-wal"):  # what a kill at this moment leaves behind
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    await first.store.close()
    second = Rig(copy)
    assert (await second.search("refused or made")).total == 1
    await second.store.send(batch([line(1)]))
    assert (await second.search("")).total == 1
    await second.store.close()


async def test_what_is_no_document_is_refused_alone(rig: Rig) -> None:
    bodies = [orjson.dumps(line(1)), b"{broken", b"[1]", orjson.dumps(line(2))]
    refused = await rig.store.send(output.Batch(["s"] * 4, ["a", "b", "c", "d"], bodies))
    assert [(one.index, one.status) for one in refused] == [(1, 400), (2, 400)]
    assert (await rig.search("")).total == 2


async def test_forgets_by_age(rig: Rig) -> None:
    await rig.store.send(batch([line(number) for number in range(0, 7200, 10)]))
    await rig.store.collect()
    assert (await rig.search("")).total == 361
    assert rig.metric("dropped_total", reason="age") == 359
    assert (await rig.search("message:7190")).total == 0


async def test_forgets_by_size_the_oldest_and_not_more_than_needed(tmp_path: pathlib.Path) -> None:
    limit = 2_000_000
    rig = Rig(tmp_path, retention=1e9, max_bytes=limit)
    for start in range(0, 20_000, 1000):
        await rig.store.send(batch([line(20_000 - start - number) for number in range(1000)], start))
    kept = (await rig.search("message:connection", limit=1)).total
    gone = rig.metric("dropped_total", reason="size")
    assert kept + gone == 20_000 or kept == reading.COUNTED
    assert 1000 < kept < 19_000
    assert messages(await rig.search("", limit=1)) == ["line 1 connection made"]
    connection = sqlite3.connect(tmp_path / "lines.db")
    assert 0.5 * limit < database.size(connection) <= limit
    connection.close()
    await rig.store.close()


async def test_a_full_disk_is_shown_and_waited_for(rig: Rig) -> None:
    await rig.store.send(batch([line(0)]))
    connection = rig.store._writer._connection
    pages = database.pragma(connection, "page_count")
    connection.execute(f"PRAGMA max_page_count={pages}")
    big = batch([line(number, "x" * 2000) for number in range(200)], start=100)
    sending = asyncio.create_task(rig.store.send(big))
    while len(rig.clock.slept) < 3:
        await asyncio.sleep(0)
    assert "full" in rig.store.error
    assert (await rig.search("")).total == 1
    connection.execute("PRAGMA max_page_count=1000000")
    assert await sending == ()
    assert rig.store.error == ""
    assert (await rig.search("")).total == 201
    assert rig.metric("write_errors_total") >= 3


async def test_tail_goes_on_where_it_was(rig: Rig) -> None:
    await rig.store.send(batch([line(number) for number in range(4)]))
    begin = await rig.store.tail("", after=-1, limit=10)
    assert (begin.lines, begin.cursor) == ((), 4)
    await rig.store.send(batch([line(number) for number in range(10, 16)], start=10))
    first = await rig.store.tail("level:info", after=begin.cursor, limit=2)
    assert messages(first) == ["line 10 connection made", "line 12 connection refused"]
    rest = await rig.store.tail("level:info", after=first.cursor, limit=10)
    assert messages(rest) == ["line 14 connection made"]
    rig.clock.at += 1e6
    await rig.store.collect()
    await rig.store.send(batch([line(1)], start=99))
    assert messages(await rig.store.tail("", after=rest.cursor, limit=10)) == ["line 1 connection made"]


async def test_a_bad_query_says_so(rig: Rig) -> None:
    with pytest.raises(problems.QueryError) as caught:
        await rig.search("level:")
    assert caught.value.position == 6


async def test_too_many_searches_are_refused(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "WAITING", 2)
    results = await asyncio.gather(*(rig.search("") for _ in range(4)), return_exceptions=True)
    assert [isinstance(one, problems.TransientError) for one in results] == [False, False, True, True]
    assert rig.metric("searches_refused_total") == 2


async def test_work_is_bounded_and_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    await rig.store.send(batch([line(number) for number in range(100)]))
    monkeypatch.setattr(reading, "SCANNED", 40)
    page = await rig.search("not level:none")
    assert (page.total, page.at_least) == (40, True)
    monkeypatch.setattr(reading, "SCANNED", 1000)
    monkeypatch.setattr(reading, "COUNTED", 10)
    for query in ("", "level:error"):
        page = await rig.search(query, limit=3)
        assert (len(page.lines), page.total, page.at_least) == (3, 10, True)


async def test_a_file_of_another_shape_is_put_aside(tmp_path: pathlib.Path) -> None:
    old = sqlite3.connect(tmp_path / "lines.db")
    old.execute("CREATE TABLE lines (place INTEGER PRIMARY KEY)")
    old.close()
    rig = Rig(tmp_path)
    await rig.store.send(batch([line(1)]))
    assert (await rig.search("")).total == 1
    assert (tmp_path / "lines.version-0.db").exists()
    await rig.store.close()


def test_what_is_no_database_is_fatal(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lines.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(problems.FatalError, match="cannot open the log store"):
        Rig(tmp_path)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rig, list[dict[str, Any]]]:
    """A store of two hundred odd documents, and the documents."""
    rng = random.Random(3)
    documents = [line(number, " ".join(rng.choices(stories.WORDS, k=4))) for number in range(100)]
    for number, one in enumerate(documents):
        one["log"]["offset"] = number
        one["error"] = {"message": rng.choice([None, *stories.WORDS]), "type": rng.choice(["error", "a*b", "42"])}
        one["items"] = [{"name": rng.choice(["error", "shop", "a*b", None]), "price": 4.25}, {"price": 0.5}][
            : rng.randint(0, 2)
        ]
        one["labels"] = {"status": rng.choice(["503", "42", "shop"])}
        one["service"]["name"] = rng.choice(["shop", "shop cart", ["shop", "true"], None, 42])
        one["log"]["level"] = rng.choice(["error", "Error", "info", ["info", "error"]])
    rig = Rig(tmp_path_factory.mktemp("stored"))
    asyncio.run(rig.store.send(batch(documents)))
    return rig, documents


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(node=stories.TREES)
@pytest.mark.parametrize("few", [0, 1000])
def test_narrowing_never_loses_a_line(stored: tuple[Rig, list[dict[str, Any]]], node: tree.Node, few: int) -> None:
    rig, documents = stored
    text = tree.text(node)
    try:
        matches = matcher.compile(kql.parse(text))
    except problems.QueryError:
        return
    reader = reading.Reader(rig.folder / "lines.db")
    before, reading.FEW = reading.FEW, few
    try:
        page = reader.search(text, reading.Span(0.0, NOW), 1000, rig.clock.now)
    finally:
        reading.FEW = before
        reader.close()
    assert [one.document["log"]["offset"] for one in page.lines] == [
        number for number, one in enumerate(documents) if matches(one)
    ]
