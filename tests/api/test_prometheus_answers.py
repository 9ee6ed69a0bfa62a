"""The query API against a real Prometheus that holds the same samples: the same requests, the same answers."""

from __future__ import annotations

import asyncio
import json
import pathlib
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import pytest

from tests.api import world
from tests.gate import fakes
from tests.services import prometheus
from tidegate.kit import http, telemetry
from tidegate.metrics import adhoc, store
from tidegate.metrics.promql import engine
from tidegate.model import labels, series

Params: TypeAlias = list[tuple[str, str | int | float | bool | None]]
START = 1_790_000_000
STEP = 15
ROWS = 80
END = START + STEP * (ROWS - 1)
SERIES = [
    labels.make(__name__="http_requests_total", job="shop", instance=f"shop-{number}:80", code=code)
    for number in range(3)
    for code in ("200", "500")
] + [
    labels.make(__name__="up", job="shop", instance="shop-0:80"),
    labels.make(__name__="up", job="cart", instance="cart-0:80"),
    labels.make({"__name__": "http.status", "http.code": "a b", "job": "shop"}),
]


def samples() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """[rows, series]."""
    random = np.random.default_rng(5)
    counters = np.cumsum(random.integers(0, 9, (ROWS, 6)), axis=0)
    return np.hstack([counters, np.ones((ROWS, 1)), random.integers(0, 2, (ROWS, 1)), random.random((ROWS, 1)) * 1e-7])


def text(of: labels.Labels) -> str:
    pairs = ",".join(f'"{name}"="{value}"' for name, value in of if name != labels.NAME)
    return f'{{"{labels.get(of, labels.NAME)}",{pairs}}}'


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: pathlib.Path) -> Iterator[prometheus.Server]:
    assert prometheus_binary
    folder = tmp_path_factory.mktemp("blocks")
    values = samples()
    with (folder / "samples").open("w") as file:
        for column, of in enumerate(SERIES):
            for row in range(ROWS):
                file.write(f"{text(of)} {float(values[row, column])!r} {START + STEP * row}\n")
        file.write("# EOF\n")
    prometheus.backfill(folder / "samples", folder / "data")
    with prometheus.running(data=folder / "data") as server:
        yield server


@pytest.fixture
def ours(tmp_path: pathlib.Path) -> world.World:
    kept = store.Store(tmp_path, fakes.Clock(END), telemetry.Registry(), retention=ROWS * STEP * 2)
    table = kept.table("shop", STEP)
    columns = np.array([table.column(of) for of in SERIES], np.int32)
    for row, values in enumerate(samples()):
        table.append((START + STEP * row) * 1000, columns, values)
    return world.World(queries=adhoc.Adhoc(engine.Engine(kept), kept))


def ask_real(server: prometheus.Server, path: str, params: Params) -> tuple[int, Any]:
    url = f"{server.url}{path}?{urllib.parse.urlencode(params)}"
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def query(text: str, **more: str) -> tuple[str, Params]:
    return "/api/v1/query", [("query", text), *({"time": str(END)} | more).items()]


def over(text: str, **more: str) -> tuple[str, Params]:
    given = {"start": str(START + 300), "end": str(END), "step": "30s"} | more
    return "/api/v1/query_range", [("query", text), *given.items()]


def listing(path: str, *params: tuple[str, str]) -> tuple[str, Params]:
    return f"/api/v1/{path}", list(params)


SAME = [
    query("up"),
    query("1+1"),
    query('"text"'),
    query("sum by (job) (rate(http_requests_total[5m]))"),
    query("http_requests_total[1m]"),
    query('{"http.status"}'),
    query("up", time="2026-09-21T14:30:00Z"),
    query("up", time=""),
    query("up", limit="1"),
    query("http_requests_total", limit="100"),
    query("sort_desc(http_requests_total)"),
    query("rate(up[5m])"),
    query("histogram_quantile(2, up)"),
    query("up / 0"),
    query("nonsense"),
    query("up", lookback_delta="1s", time=str(END + 5)),
    query("up", lookback_delta="10s", time=str(END + 5)),
    over("up"),
    over("1"),
    over("sum(rate(http_requests_total[1m]))"),
    over("http_requests_total", limit="2"),
    over("http_requests_total", step="7.5"),
    listing("series", ("match[]", "up")),
    listing("series", ("match[]", 'http_requests_total{code=~"5.*"}'), ("match[]", 'up{job="shop"}')),
    listing("series", ("match[]", "up"), ("limit", "1")),
    listing("series", ("match[]", "up"), ("start", str(END + 1)), ("end", str(END + 2))),
    listing("labels"),
    listing("labels", ("match[]", "up")),
    listing("labels", ("match[]", "up"), ("match[]", "http_requests_total")),
    listing("labels", ("limit", "1")),
    listing("label/job/values"),
    listing("label/__name__/values"),
    listing("label/instance/values", ("match[]", 'up{job="cart"}')),
    listing("label/none/values"),
    listing("label/U__http_2e_code/values"),
    listing("label/job/values", ("limit", "1")),
    listing("metadata"),
    listing("alerts"),
    listing("rules"),
    listing("targets"),
    listing("targets", ("state", "dropped")),
    listing("scrape_pools"),
    listing("status/walreplay"),
]


