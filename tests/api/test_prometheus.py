"""Prometheus' API: its JSON, its number formats, its errors."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api import world
from tests.gate import fakes
from tidegate.api import endpoint, goformat, times
from tidegate.api.prom import answers
from tidegate.api.prom import runner as runner_
from tidegate.kit import http
from tidegate.model import labels, ports, problems, rules, series

NOW = fakes.NOW


async def get(found: world.World, path: str, **more: Any) -> http.Response:
    async with world.client(found) as client:
        return await client.request(more.pop("method", "GET"), path, **more)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (0.1, "0.1"), (-2.5, "-2.5"), (1e15, "1000000000000000"),
        (1e16, "10000000000000000"), (123456789012345678.0, "123456789012345680"), (1e20, "100000000000000000000"),
        (1e21, "1e+21"), (1.5e300, "1.5e+300"), (1e-5, "0.00001"), (1e-6, "0.000001"), (1.5e-7, "1.5e-07"),
        (1e-100, "1e-100"), (float("nan"), "NaN"), (float("inf"), "+Inf"), (float("-inf"), "-Inf"),
        (1 / 3, "0.3333333333333333"),
    ],
)  # fmt: skip
def test_sample_values_are_gos(value: float, text: str) -> None:
    assert goformat.sample(value) == text


@given(st.floats(allow_nan=False))
def test_sample_values_read_back_the_same(value: float) -> None:
    assert float(goformat.sample(value)) == value
    assert float(goformat.scientific(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0e+00"), (1.0, "1e+00"), (0.4167, "4.167e-01"), (1e100, "1e+100"), (float("inf"), "+Inf")],
)
def test_alert_values_are_gos(value: float, text: str) -> None:
    assert goformat.scientific(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0s"),
        (15, "15s"),
        (90, "1m30s"),
        (0.5, "500ms"),
        (3600, "1h"),
        (86400, "1d"),
        (604800, "1w"),
        (608400, "7d1h"),
        (31536000, "1y"),
    ],
)
def test_durations_are_prometheus(value: float, text: str) -> None:
    assert goformat.duration(value) == text


def test_times_are_read_in_both_forms() -> None:
    assert times.parse("1435781451.781") == 1435781451.781
    assert times.parse("2015-07-01T20:10:51.781Z") == 1435781451.781
    assert times.parse("2015-07-01T22:10:51.781123456+02:00") == pytest.approx(1435781451.781123)
    for bad in ("", "now", "nan", "inf", "1e300", "2015-07-01", "2015-07-01T20:10:51"):
        with pytest.raises(ValueError, match=r"."):
            times.parse(bad)


async def test_instant_query() -> None:
    found = world.World()
    body = (await get(found, "/api/v1/query", params={"query": "up", "time": "1435781451.781"})).json()
    assert body == {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [
                {"metric": {"__name__": "up", "job": "cart"}, "value": [1435781451.781, "1"]},
                {"metric": {"__name__": "up", "job": "shop"}, "value": [1435781451.781, "NaN"]},
            ],
        },
    }
    assert len((await get(found, "/api/v1/query", params={"query": "up", "limit": "1"})).json()["data"]["result"]) == 1
    posted = await get(found, "/api/v1/query?time=1", method="POST", data={"query": "up", "time": "7"})
    assert posted.json()["data"]["result"][0]["value"][0] == 7


async def test_scalars_and_strings() -> None:
    results: list[tuple[series.Result, dict[str, Any]]] = [
        (series.Scalar(2.5, 7500), {"resultType": "scalar", "result": [7.5, "2.5"]}),
        (series.String("a", 7000), {"resultType": "string", "result": [7, "a"]}),
    ]
    for result, shown in results:
        found = world.World(engine=world.Engine(lambda _, value=result: value))  # type: ignore[misc]
        assert (await get(found, "/api/v1/query", params={"query": "x"})).json()["data"] == shown


async def test_range_query() -> None:
    found = world.World()
    given = {"query": "up", "start": "100", "end": "160", "step": "30s"}
    body = (await get(found, "/api/v1/query_range", params=given)).json()
    assert body["data"] == {
        "resultType": "matrix",
        "result": [{"metric": {"__name__": "up", "job": "shop"}, "values": [[100, "0"], [130, "0.5"], [160, "1"]]}],
    }


@pytest.mark.parametrize(
    ("path", "params", "said"),
    [
        ("query", {"query": "up", "time": "x"}, 'invalid parameter "time"'),
        ("query", {"query": "up", "timeout": "x"}, 'invalid parameter "timeout"'),
        ("query", {"query": "up", "limit": "-1"}, "limit"),
        ("query", {"query": "bad("}, "unknown function bad"),
        ("query_range", {"query": "up", "end": "1", "step": "1"}, 'invalid parameter "start"'),
        ("query_range", {"query": "up", "start": "2", "end": "1", "step": "1"}, "before start"),
        ("query_range", {"query": "up", "start": "0", "end": "1", "step": "0"}, "zero or negative"),
        ("query_range", {"query": "up", "start": "0", "end": "1", "step": "nan"}, 'invalid parameter "step"'),
        ("query_range", {"query": "up", "start": "0", "end": "11001", "step": "1"}, "maximum resolution of 11,000"),
        ("series", {}, "no match[]"),
        ("rules", {"type": "x"}, "type"),
    ],
    ids=str,
)
async def test_bad_requests(path: str, params: dict[str, str], said: str) -> None:
    response = await get(world.World(), f"/api/v1/{path}", params=params)
    body = response.json()
    assert response.status_code == 400
    assert set(body) == {"status", "errorType", "error"}
    assert (body["status"], body["errorType"]) == ("error", "bad_data")
    assert said in body["error"]


@pytest.mark.parametrize(
    ("kind", "status"), [("execution", 422), ("timeout", 503), ("canceled", 503), ("internal", 500)]
)
async def test_errors_of_evaluation(kind: str, status: int) -> None:
    def work(at: float) -> series.Result:
        raise problems.QueryError("too much", kind=kind)

    response = await get(world.World(engine=world.Engine(work)), "/api/v1/query", params={"query": "x"})
    assert response.status_code == status
    assert response.json() == {"status": "error", "errorType": kind, "error": "too much"}


async def test_a_slow_query_times_out_and_the_gate_answers_meanwhile() -> None:
    release = threading.Event()

    def work(at: float) -> series.Result:
        release.wait(10)
        return series.Scalar(1, 0)

    found = world.World(engine=world.Engine(work))
    async with world.client(found) as client:
        started = time.perf_counter()
        response = await client.get("/api/v1/query", params={"query": "x", "timeout": "100ms"})
        assert (response.status_code, response.json()["errorType"]) == (503, "timeout")
        assert (await client.get("/v1/gate/production/shop")).status_code == 200
        assert time.perf_counter() - started < 5
        release.set()


async def test_too_many_queries_are_refused() -> None:
    runner = runner_.Runner()
    runner._queued = runner_.WAITING
    with pytest.raises(endpoint.Failure, match="too many queries") as caught:
        await runner.run(lambda: 1, 1)
    assert caught.value.status == 503
    runner._queued = 0
    assert await runner.run(lambda: 1, 1) == 1
    runner.close()


def status_of(rule: rules.Rule, **more: Any) -> ports.RuleStatus:
    return dataclasses.replace(ports.RuleStatus(rule, "ok", last_evaluation=NOW - 3, duration=0.001), **more)


async def test_rules_with_our_fields() -> None:
    often = rules.AlertingRule(
        "Often", "x > 1", share=rules.Share(3, 5), resolve_expr="x < 0", no_data="keep", severity="low"
    )
    found = world.World()
    found.rules.found = [fakes.group(status_of(often), status_of(rules.AlertingRule("Plain", "x > 1", hold=60)))]
    (group,) = (await get(found, "/api/v1/rules")).json()["data"]["groups"]
    ours = {"for": "3 of 5", "resolveQuery": "x < 0", "noData": "keep", "severity": "low"}
    assert {name: group["rules"][0][name] for name in (*ours, "duration")} == ours | {"duration": 2 * 15.0}
    assert not set(ours) & set(group["rules"][1])


async def test_rules_with_their_alerts() -> None:
    critical = rules.AlertingRule("ShopErrors", "x > 0.5", labels.make(severity="critical"), hold=60)
    warning = rules.AlertingRule(
        "ShopErrors", "x > 0.1", labels.make(severity="warning"), labels.make(summary="{{ $value }}")
    )
    recording = rules.RecordingRule("a:b", "sum(c)")
    statuses = (status_of(critical), status_of(warning), status_of(recording, health="err", error="boom"))
    found = world.World()
    found.rules.found = [fakes.group(*statuses)]
    first, second, _ = found.rules.found[0].group.rule_keys()
    found.book.alerts = [
        dataclasses.replace(fakes.alert(), rule=first),
        dataclasses.replace(fakes.alert(severity="warning", state="pending"), rule=second),
        fakes.alert("Other", state="resolved"),
    ]
    (group,) = (await get(found, "/api/v1/rules")).json()["data"]["groups"]
    assert (group["name"], group["file"], group["interval"]) == ("shop", "shop.yaml", 15.0)
    assert group["lastEvaluation"] == "2026-11-23T07:13:17.000Z"
    assert [rule["state"] for rule in group["rules"][:2]] == ["firing", "pending"]
    assert group["rules"][0]["duration"] == 60
    assert group["rules"][0]["alerts"] == [
        {
            "labels": {
                "alertname": "ShopErrors",
                "environment": "production",
                "service": "shop",
                "severity": "critical",
            },
            "annotations": {},
            "state": "firing",
            "activeAt": "2026-11-23T07:11:20.000Z",
            "value": "4e-01",
        }
    ]
    assert (group["rules"][2]["type"], group["rules"][2]["health"], group["rules"][2]["lastError"]) == (
        "recording",
        "err",
        "boom",
    )

    async def names(**params: str) -> list[str]:
        body = (await get(found, "/api/v1/rules", params=params)).json()
        return [rule["name"] for one in body["data"]["groups"] for rule in one["rules"]]

    assert await names(type="record") == ["a:b"]
    assert await names(type="alert") == ["ShopErrors", "ShopErrors"]
    assert await names(**{"rule_name[]": "a:b"}) == ["a:b"]
    assert await names(**{"rule_group[]": "x"}) == []
    bare = (await get(found, "/api/v1/rules", params={"exclude_alerts": "true"})).json()
    assert bare["data"]["groups"][0]["rules"][0]["alerts"] is None


async def test_alerts_are_the_live_ones() -> None:
    found = world.World()
    found.book.alerts = [fakes.alert(), fakes.alert("B", state="pending"), fakes.alert("C", state="resolved")]
    body = (await get(found, "/api/v1/alerts")).json()
    assert [(one["labels"]["alertname"], one["state"]) for one in body["data"]["alerts"]] == [
        ("B", "pending"),
        ("ShopErrors", "firing"),
    ]


async def test_targets() -> None:
    found = world.World()
    found.targets.found.append(dataclasses.replace(fakes.target("b:1", health="unknown"), last_scrape=0.0, error=""))
    body = (await get(found, "/api/v1/targets")).json()["data"]
    assert body["droppedTargets"] == []
    assert body["activeTargets"][0] == {
        "discoveredLabels": {},
        "labels": {"environment": "production", "instance": "shop-1:80", "job": "shop", "service": "shop"},
        "scrapePool": "shop",
        "scrapeUrl": "http://shop-1:80/metrics",
        "globalUrl": "http://shop-1:80/metrics",
        "lastError": "",
        "lastScrape": "2026-11-23T07:13:15.000Z",
        "lastScrapeDuration": 0.012,
        "health": "up",
        "scrapeInterval": "15s",
        "scrapeTimeout": "10s",
    }
    assert body["activeTargets"][1]["lastScrape"] == "0001-01-01T00:00:00Z"
    assert (await get(found, "/api/v1/targets?state=dropped")).json()["data"]["activeTargets"] == []
    assert (await get(found, "/api/v1/targets?scrapePool=x")).json()["data"]["activeTargets"] == []


def test_large_results_are_encoded_quickly() -> None:
    matrix = series.Matrix(
        tuple(
            series.Series(
                labels.make(job=str(number)),
                np.arange(500, dtype=np.int64) * 15_000,
                np.random.default_rng(1).random(500),
            )
            for number in range(200)
        )
    )
    started = time.perf_counter()
    assert len(answers.result(matrix, 0)[0]["result"]) == 200
    assert time.perf_counter() - started < 3
