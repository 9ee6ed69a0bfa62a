"""The reader against a real Elasticsearch, and against servers that do not behave."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from tests.services import elasticsearch
from tidegate.logs.elasticsearch import mapping, search
from tidegate.model import problems, settings

NOW = 1_714_557_600.0
MISSING = frozenset({"match_only_text", "wildcard", "constant_keyword"})


def reader(*urls: str, timeout: float = 10.0) -> search.ElasticsearchReader:
    return search.ElasticsearchReader(settings.Elasticsearch(urls=urls, timeout=timeout))


@pytest.fixture(scope="module")
def filled(elasticsearch_url: str) -> str:
    """A server with thirty lines, one a second, two of them in the same millisecond."""
    for stream in ("logs-a-default", "logs-b-default"):
        elasticsearch.call(
            "PUT", f"{elasticsearch_url}/{stream}", {"mappings": mapping.component(MISSING)["template"]["mappings"]}
        )
    for number in range(30):
        line = {
            "@timestamp": int((NOW - max(number, 1)) * 1000),
            "message": f"line {number} connection {'refused' if number % 3 == 0 else 'made'}",
            "log": {"level": "error" if number % 2 else "info", "offset": number, "file": {"path": "/srv/a.log"}},
            "service": {"name": "shop"},
        }
        stream = "logs-a-default" if number % 2 else "logs-b-default"
        elasticsearch.call("POST", f"{elasticsearch_url}/{stream}/_doc?refresh=true", line)
    return elasticsearch_url


@pytest.mark.service
@pytest.mark.timeout(180)
async def test_newest_first_over_all_streams(filled: str) -> None:
    one = reader(filled)
    try:
        page = await one.search("message:refused and level:error", start=NOW - 100, end=NOW, limit=3)
        assert [line.document["log"]["offset"] for line in page.lines] == [3, 9, 15]
        assert (page.total, page.at_least) == (5, False)
        assert page.lines[0].at == NOW - 3
        assert (page.lines[0].level, page.lines[0].service, page.lines[0].source) == ("error", "shop", "/srv/a.log")
        page = await one.search("", start=NOW - 1, end=NOW, limit=10)
        assert [line.document["log"]["offset"] for line in page.lines] == [1, 0]
        assert (await one.search("", start=NOW - 10, end=NOW - 5, limit=10)).total == 6
        with pytest.raises(problems.QueryError):
            await one.search("level:(", start=0, end=NOW, limit=1)
    finally:
        await one.close()


@pytest.mark.service
@pytest.mark.timeout(180)
async def test_lines_are_followed_also_when_they_are_late(filled: str) -> None:
    def put(id_: str, read: int, at: int) -> None:
        line = {"@timestamp": at, "message": f"followed {id_}", "event": {"created": begin + read}}
        elasticsearch.call("PUT", f"{filled}/logs-a-default/_create/{id_}?refresh=true", line)

    one = reader(filled)
    try:
        start = await one.follow("message:followed", cursor="")
        begin = int(start.cursor)
        put("f1", 1000, begin)
        put("f2", 5000, begin - 3_600_000)
        first = await one.follow("message:followed", cursor=start.cursor)
        assert [line.message for line in first.lines] == ["followed f1", "followed f2"]
        assert first.cursor == str(begin + 5000)
        put("f3", -20_000, begin - 20_000)  # read before the cursor was taken, stored after it
        second = await one.follow("message:followed", cursor=first.cursor)
        assert [line.id for line in second.lines] == [f"logs-a-default/{id_}" for id_ in ("f3", "f1", "f2")]
        assert second.cursor == first.cursor
        for bad in ("x", "-1"):
            with pytest.raises(problems.QueryError):
                await one.follow("", cursor=bad)
    finally:
        await one.close()


async def test_a_full_step_goes_on_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FOLLOWED", 2)
    seen: list[dict[str, Any]] = []
    hits = [{"_index": "i", "_id": str(at), "_source": {}, "sort": [at]} for at in (70_000, 80_000)]
    runner, url = await served(200, {"hits": {"hits": hits}}, seen)
    one = reader(url)
    try:
        found = await one.follow("level:error", cursor="100000")
        await one.follow("level:error", cursor=found.cursor)
    except problems.TransientError as error:
        assert "in one millisecond" in str(error)  # noqa: PT017 - the second step met the same page
    finally:
        await one.close()
        await runner.cleanup()
    starts = [part["range"]["event.created"]["gte"] for body in seen for part in body["query"]["bool"]["filter"][1:]]
    assert starts == [40_000, 80_000]


@pytest.mark.service
@pytest.mark.timeout(180)
async def test_a_mapping_that_differs_is_no_silent_miss(filled: str) -> None:
    properties = {"@timestamp": {"type": "date"}, "log.offset": {"type": "ip"}}
    elasticsearch.call("PUT", f"{filled}/logs-odd-default", {"mappings": {"properties": properties}})
    line = {"@timestamp": int(NOW * 1000) - 1, "log": {"offset": "10.0.0.1"}}
    elasticsearch.call("POST", f"{filled}/logs-odd-default/_doc?refresh=true", line)
    one = reader(filled)
    try:
        with pytest.raises(problems.TransientError, match="incomplete"):
            await one.search("log.offset > 3", start=0, end=NOW, limit=1)
    finally:
        await one.close()
        elasticsearch.call("DELETE", f"{filled}/logs-odd-default")


async def served(status: int, body: Any, seen: list[dict[str, Any]]) -> tuple[web.AppRunner, str]:
    async def answer(request: web.Request) -> web.Response:
        assert (request.method, request.path) == ("POST", "/logs-*/_search")
        seen.append(await request.json())
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (400, {"error": {"root_cause": [{"reason": "too many clauses"}]}}, problems.QueryError, "too many clauses"),
        (403, "no", problems.TransientError, "does not let us search"),
        (503, "busy", problems.TransientError, "answered 503"),
        (200, "<html>", problems.TransientError, "no JSON object"),
        (200, {"timed_out": True, "hits": {}}, problems.TransientError, "incomplete"),
        (200, {"_shards": {"failed": 1}, "hits": {}}, problems.TransientError, "incomplete"),
    ],
)
async def test_what_goes_wrong_is_said(status: int, body: Any, error: type[Exception], said: str) -> None:
    seen: list[dict[str, Any]] = []
    runner, url = await served(status, body, seen)
    one = reader(url)
    try:
        with pytest.raises(error, match=said):
            await one.search("level:error", start=0, end=NOW, limit=5)
    finally:
        await one.close()
        await runner.cleanup()
    assert seen[0]["size"] == 5
    assert seen[0]["track_total_hits"] == 10_000


async def test_another_node_is_asked_when_one_is_gone() -> None:
    seen: list[dict[str, Any]] = []
    runner, url = await served(200, {"hits": {"total": {"value": 10_000, "relation": "gte"}, "hits": []}}, seen)
    one = reader("http://127.0.0.1:1", url)
    try:
        for _ in range(3):
            page = await one.search("", start=0, end=NOW, limit=5)
            assert (page.total, page.at_least) == (10_000, True)
    finally:
        await one.close()
        await runner.cleanup()
    assert len(seen) == 3


async def test_nobody_answers() -> None:
    one = reader("http://127.0.0.1:1")
    try:
        with pytest.raises(problems.TransientError) as caught:
            await one.search("", start=0, end=NOW, limit=5)
    finally:
        await one.close()
    assert caught.value.reason == "connection"
