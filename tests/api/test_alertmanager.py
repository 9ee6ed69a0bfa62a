"""Alertmanager's API v2, each answer checked against Alertmanager's own description of it."""

from __future__ import annotations

import pathlib
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from tests.api import world
from tests.gate import fakes
from tidegate.kit import http
from tidegate.model import alerts

NOW = fakes.NOW


@pytest.fixture(scope="module")
def contract(conformance: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((conformance / "alertmanager/openapi.yaml").read_text())
    return found


def check(contract: dict[str, Any], definition: str, value: Any) -> None:
    """Raises unless the value is what the contract calls `definition`."""
    jsonschema.validate(value, {"$ref": f"#/definitions/{definition}", "definitions": contract["definitions"]})


async def get(found: world.World, path: str, **params: Any) -> http.Response:
    async with world.client(found) as client:
        return await client.get(path, params=params)


async def test_alerts(contract: dict[str, Any]) -> None:
    found = world.World()
    found.book.alerts = [
        fakes.alert(),
        fakes.alert("Quiet"),
        fakes.alert("B", state="pending"),
        fakes.alert("C", state="resolved"),
    ]
    found.silence_all("alertname=Quiet")
    body = (await get(found, "/api/v2/alerts")).json()
    check(contract, "gettableAlerts", body)
    by_name = {one["labels"]["alertname"]: one for one in body}
    assert set(by_name) == {"ShopErrors", "Quiet"}
    assert by_name["Quiet"]["status"] == {
        "state": "suppressed",
        "silencedBy": ["quiet"],
        "inhibitedBy": [],
        "mutedBy": [],
    }
    assert by_name["ShopErrors"]["startsAt"] == "2026-11-23T07:11:20.000Z"
    assert by_name["ShopErrors"]["endsAt"] == "2026-11-23T07:18:20.000Z"

    async def names(**params: Any) -> list[str]:
        return sorted(one["labels"]["alertname"] for one in (await get(found, "/api/v2/alerts", **params)).json())

    assert await names(silenced="false") == ["ShopErrors"]
    assert await names(active="false") == ["Quiet"]
    assert await names(filter='alertname=~"Shop.*"') == ["ShopErrors"]
    assert await names(filter=['severity="critical"', "alertname!=Quiet"]) == ["ShopErrors"]
    assert await names(filter='alertname=~"Shop"') == []


async def test_bad_parameters_are_400_strings() -> None:
    for params in ({"filter": "="}, {"filter": 'a=~"("'}, {"active": "maybe"}):
        response = await get(world.World(), "/api/v2/alerts", **params)
        assert response.status_code == 400, params
        assert isinstance(response.json(), str)
    assert (await get(world.World(), "/api/v2/alerts", receiver="team")).status_code == 501
    assert (await get(world.World(), "/api/v2/alerts/groups")).status_code == 501


async def test_alerts_are_taken_in() -> None:
    found = world.World()
    given = [
        {"labels": {"alertname": "A", "empty": ""}, "annotations": {"summary": "s"}, "generatorURL": "http://p/g"},
        {"labels": {"alertname": "B"}, "startsAt": "2026-11-23T07:00:00Z", "endsAt": "2026-11-23T07:10:00Z"},
        {"labels": {"alertname": "C"}, "startsAt": "2026-11-23T07:00:00+00:00", "endsAt": "2026-11-23T07:30:00.5Z"},
        {"labels": {"alertname": "D"}, "startsAt": "0001-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z"},
    ]
    async with world.client(found) as client:
        response = await client.post("/api/v2/alerts", json=given, headers=world.BEARER)
    assert (response.status_code, response.content) == (200, b"")
    one, two, three, four = found.pushed
    assert one == alerts.Alert(
        labels=(("alertname", "A"),),
        state="firing",
        rule="api",
        annotations=(("summary", "s"),),
        active_at=NOW,
        fired_at=NOW,
        last_seen=NOW,
        expires_at=NOW + 300,
        generator_url="http://p/g",
    )
    assert (two.state, two.active_at, two.resolved_at, two.expires_at) == ("resolved", NOW - 800, NOW - 200, NOW - 200)
    assert (three.state, three.expires_at) == ("firing", NOW + 1000.5)
    assert (four.state, four.active_at, four.expires_at) == ("firing", NOW, NOW + 300)


@pytest.mark.parametrize(
    "given",
    [{}, [{}], [{"labels": {}}], [{"labels": {"a": ""}}], [{"labels": {"a": 1}}], [{"labels": {"a": "b"}, "startsAt": "soon"}],
     [{"labels": {"a": "b"}, "startsAt": "2026-11-23T08:00:00Z", "endsAt": "2026-11-23T07:00:00Z"}]],
    ids=str,
)  # fmt: skip
async def test_alerts_that_make_no_sense_are_refused_whole(given: Any) -> None:
    found = world.World()
    async with world.client(found) as client:
        response = await client.post("/api/v2/alerts", json=given, headers=world.BEARER)
    assert response.status_code == 400
    assert isinstance(response.json(), str)
    assert found.pushed == []


SILENCE = {
    "matchers": [
        {"name": "alertname", "value": "Shop.*", "isRegex": True},
        {"name": "severity", "value": "info", "isRegex": False, "isEqual": False},
    ],
    "startsAt": "2026-11-23T07:13:20Z",
    "endsAt": "2026-11-23T09:13:20Z",
    "createdBy": "mara",
    "comment": "load test",
}


async def test_a_silence_from_birth_to_end(contract: dict[str, Any]) -> None:
    found = world.World()
    async with world.client(found) as client:
        made = await client.post("/api/v2/silences", json=SILENCE, headers=world.BEARER)
        silence_id = made.json()["silenceID"]
        assert found.silences.found[silence_id].matchers == (
            alerts.Matcher("alertname", "=~", "Shop.*"),
            alerts.Matcher("severity", "!=", "info"),
        )
        one = (await client.get(f"/api/v2/silence/{silence_id}")).json()
        check(contract, "gettableSilence", one)
        assert one["status"] == {"state": "active"}
        assert one["matchers"][0] == {"name": "alertname", "value": "Shop.*", "isRegex": True, "isEqual": True}
        changed = await client.post(
            "/api/v2/silences", json=SILENCE | {"id": silence_id, "comment": "more"}, headers=world.BEARER
        )
        assert changed.json() == {"silenceID": silence_id}
        assert (await client.delete(f"/api/v2/silence/{silence_id}", headers=world.BEARER)).status_code == 200
        listed = (await client.get("/api/v2/silences")).json()
        check(contract, "gettableSilences", listed)
        assert [(item["status"]["state"], item["comment"]) for item in listed] == [("expired", "more")]
        assert (await client.get("/api/v2/silences?expired=false")).json() == []
        assert (await client.delete("/api/v2/silence/nothing", headers=world.BEARER)).status_code == 404
        assert (await client.get("/api/v2/silence/nothing")).status_code == 404


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"id": "nothing"}, 404),
        ({"matchers": []}, 400),
        ({"matchers": [{"name": "a", "value": "(", "isRegex": True}]}, 400),
        ({"matchers": [{"name": "", "value": "x", "isRegex": False}]}, 400),
        ({"endsAt": "2026-11-23T06:00:00Z"}, 400),
        ({"endsAt": "later"}, 400),
        ({"comment": None}, 400),
    ],
    ids=str,
)
async def test_bad_silences(more: dict[str, Any], status: int) -> None:
    found = world.World()
    async with world.client(found) as client:
        response = await client.post("/api/v2/silences", json=SILENCE | more, headers=world.BEARER)
    assert response.status_code == status
    assert isinstance(response.json(), str)
    assert found.silences.found == {}


