"""Health, readiness, reload, own metrics, and the listening side itself."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.api import world
from tidegate.api import app, server
from tidegate.kit import http
from tidegate.model import problems


async def test_healthy_and_ready_say_what_is_wrong() -> None:
    found = world.World()
    async with world.client(found) as client:
        assert (await client.get("/-/healthy")).text == "Tidegate is healthy.\n"
        assert (await client.get("/-/ready")).status_code == 200
        found.missing, found.ill = ["the first rules did not run yet"], ["the event loop stalls"]
        ready, healthy = await client.get("/-/ready"), await client.get("/-/healthy")
    assert (ready.status_code, healthy.status_code) == (503, 503)
    assert ready.text == "Tidegate is not ready:\n- the first rules did not run yet\n"
    assert "the event loop stalls" in healthy.text


async def test_reload() -> None:
    found = world.World()
    async with world.client(found) as client:
        assert (await client.post("/-/reload", headers=world.BEARER)).json() == {"reloaded": True}
        found.reload_error = problems.ConfigError(
            [problems.Problem("rule-unknown-field", "unknown field `exprr`", "a.yaml", 3, 5)]
        )
        bad = await client.post("/-/reload", headers=world.BEARER)
    assert bad.status_code == 422
    assert bad.json()["problems"][0]["line"] == 3
    assert "a.yaml:3:5" in bad.json()["detail"]
    assert found.reloads == 2


async def test_requests_are_counted_by_handler_not_by_path() -> None:
    found = world.World()
    async with world.client(found) as client:
        await client.get("/v1/gate/production/shop")
        await client.get("/v1/gate/production/secret-name")
        await client.get("/secret-name")
        await client.request("BREW", "/v1/gate")
        text = (await client.get("/metrics")).text
    assert (
        'tidegate_http_requests_total{code="200",handler="/v1/gate/{environment}/{service}",method="GET"} 1.0' in text
    )
    assert (
        'tidegate_http_requests_total{code="409",handler="/v1/gate/{environment}/{service}",method="GET"} 1.0' in text
    )
    assert 'tidegate_http_requests_total{code="404",handler="none",method="GET"} 1.0' in text
    assert 'tidegate_http_requests_total{code="405",handler="none",method="other"} 1.0' in text
    assert 'tidegate_http_request_duration_seconds_count{handler="/v1/gate/{environment}/{service}"} 2.0' in text
    assert "secret-name" not in text


async def test_taken_address_is_fatal() -> None:
    found = world.World()
    async with world.serving(found) as one:
        with pytest.raises(problems.FatalError, match=f"cannot listen on {one.address}: Address already in use"):
            server.Server(app.build(world.World().context()), one.address)


@pytest.mark.parametrize("listen", ["9320", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:99999", ""])
def test_listen_addresses_that_make_no_sense(listen: str) -> None:
    with pytest.raises(problems.FatalError, match="is not `host:port`"):
        server.Server(app.build(world.World().context()), listen)


async def test_cancelled_server_lets_go_of_its_address() -> None:
    one = server.Server(app.build(world.World().context()), "127.0.0.1:0")
    task = asyncio.create_task(one.run())
    while not one.started:
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    two = server.Server(app.build(world.World().context()), one.address)
    two.close()
    await two.run()


async def test_signals_stay_the_process_own() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with world.serving(world.World()) as one, http.client(timeout=5) as client:
        assert (await client.get(one.url + "/-/healthy")).status_code == 200
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_paths_are_listed_as_documented() -> None:
    assert "/v1/gate/{environment}/{service}" in app.paths()
    assert len(app.paths()) == len(set(app.paths()))
