"""ECS documents as OpenTelemetry log records, read back by OpenTelemetry's own messages."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import hypothesis
import orjson
import pytest
from google.protobuf import json_format
from hypothesis import strategies
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2

from tests.faults import fake, fronts, outrig, peers
from tidegate.logs.outputs.otlp import json, protobuf, records

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
DOCUMENT = {
    "@timestamp": "2026-01-02T03:04:05.678901234Z",
    "message": "no money",
    "log": {"offset": 12, "level": "error", "file": {"path": "/var/log/a.log"}, "flags": ["truncated"]},
    "trace": {"id": TRACE},
    "span": {"id": SPAN},
    "error": {"type": "ValueError", "stack_trace": "Traceback"},
    "service": {"name": "shop", "version": "1.2", "environment": "production"},
    "labels": {"order": "7"},
    "event": {"dataset": "shop", "created": "2026-01-02T03:04:06Z"},
    "host": {"name": "n1"},
    "data_stream": {"type": "logs", "dataset": "shop", "namespace": "default"},
    "kubernetes": {"pod": {"name": "p", "uid": "u"}, "namespace": "ns", "container": {"name": "c"}},
    "ecs": {"version": "8.17.0"},
}


def decoded(
    documents: list[tuple[str, Mapping[str, Any]]], *, as_json: bool
) -> logs_service_pb2.ExportLogsServiceRequest:
    request = logs_service_pb2.ExportLogsServiceRequest()
    groups = records.grouped(documents)
    if as_json:
        json_format.Parse(peers._ids_as_base64(json.encode(groups)), request)
    else:
        request.ParseFromString(protobuf.encode(groups))
    return request


def one(request: logs_service_pb2.ExportLogsServiceRequest) -> logs_pb2.LogRecord:
    found: logs_pb2.LogRecord = request.resource_logs[0].scope_logs[0].log_records[0]
    return found


def plain(value: common_pb2.AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return {each.key: plain(each.value) for each in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


@pytest.mark.parametrize("as_json", [False, True])
def test_what_becomes_of_a_document(as_json: bool) -> None:
    request = decoded([("id-1", DOCUMENT)], as_json=as_json)
    record = one(request)
    assert record.time_unix_nano == 1767323045678901234
    assert record.observed_time_unix_nano == 1767323046 * 10**9
    assert (record.severity_number, record.severity_text) == (17, "error")
    assert record.body.string_value == "no money"
    assert (record.trace_id.hex(), record.span_id.hex()) == (TRACE, SPAN)
    assert {each.key: plain(each.value) for each in record.attributes} == {
        "log.record.uid": "id-1",
        "log.offset": 12,
        "log.file.path": "/var/log/a.log",
        "log.flags": ["truncated"],
        "exception.type": "ValueError",
        "exception.stacktrace": "Traceback",
        "order": "7",
        "event.dataset": "shop",
        "data_stream.type": "logs",
        "data_stream.dataset": "shop",
        "data_stream.namespace": "default",
    }
    assert {each.key: plain(each.value) for each in request.resource_logs[0].resource.attributes} == {
        "service.name": "shop",
        "service.version": "1.2",
        "deployment.environment.name": "production",
        "host.name": "n1",
        "k8s.pod.name": "p",
        "k8s.pod.uid": "u",
        "k8s.namespace.name": "ns",
        "k8s.container.name": "c",
    }


def test_documents_of_one_origin_share_a_resource() -> None:
    other = {**DOCUMENT, "service": {"name": "cart"}}
    request = decoded([("1", DOCUMENT), ("2", other), ("3", DOCUMENT)], as_json=False)
    assert [len(group.scope_logs[0].log_records) for group in request.resource_logs] == [2, 1]


@pytest.mark.parametrize(
    ("level", "number"),
    [("trace", 1), ("info", 9), ("notice", 10), ("warning", 13), ("critical", 21), ("odd", 0), ("", 0)],
)
def test_severity(level: str, number: int) -> None:
    record = one(decoded([("1", {"log": {"level": level}})], as_json=False))
    assert (record.severity_number, record.severity_text) == (number, level)


@pytest.mark.parametrize("bad", ["", "xyz", "0" * 32, TRACE + "0", 7])
def test_ids_that_are_none_stay_attributes(bad: object) -> None:
    record = one(decoded([("1", {"trace": {"id": bad}})], as_json=False))
    assert record.trace_id == b""
    assert ("trace.id", bad) in [(each.key, plain(each.value)) for each in record.attributes]


@pytest.mark.parametrize("bad", ["yesterday", "2026-13-01T00:00:00Z", None, 5, "2026-01-01T00:00:00"])
def test_times_that_are_none(bad: object) -> None:
    assert records.nanoseconds(bad) == 0


VALUES = strategies.recursive(
    strategies.text()
    | strategies.booleans()
    | strategies.integers(-(2**63), 2**63 - 1)
    | strategies.floats(allow_nan=False),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(), inner, max_size=3),
    max_leaves=8,
)


@hypothesis.given(
    strategies.dictionaries(strategies.text(), strategies.lists(VALUES, max_size=3), max_size=4), strategies.booleans()
)
def test_any_value_comes_back(values: dict[str, Any], as_json: bool) -> None:
    if as_json:  # JSON has no infinite numbers
        hypothesis.assume("null" not in orjson.dumps(values).decode())
    given = records.Record(attributes=list(values.items()))
    request = logs_service_pb2.ExportLogsServiceRequest()
    if as_json:
        json_format.Parse(json.encode({(): [given]}), request)
    else:
        request.ParseFromString(protobuf.encode({(): [given]}))
    assert [(each.key, plain(each.value)) for each in one(request).attributes] == list(values.items())


@hypothesis.given(strategies.integers(0, 2**63 - 1), strategies.text())
def test_partial_success_is_read(rejected: int, message: str) -> None:
    answer = logs_service_pb2.ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = rejected
    answer.partial_success.error_message = message
    assert protobuf.partial(answer.SerializeToString()) == (rejected, message)
    assert json.partial(json_format.MessageToJson(answer).encode()) == (rejected, message)


@hypothesis.given(strategies.binary(max_size=40))
def test_answers_of_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (protobuf.partial, json.partial):
        try:
            found = read(body)
        except ValueError:
            continue
        assert isinstance(found[0], int)


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
async def test_partial_success_makes_dead_letters(tmp_path: pathlib.Path, encoding: str) -> None:
    peer = peers.Otlp()
    peer.partial = "-7"
    async with fronts.http(peer) as url:
        given = {"otlp": {"url": f"{url}/v1/logs", "encoding": encoding, "max_records": 10}}
        async with outrig.running(tmp_path, given) as it:
            it.write(range(50))
            await it.until(lambda: it.metric("dead_letters_total") == 10)
            await it.until(lambda: len(peer.texts) == 49)
            letters = (it.data / "logs/dead-letters.jsonl").read_bytes().splitlines()
            assert "app.log-7" in {orjson.loads(row)["document"]["message"].removeprefix("seq=") for row in letters}
            assert "1 of 10 were refused" in orjson.loads(letters[0])["reason"]
            assert it.metric("otlp_partial_total") == 1
            assert peer.wrongs == []
            assert len(set(peer.uids)) == 49


async def test_a_page_is_no_receiver(tmp_path: pathlib.Path) -> None:
    peer = peers.Otlp()
    page = fake.Answer(200, b"<html>log in</html>", {"content-type": "text/html"})
    peer.whole.append(fake.times(2, page))
    async with fronts.http(peer) as url, outrig.running(tmp_path, {"otlp": {"url": f"{url}/v1/logs"}}) as it:
        it.write(range(5))
        await it.until(lambda: "not an OTLP receiver" in it.agent.streams()[-1].error)
        await it.stored(peer)
        assert it.verdict(peer).lost == 0
