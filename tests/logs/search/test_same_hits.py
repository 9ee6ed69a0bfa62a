"""A query means the same in the stream and in a real Elasticsearch: random lines, random queries, the same hits."""

from __future__ import annotations

import collections.abc
import datetime
import random
import re
import uuid
from typing import Any

import orjson
import pytest

from tests import conftest
from tests.services import elasticsearch
from tidegate.kit import clock, telemetry
from tidegate.logs import bulk, kql, output, search, setup_elasticsearch
from tidegate.logs.kql import matcher
from tidegate.model import problems, settings

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.timeout(180)]
DATASET = f"same.{uuid.uuid4().hex[:8]}"
START = 1_714_557_600.0
LINES = 400
QUERIES = 600
WORDS = (
    "timeout", "Timeout", "refused", "10.0.0.1", "9200", "user_id=42", "java.lang.Foo", "o'neil", "caf\u00e9", "中文",
    "foo中bar", "a:b", "1,2", "x-y", "a.1", "ΣΑΣ", "İx", "e\u0301a", "😀", "ひら", "カタカナ", "ไทย", "_", "__a", "!", "500",
    "true", "5xx", "error", "ERROR", "a" * 300, "half½", "and", "or", "not",
)  # fmt: skip
LEVELS = ("error", "warn", "info", "ERROR", "critical error")
SERVICE_VALUES = ("shop", "sho*", "Shop", "*-eu", r"ship\*", "*", "(shop or cart)")
SERVICES = ("shop", "cart", "shop-eu", "Shop", "ship*")


@pytest.fixture(scope="module")
def url() -> collections.abc.Iterator[str]:
    try:
        with elasticsearch.address() as found:
            yield found
    except elasticsearch.UnavailableError as error:
        conftest.unavailable(str(error))


def _text(chance: random.Random) -> str:
    return chance.choice([" ", ", ", " - "]).join(chance.choices(WORDS, k=chance.randint(1, 4)))


def _document(chance: random.Random, number: int) -> dict[str, Any]:
    at = START + number + chance.choice([0, 0.001, 0.123456])
    one: dict[str, Any] = {
        "@timestamp": datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat().replace("+00:00", "Z"),
        "message": _text(chance),
        "log": {"offset": number, "level": chance.choice(LEVELS), "file": {"path": f"/var/log/{number % 7}.log"}},
        "service": {"name": chance.choice(SERVICES)},
        "data_stream": {"type": "logs", "dataset": DATASET, "namespace": "default"},
        "event": {"dataset": DATASET},
        "ecs": {"version": "8.17.0"},
    }
    if chance.random() < 0.4:
        labels = {"status": chance.choice(["200", "404", "500"]), "path": chance.choice(["/cart", "/cart/1", "a b"])}
        one["labels"] = dict(chance.sample(sorted(labels.items()), chance.randint(1, 2)))
    if chance.random() < 0.3:
        one["error"] = {"message": _text(chance), "type": chance.choice(["java.lang.Foo", "timeout", "TimeoutError"])}
        if chance.random() < 0.5:
            one["error"]["stack_trace"] = f"Traceback:\n  {_text(chance)}"
    if chance.random() < 0.1:
        one["log"]["level"] = chance.sample(LEVELS, 2)
    if chance.random() < 0.1:
        one["message"] = [_text(chance), _text(chance)]
    if chance.random() < 0.1:
        del one["service"]
        if chance.random() < 0.5:
            one["service.name"] = chance.choice(SERVICES)
    return one