def normal(path: str, body: Any) -> Any:
    """What has no order, sorted."""
    data = body.get("data")
    for kind in ("infos", "warnings"):
        if kind in body:
            body[kind] = sorted(re.sub(r" \(\d+:\d+\)$", "", one) for one in body[kind])
    if path.endswith("/query") and data and data["resultType"] == "vector" and "sort" not in path:
        data["result"].sort(key=lambda one: sorted(one["metric"].items()))
    if path.endswith("/query_range") and data:
        for one in data["result"]:  # sums are taken in another order
            one["values"] = [[at, f"{float(value):.12g}"] for at, value in one["values"]]
    if path.endswith("/series") and data:
        data.sort(key=lambda one: sorted(one.items()))
    return body


@pytest.mark.parametrize(("path", "params"), SAME, ids=str)
async def test_the_same_answer(real: prometheus.Server, ours: world.World, path: str, params: Params) -> None:
    if path in ("/api/v1/rules", "/api/v1/targets", "/api/v1/scrape_pools"):
        ours.rules.found, ours.targets.found = [], []
    status, expected = ask_real(real, path, params)
    async with world.client(ours) as client:
        got = await client.get(path, params=params)
    assert got.status_code == status
    shape = trimmed if "limit" in dict(params) else normal
    assert shape(path, got.json()) == shape(path, expected)


def trimmed(_path: str, body: Any) -> Any:
    """Which things a limit lets through is not the same everywhere: how many they are is. A warning is not always given."""
    data = body["data"]
    found = data["result"] if isinstance(data, dict) else data
    return body | {"data": len(found), "warnings": None}


BAD = [
    query(""),
    query("up", time="x"),
    query("up", timeout="x"),
    query("up", timeout="0"),
    query("up", limit="-1"),
    query("up", limit="x"),
    query("up", lookback_delta="x"),
    query("up {"),
    query("rate(up)"),
    query("up + on(job) group_left http_requests_total + on(job) up"),
    over("up", start=""),
    over("up", end="x"),
    over("up", end="1"),
    over("up", step="0"),
    over("up", step="x"),
    over("up", step="NaN"),
    over("up", step="1ms"),
    over("up[1m]"),
    listing("series"),
    listing("series", ("match[]", "up{")),
    listing("series", ("match[]", '{x=~".*"}')),
    listing("series", ("match[]", "up"), ("start", "x")),
    listing("labels", ("match[]", '{job!="x"}')),
    listing("labels", ("end", "x")),
    listing("label/job/values", ("limit", "x")),
    listing("rules", ("type", "x")),
    listing("rules", ("match[]", "x{")),
    listing("rules", ("exclude_alerts", "maybe")),
    listing("rules", ("group_next_token", "x")),
    listing("rules", ("group_limit", "0")),
    listing("rules", ("group_limit", "x")),
    listing("rules", ("group_limit", "1"), ("group_next_token", "x")),
    listing("status/tsdb", ("limit", "0")),
    listing("status/tsdb", ("limit", "100000")),
    listing("metadata", ("limit", "x")),
    listing("format_query", ("query", "up{")),
    listing("query_exemplars", ("query", "up{")),
    listing("query_exemplars", ("query", "up"), ("start", "5"), ("end", "4")),
    listing("targets/metadata", ("limit", "x")),
    listing("targets/metadata", ("match_target", "{")),
]


@pytest.mark.parametrize(("path", "params"), BAD, ids=str)
async def test_the_same_refusal(real: prometheus.Server, ours: world.World, path: str, params: Params) -> None:
    status, expected = ask_real(real, path, params)
    async with world.client(ours) as client:
        got = await client.get(path, params=params)
    body = got.json()
    assert (got.status_code, set(body), body["errorType"]) == (status, set(expected), expected["errorType"])
    assert beginning(body["error"]) == beginning(expected["error"])


def beginning(error: str) -> str:
    """What an error says first, without the place in the query: that is written in another form."""
    return re.sub(r"(1:\d+: )?parse error.*|match\[\] must contain.*", "parse error", error).split(":")[0]


