"""Rule groups that a real Prometheus evaluates: what they alert and record here, and what its absence does to them."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator

import pytest

from tests.rules import test_manager
from tests.services import prometheus
from tests.support import samples
from tidegate.kit import access, clock, http
from tidegate.metrics.remote import datasource
from tidegate.model import client, labels, problems, rules, series

AT = 1_700_000_000
SAMPLES = "# TYPE load gauge\n" + "".join(
    f'load{{node="{node}"}} {value + step} {AT + step * 60}\n'
    for node, value in (("a", 0), ("b", 100))
    for step in range(30)
)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory, prometheus_binary: pathlib.Path) -> Iterator[prometheus.Server]:
    folder = tmp_path_factory.mktemp("blocks")
    (folder / "samples").write_text(SAMPLES + "# EOF\n")
    prometheus.backfill(folder / "samples", folder / "data")
    with prometheus.running(data=folder / "data") as server:
        yield server


def engine(url: str, timeout: float = 30.0) -> datasource.RemoteEngine:
    way = client.PLAIN
    return datasource.RemoteEngine(
        datasource.Server("mimir", url, way, timeout), access.Access(way, clock.SystemClock())
    )


def failed(of: datasource.RemoteEngine, expr: str) -> tuple[str, str]:
    with pytest.raises(problems.QueryError) as caught:
        of.prepare(expr).instant(AT + 600.0)
    return caught.value.kind, str(caught.value)


def test_each_kind_of_result_is_read(peer: prometheus.Server) -> None:
    found = engine(peer.url)
    vector = found.prepare("load").instant(AT + 600.0)
    assert isinstance(vector, series.Vector)
    assert {dict(name)["node"]: value for name, value in zip(vector.labels, vector.values, strict=True)} == {
        "a": 10.0,
        "b": 110.0,
    }
    assert found.prepare("scalar(load{node='a'}) / 0").instant(AT + 600.0) == series.Scalar(
        float("inf"), (AT + 600) * 1000
    )
    assert found.prepare("'text'").instant(AT) == series.String("text", AT * 1000)
    matrix = found.prepare("sum(load)").range(AT, AT + 120.0, 60.0)
    assert [(each.times.tolist(), each.values.tolist()) for each in matrix.series] == [
        ([AT * 1000, (AT + 60) * 1000, (AT + 120) * 1000], [100.0, 102.0, 104.0])
    ]


def test_the_servers_own_errors_are_told(peer: prometheus.Server) -> None:
    many = "load * on() load"
    assert failed(engine(peer.url), many)[0] == "execution"
    assert "many-to-many" in failed(engine(peer.url), many)[1]
    assert failed(engine(peer.url), "histogram_quantiles(load, 'q', 0.5)")[0] == "bad_data"


def test_a_server_that_is_not_there_is_unavailable(peer: prometheus.Server) -> None:
    assert failed(engine(f"http://127.0.0.1:{prometheus.free_port()}"), "load")[0] == "unavailable"
    assert failed(engine(f"{peer.url}/nowhere"), "load")[0] == "unavailable"


def test_what_is_no_promql_is_refused_when_it_is_loaded() -> None:
    with pytest.raises(problems.QueryError):
        engine("http://127.0.0.1:1").prepare("load[")


def test_engines_of_equal_servers_are_equal() -> None:
    assert engine("http://a") == engine("http://a")
    assert engine("http://a") != engine("http://b")


ALERT = rules.AlertingRule("High", "load > 105")
RECORD = rules.RecordingRule("load:sum", "sum(load)")


async def test_a_group_is_evaluated_there_and_alerts_here(peer: prometheus.Server, tmp_path: pathlib.Path) -> None:
    world = test_manager.World(tmp_path, test_manager.Book())
    group = rules.Group("g", "f.yaml", (RECORD, ALERT), 10.0, datasource="mimir")
    load(world, group, peer.url)
    await world.evaluate(AT + 600.0)
    assert world.states() == {"High": "firing"}
    assert samples.read(world.store)["load:sum"] == [((AT + 600) * 1000, 120.0)]

    load(world, group, f"http://127.0.0.1:{prometheus.free_port()}")
    await world.evaluate(AT + 660.0)
    assert world.states() == {"High": "firing"}, "nothing is known of it, so it stays"
    assert {status.health for one in world.manager.groups() for status in one.rules} == {"err"}

    load(world, group, peer.url)
    await world.evaluate(AT + 86_400.0)
    assert world.book.told[-1] == ("High", "resolved")


async def test_no_data_and_the_end_of_alerts_are_asked_there(peer: prometheus.Server, tmp_path: pathlib.Path) -> None:
    world = test_manager.World(tmp_path, test_manager.Book())
    missing = dataclasses.replace(ALERT, no_data="alert", resolve_expr="load < 50")
    load(world, rules.Group("g", "f.yaml", (missing,), 10.0, datasource="mimir"), peer.url)
    await world.evaluate(AT + 600.0)
    assert {labels.get(one, "no_data") for one in world.book.kept} == {""}
    await world.evaluate(AT + 86_400.0)
    found = {labels.get(key, "no_data"): one for key, one in world.book.kept.items()}
    assert {key: (one.state, one.no_data_since) for key, one in found.items()} == {
        "": ("firing", AT + 86_400.0),
        "true": ("firing", 0.0),
    }


def load(world: test_manager.World, group: rules.Group, url: str) -> None:
    world.manager.set_rules(
        rules.RuleSet((group,)),
        external_url="http://t",
        external_labels={},
        resolved_retention=900.0,
        datasources={"mimir": engine(url)},
    )


async def test_html_with_an_error_status_is_not_an_answer(peer: prometheus.Server) -> None:
    async with http.client(timeout=5.0) as asking:
        with pytest.raises((problems.PermanentError, problems.TransientError)):
            await http.query(asking, f"{peer.url}/nowhere", {}, {})