def _leaf(chance: random.Random) -> str:
    word = chance.choice(WORDS)
    quoted = '"' + " ".join(chance.choices(WORDS, k=chance.randint(1, 2))) + '"'
    bare = re.sub(r'[\\():<>"*{}]', r"\\\g<0>", word)
    bare = bare if word not in ("and", "or", "not") else f'"{word}"'
    return chance.choice([
        bare,
        quoted,
        f"message: {bare}",
        f"message: {quoted}",
        f"message: ({bare} or {quoted})",
        f"error.message: {quoted}",
        f"message: {chance.choice(['time*', '*fus*', 'T*t', '10.*', '*', 'java.*', 'caf*', '*o'])}",
        f'level: {chance.choice(["error", "ERROR", "err*", "*r*", "(error or warn)", "*"])}',
        f'level: "{chance.choice(LEVELS)}"',
        f"service: {chance.choice(SERVICE_VALUES)}",
        f"labels.path: {chance.choice(['/cart', '/cart*', '*', chr(34) + 'a b' + chr(34)])}",
        f"labels.status: {chance.choice(['500', '5*', '*', '404'])}",
        f"error.type: {chance.choice(['timeout', '*', 'Timeout*', 'java.lang.Foo'])}",
        f"error.stack_trace.text: {quoted}",
        f"log.offset {chance.choice(['<', '<=', '>', '>='])} {chance.randrange(LINES)}",
        f"log.offset: {chance.randrange(LINES)}",
        f"log.file.path: {chance.choice(['/var/log/3.log', '*3.log', '/var*'])}",
        f'@timestamp {chance.choice(["<", "<=", ">", ">="])} "{_stamp(chance)}"',
        "@timestamp < now-1h",
        "nothing.here: *",
        f"{chance.choice(['labels.*', 'log.*', 'error.*', 'service.*', '*'])}: {chance.choice([bare, quoted, '*'])}",
    ])  # fmt: skip


def _stamp(chance: random.Random) -> str:
    at = datetime.datetime.fromtimestamp(START + chance.randrange(LINES), datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _query(chance: random.Random, depth: int = 2) -> str:
    kind = chance.random()
    if not depth or kind < 0.5:
        return _leaf(chance)
    if kind < 0.65:
        return f"not ({_query(chance, depth - 1)})"
    return f"({_query(chance, depth - 1)}) {chance.choice(['and', 'or'])} ({_query(chance, depth - 1)})"


async def _stored(url: str, documents: list[dict[str, Any]]) -> settings.Elasticsearch:
    config = settings.Elasticsearch(urls=(url,))
    await setup_elasticsearch.install(config, dry_run=False)
    sender = bulk.ElasticsearchOutput(config, clock.SystemClock(), telemetry.Registry())
    bodies = [orjson.dumps(one) for one in documents]
    ids = [f"{DATASET}-{number}" for number in range(len(documents))]
    assert list(await sender.send(output.Batch([f"logs-{DATASET}-default"] * len(documents), ids, bodies))) == []
    await sender.close()
    elasticsearch.call("POST", f"{url}/logs-{DATASET}-default/_refresh")
    return config


async def test_the_stream_and_elasticsearch_find_the_same_lines(url: str) -> None:
    chance = random.Random(7)
    documents = [_document(chance, number) for number in range(LINES)]
    reader = search.ElasticsearchReader(await _stored(url, documents))
    wrong, some, refused = [], 0, 0
    try:
        for number in range(QUERIES):
            query = _leaf(chance) if number % 2 else _query(chance)
            try:
                matches = matcher.compile(kql.parse(query))
            except problems.QueryError:
                refused += 1
                with pytest.raises(problems.QueryError):
                    await reader.search(query, start=0, end=START * 2, limit=1)
                continue
            here = [one["log"]["offset"] for one in documents if matches(one)]
            page = await reader.search(
                f'event.dataset: "{DATASET}" and ({query})', start=START - 1, end=START + LINES + 1, limit=1000
            )
            there = sorted(line.document["log"]["offset"] for line in page.lines)
            some += 0 < len(here) < LINES
            if here != there or page.total != len(here):
                wrong.append((query, sorted({*here} - {*there})[:3], sorted({*there} - {*here})[:3]))
    finally:
        await reader.close()
    assert wrong == []
    assert some > QUERIES / 3
    assert refused < QUERIES / 10
