"""The gate over HTTP as pipelines use it, the ledger, the log search."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api import world
from tests.gate import fakes
from tidegate.kit import clock, http
from tidegate.model import logs, problems

NOW = fakes.NOW
KEYS = {
    "verdict", "allowed", "final", "status", "decision_id", "message", "reasons", "coverage", "soak", "retry_after_s",
    "earliest_allow_at", "approvals", "override", "policy", "dry_run", "evaluated_at", "expires_at", "url",
    "environment", "service", "version", "direction",
}  # fmt: skip
REASON = {
    "rule",
    "kind",
    "severity",
    "state",
    "since",
    "value",
    "threshold",
    "scope",
    "evidence_url",
    "blocking",
    "message",
}


async def ask(found: world.World, path: str = "/v1/gate/production/shop", **more: Any) -> http.Response:
    async with world.client(found) as client:
        return await client.request(more.pop("method", "GET"), path, **more)


async def test_allow_is_200_with_every_key() -> None:
    response = await ask(world.World())
    body = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert "retry-after" not in response.headers
    assert set(body) == KEYS
    assert body["verdict"] == "allow"
    assert body["allowed"] is True
    assert body["status"] == "pass"
    assert body["coverage"] == {"pods_expected": 1, "pods_reporting": 1, "last_sample_age_s": 5.0}
    assert body["soak"] == {"required_s": 0.0, "elapsed_s": None, "clean_since": None}
    assert body["approvals"] == {"required": 0, "given": []}
    assert body["evaluated_at"] == "2026-11-23T07:13:20.000Z"
    assert body["expires_at"] == "2026-11-23T07:13:50.000Z"
    assert body["earliest_allow_at"] is None
    assert body["override"] is None
    assert body["policy"]["name"] == "production"
    assert body["url"] == "http://tg/#gate-production-shop"


async def test_deny_is_409_with_reasons_and_retry_after() -> None:
    found = world.World()
    found.book.alerts = [fakes.alert()]
    response = await ask(found, params={"version": "1.4.0", "from": "staging"})
    body = response.json()
    assert response.status_code == 409
    assert response.headers["retry-after"] == "30"
    assert set(body) == KEYS
    assert (body["verdict"], body["status"], body["version"]) == ("deny", "fail", "1.4.0")
    (reason,) = body["reasons"]
    assert set(reason) == REASON
    assert reason["since"] == "2026-11-23T07:11:20.000Z"
    assert reason["value"] == 0.4


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"code": "200"}, 200),
        ({"code": "strict"}, 409),
        ({"deny_code": "403"}, 403),
        ({"wait_code": "403"}, 409),
        ({"code": "200", "deny_code": "429"}, 429),
    ],
    ids=str,
)
async def test_codes_are_the_callers(params: dict[str, str], status: int) -> None:
    found = world.World()
    found.book.alerts = [fakes.alert()]
    assert (await ask(found, params=params)).status_code == status


@pytest.mark.parametrize(
    "params",
    [
        {"code": "201"},
        {"deny_code": "99"},
        {"deny_code": "x"},
        {"wait": "soon"},
        {"wait": "-1"},
        {"wait": "nan"},
        {"format": "xml"},
        {"version": "x" * 300},
        {"version": "a\nb"},
    ],
    ids=str,
)
async def test_bad_questions_are_400_problems(params: dict[str, str]) -> None:
    response = await ask(world.World(), params=params)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert set(response.json()) == {"type", "title", "status", "detail"}


async def test_unknown_environment_is_404_and_lists_the_known_ones() -> None:
    response = await ask(world.World(), "/v1/gate/prodution/shop")
    assert response.status_code == 404
    assert response.json()["environments"] == ["production", "staging"]
    assert response.json()["detail"] == "unknown environment `prodution`; did you mean `production`?"


async def test_services_may_have_slashes_as_jobs_of_the_operator_do() -> None:
    found = world.World()
    found.targets.found = [fakes.target(service="", job="monitoring/shop")]
    response = await ask(found, "/v1/gate/production/monitoring/shop")
    assert (response.status_code, response.json()["service"]) == (200, "monitoring/shop")


async def test_text_and_health_forms() -> None:
    found = world.World()
    found.book.alerts = [fakes.alert()]
    text = await ask(found, params={"format": "text"})
    assert text.status_code == 409
    assert text.text.splitlines() == [
        "deny: 1 alert fires: ShopErrors since 07:11:20 UTC",
        "- [alert] ShopErrors (firing): ShopErrors fires",
    ]
    health = await ask(found, headers={"accept": "application/health+json"})
    assert health.status_code == 409
    assert health.headers["content-type"] == "application/health+json"
    assert health.json()["status"] == "fail"
    assert health.json()["checks"]["alert:ShopErrors"][0]["observedValue"] == 0.4


async def test_posted_questions_are_read_from_the_body() -> None:
    found = world.World()
    found.ledger.directions = {"1.3": "rollback"}
    as_json = await ask(found, method="POST", json={"version": "1.3", "metadata": {"x": 1}})
    assert as_json.json()["direction"] == "rollback"
    as_form = await ask(found, method="POST", data={"version": "1.3"})
    assert as_form.json()["direction"] == "rollback"
    assert (await ask(found, method="POST", json=[1])).status_code == 400


async def test_etag_answers_304_while_nothing_changed() -> None:
    found = world.World()
    async with world.client(found) as client:
        first = await client.get("/v1/gate/production/shop")
        etag = first.headers["etag"]
        found.clock.at += 1
        again = await client.get("/v1/gate/production/shop", headers={"if-none-match": etag})
        assert (again.status_code, again.content) == (304, b"")
        found.book.alerts = [fakes.alert()]
        found.clock.at += 1
        changed = await client.get("/v1/gate/production/shop", headers={"if-none-match": etag})
        assert changed.status_code == 409


async def test_long_poll_answers_when_the_gate_opens() -> None:
    found = world.World(clock=clock.LoopClock(NOW))
    found.book.alerts = [fakes.alert()]
    async with world.client(found) as client:
        found.clock.now()
        asking = asyncio.create_task(client.get("/v1/gate/production/shop?wait=20s"))
        done, _ = await asyncio.wait([asking], timeout=0.4)
        assert not done, "it waits while the gate is shut"
        found.book.alerts = []
        response = await asyncio.wait_for(asking, 5)
        assert response.status_code == 200


async def test_long_poll_ends_when_its_time_is_up_at_most_25_s() -> None:
    found = world.World()
    found.book.alerts = [fakes.alert()]
    response = await ask(found, headers={"prefer": "respond-async, wait=9999"})
    assert response.status_code == 409
    assert found.clock.at == NOW + 25, "the clock of this test moves only by waiting"


async def test_long_poll_ends_when_the_server_closes() -> None:
    found = world.World(clock=clock.LoopClock(NOW))
    found.book.alerts = [fakes.alert()]
    async with world.serving(found) as server, http.client(timeout=10) as client:
        asking = asyncio.create_task(client.get(server.url + "/v1/gate/production/shop?wait=25s"))
        await asyncio.wait([asking], timeout=0.3)
        server.close()
        assert (await asyncio.wait_for(asking, 2)).status_code == 409


async def test_overview_lists_every_gate() -> None:
    found = world.World()
    found.targets.found.append(fakes.target("c:1", service="cart", environment="staging"))
    body = (await ask(found, "/v1/gate")).json()
    assert body["environments"] == ["production", "staging"]
    assert [(one["environment"], one["service"]) for one in body["gates"]] == [
        ("production", "shop"),
        ("staging", "cart"),
    ]
    body = (await ask(found, "/v1/gate", params={"environment": "staging"})).json()
    assert [one["service"] for one in body["gates"]] == ["cart"]
    assert (await ask(found, "/v1/gate", params={"environment": "x"})).status_code == 404


DEPLOY = {"environment": "production", "service": "shop", "version": "1.4.0"}


async def test_deploys_are_recorded_once_by_id() -> None:
    found = world.World()
    async with world.client(found) as client:
        first = await client.post("/v1/deploys", json=DEPLOY | {"id": "run-7"}, headers=world.BEARER)
        again = await client.post(
            "/v1/deploys", json=DEPLOY | {"version": "2"}, headers=world.BEARER | {"idempotency-key": "run-7"}
        )
        moved = await client.post("/v1/deploys", json=DEPLOY | {"service": "cart", "id": "run-7"}, headers=world.BEARER)
        other = await client.post("/v1/deploys", json=DEPLOY | {"at": "2026-11-23T07:00:00Z"}, headers=world.BEARER)
        listed = (await client.get("/v1/deploys?service=shop&limit=10")).json()["deploys"]
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert first.json() == again.json() == moved.json()
    assert moved.status_code == 200
    assert first.json() == {
        "id": "run-7", "environment": "production", "service": "shop", "version": "1.4.0", "digest": "",
        "at": "2026-11-23T07:13:20.000Z", "direction": "forward", "by": "ci", "url": "",
    }  # fmt: skip
    assert other.json()["at"] == "2026-11-23T07:00:00.000Z"
    assert len(listed) == 2


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"version": ""}, "version"),
        ({"environment": "prod"}, "unknown environment"),
        ({"verison": "1"}, "verison"),
        ({"at": "yesterday"}, "at"),
        ({"at": NOW + 3600}, "past"),
        ({"direction": "sideways"}, "direction"),
        ({"url": "javascript:alert(1)"}, "url"),
        ({"service": 7}, "service"),
    ],
    ids=str,
)
async def test_bad_deploys_are_422_and_name_the_field(more: dict[str, Any], named: str) -> None:
    found = world.World()
    response = await ask(found, "/v1/deploys", method="POST", json=DEPLOY | more, headers=world.BEARER)
    assert response.status_code == 422
    assert named in response.json()["detail"]
    assert found.ledger.found == []


async def test_bodies_are_limited() -> None:
    async with world.client(world.World()) as client:
        large = await client.post("/v1/deploys", content=b"x" * 70_000, headers=world.BEARER)

        async def parts() -> Any:
            for _ in range(70):
                yield b"x" * 1000

        chunked = await client.post("/v1/deploys", content=parts(), headers=world.BEARER)
        broken = await client.post("/v1/deploys", content=b"{", headers=world.BEARER)
    assert (large.status_code, chunked.status_code, broken.status_code) == (413, 413, 400)


async def test_log_search() -> None:
    found = world.World()
    found.logs.lines = [logs.LogLine(NOW - 1, "connection refused", "error", "shop", "/x.log", {"a": 1})]
    body = (await ask(found, "/v1/logs", params={"query": "error", "start": NOW - 60, "limit": 5})).json()
    line = {
        "at": NOW - 1,
        "message": "connection refused",
        "level": "error",
        "service": "shop",
        "source": "/x.log",
        "id": "",
    }
    assert body == {"lines": [line], "total": 1, "at_least": False}
    assert found.logs.asked == [("error", NOW - 60, NOW, 5)]
    whole = (await ask(found, "/v1/logs", params={"document": "true"})).json()
    assert whole["lines"] == [line | {"document": {"a": 1}}]
    assert found.logs.asked[-1] == ("", NOW - 3600, NOW, 100)


async def test_log_lines_are_followed_from_a_cursor() -> None:
    found = world.World()
    found.logs.lines = [logs.LogLine(NOW - 1, "old")]
    begin = (await ask(found, "/v1/logs/follow")).json()
    assert begin == {"lines": [], "cursor": "1"}
    found.logs.lines += [logs.LogLine(NOW - 9, "late", id="7"), logs.LogLine(NOW, "new", id="8")]
    rest = (await ask(found, "/v1/logs/follow", params={"cursor": "1"})).json()
    assert [(line["id"], line["message"]) for line in rest["lines"]] == [("7", "late"), ("8", "new")]
    assert rest["cursor"] == "3"


@pytest.mark.parametrize(
    ("error", "status"),
    [(problems.QueryError("expected a value", position=6), 400), (problems.TransientError("no answer", after=7), 503)],
    ids=str,
)
async def test_log_search_that_fails(error: Exception, status: int) -> None:
    found = world.World()
    found.logs.error = error
    response = await ask(found, "/v1/logs", params={"query": "level:"})
    assert response.status_code == status
    assert response.json()["detail"] == str(error)
    assert response.json().get("position") == (6 if status == 400 else None)
    assert response.headers.get("retry-after") == ("7" if status == 503 else None)


async def test_bad_log_searches() -> None:
    for params in (
        {"limit": "0"},
        {"limit": "1001"},
        {"start": "x"},
        {"start": NOW, "end": NOW - 1},
        {"document": "x"},
    ):
        assert (await ask(world.World(), "/v1/logs", params=params)).status_code == 400, params


async def test_what_goes_wrong_inside_is_500_without_details() -> None:
    found = world.World()
    found.logs.error = RuntimeError("password=hunter2")
    response = await ask(found, "/v1/logs")
    assert response.status_code == 500
    assert "hunter2" not in response.text


async def test_unknown_paths_and_methods() -> None:
    async with world.client(world.World()) as client:
        missing, wrong = await client.get("/nothing"), await client.delete("/v1/gate")
    assert (missing.status_code, missing.json()["detail"]) == (404, "there is nothing here")
    assert (wrong.status_code, set(wrong.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