async def test_silences_are_filtered_and_in_order() -> None:
    found = world.World()
    shop, cart = (alerts.Matcher("service", "=", name) for name in ("shop", "cart"))
    for silence_id, matcher, start, end in (
        ("ended-first", shop, -200, -100),
        ("ended-last", shop, -200, -50),
        ("coming", shop, 100, 200),
        ("long", cart, -10, 500),
        ("short", shop, -10, 50),
    ):
        found.silences.found[silence_id] = alerts.Silence(silence_id, (matcher,), NOW + start, NOW + end, "me", "x")

    async def ids(**params: Any) -> list[str]:
        return [one["id"] for one in (await get(found, "/api/v2/silences", **params)).json()]

    assert await ids() == ["short", "long", "coming", "ended-last", "ended-first"]
    assert await ids(filter="service=cart") == ["long"]
    assert await ids(active="false", expired="false") == ["coming"]


async def test_status_and_receivers(contract: dict[str, Any]) -> None:
    found = world.World()
    status = (await get(found, "/api/v2/status")).json()
    check(contract, "alertmanagerStatus", status)
    assert status["cluster"]["status"] == "disabled"
    assert status["config"]["original"] == ""
    async with world.client(found) as client:
        shown = (await client.get("/api/v2/status", headers=world.BEARER)).json()
    assert shown["config"]["original"] == "web: {}"
    receivers = (await get(found, "/api/v2/receivers")).json()
    assert receivers == [{"name": "team"}]
