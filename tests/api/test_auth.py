"""Who may write: tokens and scopes, and the exception for this machine with its traps."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from tests.api import world
from tidegate.api import app as app_
from tidegate.api import auth
from tidegate.kit import http
from tidegate.model import settings

DEPLOY = {"environment": "production", "service": "shop", "version": "1.4.0"}
TOKENS = {
    "ci": {"token": "ci-token", "scopes": ["deploy"]},
    "ops": {"token": "ops-token", "scopes": ["silence", "admin"]},
}


def web(**given: object) -> settings.Web:
    return settings.Web.model_validate({"tokens": TOKENS} | given)


async def post(found: settings.Web, headers: dict[str, str], path: str = "/v1/deploys") -> http.Response:
    async with world.client(world.World(web=found)) as client:
        return await client.post(path, json=DEPLOY, headers=headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer ci-toke"}, 401),
        ({"authorization": "Basic ci-token"}, 401),
        ({"authorization": "Bearer ops-token"}, 403),
        ({"authorization": "Bearer ci-token"}, 201),
        ({"authorization": "bearer ci-token"}, 201),
    ],
    ids=str,
)
async def test_tokens_and_scopes(headers: dict[str, str], status: int) -> None:
    response = await post(web(), headers)
    assert response.status_code == status
    if status == 401:
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["detail"] == "this needs a bearer token with the scope `deploy`"


@pytest.mark.parametrize(
    "path", ["/api/v2/alerts", "/api/v2/silences", "/-/reload", "/v1/deploys", "/silences", "/silences/x/end"]
)
async def test_every_write_is_guarded(path: str) -> None:
    found = world.World()
    async with world.client(found) as client:
        response = await client.post(path, json=[], headers={})
        form = await client.post(path, data={"matchers": "a=b", "span": "1h", "token": "wrong"})
        ended = await client.delete("/api/v2/silence/x")
    assert response.status_code in (401, 403) or path.endswith("/end"), "the end page asks for the token"
    assert form.status_code in (401, 403)
    assert ended.status_code == 401
    assert not found.pushed
    assert not found.reloads
    assert not found.silences.found


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"host": "localhost:9320"}, 201),
        ({"host": "[::1]:9320"}, 201),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "localhost:9320", "origin": "http://localhost:9320"}, 201),
        ({"host": "localhost:9320", "origin": "http://localhost:3000"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"x-forwarded-for": "127.0.0.1"}, 401),
        ({"forwarded": "for=10.0.0.1"}, 401),
        ({"authorization": "Bearer wrong"}, 401),
    ],
    ids=str,
)
async def test_open_writes_are_for_this_machine_only(headers: dict[str, str], status: int) -> None:
    assert (await post(web(open_writes=True), headers)).status_code == status


async def test_reads_are_open() -> None:
    async with world.client(world.World(web=web())) as client:
        for path in ("/v1/gate", "/v1/deploys", "/v1/logs", "/api/v1/alerts", "/api/v2/alerts", "/metrics", "/"):
            assert (await client.get(path, headers={"host": "tidegate.example"})).status_code == 200, path


async def test_empty_tokens_open_nothing() -> None:
    empty = settings.Web.model_validate({"tokens": {"x": {"token": "", "scopes": ["deploy"]}}})
    assert (await post(empty, {"authorization": "Bearer "})).status_code == 401


async def test_new_tokens_count_at_once() -> None:
    guard = auth.Guard(web())
    app = app_.build(world.World(web=web()).context())
    before = app.state.guard
    app_.reload(app, settings.Web.model_validate({"tokens": {"new": {"token": "n", "scopes": ["deploy"]}}}))
    assert app.state.guard is before, "endpoints hold it"
    request = Request({"type": "http", "headers": [(b"authorization", b"Bearer n")], "client": None})
    assert app.state.guard.check(request, "deploy") == "new"
    with pytest.raises(auth.Refused):
        guard.check(request, "deploy")
