"""`tidegate setup elasticsearch`: what is sent, what a smaller server gets instead, and what is said about it."""

from __future__ import annotations

import collections.abc
import pathlib

import orjson
import pytest

from tests.faults import fake, fronts
from tidegate.logs.elasticsearch import mapping, templates
from tidegate.model import problems, settings

CONFIG = settings.Elasticsearch(urls=("http://es:9200",), retention=86_400.0)


class Server(fake.Elasticsearch):
    """Takes templates; lacks what it is told to lack."""

    def __init__(self, *lacks: str) -> None:
        super().__init__()
        self.puts: dict[str, dict[str, object]] = {}
        self._lacks = lacks

    def handle(self, method: str, target: str, headers: collections.abc.Mapping[str, str], body: bytes) -> fake.Answer:
        for word in self._lacks:
            if f'"{word}"'.encode() in body:
                known = mapping.FALLBACKS
                reason = (
                    f"No handler for type [{word}] declared on field [x]"
                    if word in known
                    else f"unknown setting [{word}]"
                )
                return fake.error(400, "illegal_argument_exception", reason)
        self.puts[f"{method} {target}"] = orjson.loads(body)
        return fake.Answer(200, b'{"acknowledged":true}')


async def test_a_full_server() -> None:
    server = Server()
    report = await templates.install(CONFIG, dry_run=False, node_class=fronts.node(server))
    assert report == [
        "ingest pipeline tidegate-logs: installed, writes `event.ingested`",
        "component template tidegate-logs: installed",
        "index template tidegate-logs: installed for logs-*-*, priority 150, kept for 1 days",
    ]
    template = server.puts["PUT /_index_template/tidegate-logs"]
    assert template["template"]["lifecycle"] == {"data_retention": "86400s"}  # type: ignore[index]
    assert template["data_stream"] == {}


async def test_a_small_server_is_told_of() -> None:
    server = Server("wildcard", "match_only_text", "lifecycle", "ignore_dynamic_beyond_limit")
    report = await templates.install(CONFIG, dry_run=False, node_class=fronts.node(server))
    assert "kept for ever" in report[2]
    assert {line.split(";")[0] for line in report[3:]} == {
        "left out: this server has no field type wildcard",
        "left out: this server has no field type match_only_text",
        "left out: this server has no `ignore_dynamic_beyond_limit` setting",
        "left out: this server has no data stream lifecycle, so nothing removes old lines",
    }
    fields = server.puts["PUT /_component_template/tidegate-logs"]["template"]["mappings"]["properties"]  # type: ignore[index]
    assert fields["message"] == {"type": "text"}


async def test_dry_run_prints_requests() -> None:
    pipeline, first, second = await templates.install(CONFIG, dry_run=True)
    assert pipeline.startswith("PUT /_ingest/pipeline/tidegate-logs\n{")
    assert first.startswith("PUT /_component_template/tidegate-logs\n{")
    assert orjson.loads(second.partition("\n")[2])["index_patterns"] == ["logs-*-*"]


async def test_a_policy_instead_of_the_streams_own_lifecycle() -> None:
    server = Server()
    given = CONFIG.model_copy(update={"lifecycle": "policy", "failure_store": True})
    report = await templates.install(given, dry_run=False, node_class=fronts.node(server))
    assert report[1] == "lifecycle policy tidegate-logs: installed"
    assert "kept for 1 days" in report[-1]
    phases = server.puts["PUT /_ilm/policy/tidegate-logs"]["policy"]["phases"]  # type: ignore[index]
    assert phases["delete"] == {"min_age": "86400s", "actions": {"delete": {}}}
    template = server.puts["PUT /_index_template/tidegate-logs"]["template"]
    index = template["settings"]["index"]  # type: ignore[index]
    assert index["lifecycle"] == {"name": "tidegate-logs"}
    assert index["final_pipeline"] == "tidegate-logs"
    assert template["data_stream_options"] == {"failure_store": {"enabled": True}}  # type: ignore[index]
    assert "lifecycle" not in template  # type: ignore[operator]
    shown = await templates.install(given, dry_run=True)
    assert [line.partition("\n")[0] for line in shown] == list(server.puts)


async def test_a_server_without_policies_and_failure_store() -> None:
    server = Server("data_stream_options")
    given = CONFIG.model_copy(update={"failure_store": True})
    report = await templates.install(given, dry_run=False, node_class=fronts.node(server))
    assert report[-1] == "left out: this server has no failure store"
    server = Server()
    handle = server.handle
    server.handle = lambda method, target, headers, body: (  # type: ignore[method-assign]
        fake.error(400, "illegal_argument_exception", f"no handler found for uri [{target}] and method [PUT]")
        if "/_ilm/" in target
        else handle(method, target, headers, body)
    )
    given = CONFIG.model_copy(update={"lifecycle": "policy"})
    with pytest.raises(problems.PermanentError, match="no index lifecycle management; set"):
        await templates.install(given, dry_run=False, node_class=fronts.node(server))


async def test_a_server_without_processors() -> None:
    server = Server()
    handle = server.handle
    server.handle = lambda method, target, headers, body: (  # type: ignore[method-assign]
        fake.error(400, "parse_exception", "No processor type exists with name [set]")
        if "/_ingest/" in target
        else handle(method, target, headers, body)
    )
    report = await templates.install(CONFIG, dry_run=False, node_class=fronts.node(server))
    assert report[-1] == "left out: this server has no `set` processor, so `event.ingested` is not written"
    index = server.puts["PUT /_index_template/tidegate-logs"]["template"]["settings"]["index"]  # type: ignore[index]
    assert "final_pipeline" not in index


async def test_refusals_and_silence() -> None:
    refusing = Server("date")
    with pytest.raises(problems.PermanentError, match="component template tidegate-logs: HTTP 400"):
        await templates.install(CONFIG, dry_run=False, node_class=fronts.node(refusing))
    overloaded = fake.Elasticsearch()
    overloaded.handle = lambda *_: fake.Answer(503, b"busy")  # type: ignore[method-assign]
    with pytest.raises(problems.TransientError, match="HTTP 503: busy"):
        await templates.install(CONFIG, dry_run=False, node_class=fronts.node(overloaded))


def test_field_types_are_those_of_ecs(conformance: pathlib.Path) -> None:
    rows = (line.split(",") for line in (conformance / "ecs/fields.csv").read_text().splitlines()[1:])
    ecs = {row[0]: row[1] for row in rows}
    ours = {name: str(field["type"]) for name, field in mapping.properties().items()}
    strangers = {name for name in ours if name not in ecs}
    assert strangers == {
        "log.offset",
        "log.flags",
        "log.iostream",
        "kubernetes.pod.name",
        "kubernetes.pod.uid",
        "kubernetes.namespace",
        "kubernetes.container.name",
    }
    different = {name: (kind, ecs[name]) for name, kind in ours.items() if name in ecs and ecs[name] != kind}
    assert different == {"labels": ("flattened", "object")}