COMMANDS = [
    (["instant", "URL", "sum by (job) (up)"], 'job="cart"'),
    (["range", "--start", str(START), "--end", str(END), "--step", "60s", "URL", "up"], "up{"),
    (["series", "--match", "up", "URL"], 'instance="shop-0:80"'),
    (["labels", "URL", "job"], "cart\nshop"),
]


@pytest.mark.parametrize(("arguments", "said"), COMMANDS, ids=lambda value: str(value)[:20])
async def test_promtool_asks_us(promtool: pathlib.Path, ours: world.World, arguments: list[str], said: str) -> None:
    async with world.serving(ours) as server:
        words = [server.url if word == "URL" else word for word in arguments]
        more = ["--time", str(END)] if arguments[0] == "instant" else []
        command = [str(promtool), "query", words[0], *more, *words[1:]]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


async def test_cardinality(ours: world.World) -> None:
    async with world.client(ours) as client:
        body = (await client.get("/api/v1/status/tsdb", params={"limit": "2"})).json()["data"]
    assert body["headStats"] == {
        "numSeries": 9, "numLabelPairs": 12, "chunkCount": 0, "minTime": START * 1000, "maxTime": END * 1000
    }  # fmt: skip
    assert body["seriesCountByMetricName"] == [
        {"name": "http_requests_total", "value": 6},
        {"name": "up", "value": 2},
    ]
    assert body["seriesCountByLabelValuePair"][0] == {"name": "job=shop", "value": 8}


async def test_statistics_are_given_when_asked_for(ours: world.World) -> None:
    async with world.client(ours) as client:
        body = (await get(client, "/api/v1/query", query="up", stats="all"))["data"]
        assert set(body["stats"]["timings"]) == {"evalTotalTime", "execQueueTime", "execTotalTime"}
        odd = await get(client, "/api/v1/query", query="up", stats="yes")
        assert "deprecated" in odd["warnings"][0]


async def test_the_tree_and_the_layout_of_a_query(real: prometheus.Server, ours: world.World) -> None:
    path, params = listing("format_query", ("query", "sum by(job)(rate(up [5m]))"))
    async with world.client(ours) as client:
        got = await client.get(path, params=params)
    assert got.json() == ask_real(real, path, params)[1]


async def test_what_targets_say_of_their_metrics(ours: world.World) -> None:
    one, other = fakes.target("a:1").target, fakes.target("b:1").target
    gauge, counter = series.Metadata("up", "gauge", "Whether.", ""), series.Metadata("x", "counter", "How many.", "s")
    ours.said = [(one, gauge), (other, gauge), (other, counter), (other, series.Metadata("up", "gauge", "Else.", ""))]
    shown = {"type": "gauge", "help": "Whether.", "unit": ""}
    async with world.client(ours) as client:
        assert (await get(client, "/api/v1/metadata", metric="up", limit_per_metric="1"))["data"] == {"up": [shown]}
        every = (await get(client, "/api/v1/metadata"))["data"]
        assert {name: len(found) for name, found in every.items()} == {"up": 2, "x": 1}
        ours.said_by_senders = [series.Metadata("pushed", "gauge", "", "")]
        assert list((await get(client, "/api/v1/metadata"))["data"]) == ["up", "x", "pushed"]
        assert len((await get(client, "/api/v1/metadata", limit="1"))["data"]) == 1
        by_target = await get(client, "/api/v1/targets/metadata", match_target='{instance="a:1"}')
        assert by_target["data"] == [{"target": dict(one.labels), "metric": "up", **shown}]
        named = (await get(client, "/api/v1/targets/metadata", metric="x"))["data"]
        assert named == [{"target": dict(other.labels), "type": "counter", "help": "How many.", "unit": "s"}]


async def test_exemplars_of_the_series_that_a_query_selects(ours: world.World) -> None:
    of = labels.make(__name__="http_requests_total", job="shop")
    ours.traced = {of: [series.Exemplar(labels.make(trace_id="t1"), 2.0, 5000)], labels.make(__name__="b"): []}
    async with world.client(ours) as client:
        query = "rate(http_requests_total[5m]) / up"
        found = (await get(client, "/api/v1/query_exemplars", query=query, start="0", end="10"))["data"]
        assert found == [
            {"seriesLabels": dict(of), "exemplars": [{"labels": {"trace_id": "t1"}, "value": "2", "timestamp": 5}]}
        ]
        assert (await get(client, "/api/v1/query_exemplars", query=query, start="6", end="10"))["data"] == []


async def get(client: http.Client, path: str, **params: str) -> Any:
    return (await client.get(path, params=params)).json()
