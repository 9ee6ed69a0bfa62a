"""OTLP over HTTP: the OpenTelemetry SDK as the sender, its own messages as the oracle, and answers as the protocol says."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
import pathlib
from typing import Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped, unused-ignore]
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from tests.logs.inputs import peers
from tidegate.logs.formats import otlp as format_
from tidegate.logs.inputs import otlp, protobuf

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


def listener(**more: Any) -> dict[str, Any]:
    return {"otlp": {"in": {"listen": "127.0.0.1:0", **more}}}


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_sdk(tmp_path: pathlib.Path, compression: Compression) -> None:
    async with peers.running(tmp_path, listener(token="s3cret")) as it:
        host, port = await it.address("otlp-in")

        def send() -> None:
            resource = Resource.create(
                {"service.name": "cart", "service.version": "1.2", "deployment.environment.name": "prod", "team": "a"}
            )
            provider = LoggerProvider(resource=resource)
            exporter = OTLPLogExporter(
                f"http://{host}:{port}/v1/logs", headers={"authorization": "Bearer s3cret"}, compression=compression
            )
            provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_export_batch_size=100))
            log = logging.getLogger("shop.cart")
            log.propagate = False
            handler = LoggingHandler(logger_provider=provider)
            log.addHandler(handler)
            for number in range(1000):
                it.written.add(f"o-{number}")
                log.error("seq=o-%d", number, extra={"user": {"id": 7}, "ratio": 0.5})
            try:
                raise ValueError("broken")
            except ValueError:
                log.exception("seq=o-e")
                it.written.add("o-e")
            log.removeHandler(handler)
            provider.shutdown()

        await asyncio.to_thread(send)
        await it.stored()
        it.report(f"OpenTelemetry SDK, {compression.value}")
        found = {each["message"]: each for each in it.documents()}
        one = found["seq=o-1"]
        one["service"].pop("node", None)  # a random `service.instance.id`
        assert one["service"] == {"name": "cart", "version": "1.2", "environment": "prod"}
        assert (one["log"]["level"], one["log"]["logger"]) == ("error", "shop.cart")
        assert one["labels"]["team"] == "a"
        assert one["labels"]["ratio"] == "0.5"
        assert len(one["@timestamp"]) == len("2026-01-02T03:04:05.123456789Z")
        assert found["seq=o-e"]["error"]["type"] == "ValueError"
        assert "Traceback" in found["seq=o-e"]["error"]["stack_trace"]


def logs_request(*records: logs_pb2.LogRecord) -> logs_service_pb2.ExportLogsServiceRequest:
    scoped = logs_pb2.ScopeLogs(log_records=records)
    return logs_service_pb2.ExportLogsServiceRequest(resource_logs=[logs_pb2.ResourceLogs(scope_logs=[scoped])])


def text_record(text: str) -> logs_pb2.LogRecord:
    return logs_pb2.LogRecord(body=common_pb2.AnyValue(string_value=text), time_unix_nano=1_767_323_045_123_456_789)


async def test_answers_are_those_of_the_protocol(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, listener(), max_line_bytes=4096) as it:
        address = await it.address("otlp-in")
        both = logs_request(text_record("seq=a-1"), text_record("x" * 10_000))
        as_json = json_format.MessageToJson(both).encode()

        status, headers, body = await peers.request(
            address, both.SerializeToString(), path="/v1/logs", headers=PROTOBUF
        )
        assert (status, headers["content-type"]) == (200, "application/x-protobuf")
        told = logs_service_pb2.ExportLogsServiceResponse.FromString(body)
        assert told.partial_success.rejected_log_records == 1
        assert "4096 bytes" in told.partial_success.error_message

        packed = {**JSON, "content-encoding": "gzip"}
        status, headers, body = await peers.request(address, gzip.compress(as_json), path="/v1/logs", headers=packed)
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body)["partialSuccess"]["rejectedLogRecords"] == "1"

        fine = logs_request(text_record("seq=a-2")).SerializeToString()
        assert (await peers.request(address, fine, path="/v1/logs", headers=PROTOBUF))[::2] == (200, b"")
        assert (await peers.request(address, b"{}", path="/v1/logs", headers=JSON))[::2] == (200, b"{}")
        assert (await peers.request(address, b"", path="/v1/logs", headers=PROTOBUF))[::2] == (200, b"")
        for wrong in (b"\xff\xff", fine[:-3], b"\x0a\x05abc"):
            status, headers, body = await peers.request(address, wrong, path="/v1/logs", headers=PROTOBUF)
            assert (status, headers["content-type"]) == (400, "application/x-protobuf")
            assert b"not a log request" in body
        for text in (b"[]", b'{"resourceLogs":3}', b'{"resourceLogs":[{"scopeLogs":[1]}]}', b"{"):
            status, _, body = await peers.request(address, text, path="/v1/logs", headers=JSON)
            assert (status, "message" in json.loads(body)) == (400, True)
        status, _, _ = await peers.request(address, fine, path="/v1/logs", headers={"content-type": "text/plain"})
        assert status == 415
        await it.until(lambda: it.names().keys() == {"a-1", "a-2"})
        assert {each["@timestamp"] for each in it.documents()} == {"2026-01-02T03:04:05.123456789Z"}
        assert it.metric("input_refused_total", input="otlp-in", reason="record_too_large") == 2


TEXT = st.text(st.characters(codec="utf-8"), max_size=10)
VALUE = st.recursive(
    st.builds(lambda text: common_pb2.AnyValue(string_value=text), TEXT)
    | st.builds(lambda flag: common_pb2.AnyValue(bool_value=flag), st.booleans())
    | st.builds(lambda number: common_pb2.AnyValue(int_value=number), st.integers(-(2**63), 2**63 - 1))
    | st.builds(
        lambda number: common_pb2.AnyValue(double_value=number), st.floats(allow_nan=False, allow_infinity=False)
    )
    | st.builds(lambda raw: common_pb2.AnyValue(bytes_value=raw), st.binary(max_size=10)),
    lambda inner: (
        st.lists(inner, max_size=3).map(
            lambda parts: common_pb2.AnyValue(array_value=common_pb2.ArrayValue(values=parts))
        )
        | st.dictionaries(TEXT, inner, max_size=3).map(
            lambda parts: common_pb2.AnyValue(
                kvlist_value=common_pb2.KeyValueList(
                    values=[common_pb2.KeyValue(key=key, value=each) for key, each in parts.items()]
                )
            )
        )
    ),
    max_leaves=6,
)
RECORD = st.builds(
    logs_pb2.LogRecord,
    time_unix_nano=st.integers(0, 2**64 - 1),
    observed_time_unix_nano=st.integers(0, 2**64 - 1),
    severity_number=st.integers(0, 24),
    severity_text=TEXT,
    body=VALUE,
    attributes=st.lists(st.builds(lambda key, each: common_pb2.KeyValue(key=key, value=each), TEXT, VALUE), max_size=3),
    trace_id=st.binary(max_size=16),
    span_id=st.binary(max_size=8),
    dropped_attributes_count=st.integers(0, 2**32 - 1),
    flags=st.integers(0, 2**32 - 1),
)


@given(st.lists(RECORD, max_size=3))
def test_protobuf_is_read_as_google_reads_it(records: list[logs_pb2.LogRecord]) -> None:
    sent = logs_request(*records)
    expected = [format_.parse(each) for each in otlp.split(reference(sent))]
    assert [format_.parse(each) for each in otlp.split(protobuf.request(sent.SerializeToString()))] == expected


def reference(sent: logs_service_pb2.ExportLogsServiceRequest) -> dict[str, Any]:
    """OTLP's JSON by Google's library: ids are hex there, and not base64."""
    found: dict[str, Any] = json_format.MessageToDict(sent, use_integers_for_enums=True)
    for group in found.get("resourceLogs", []):
        for scoped in group.get("scopeLogs", []):
            for record in scoped.get("logRecords", []):
                for name in ("traceId", "spanId"):
                    if name in record:
                        record[name] = base64.b64decode(record[name]).hex()
    return found


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        found = list(otlp.split(protobuf.request(raw)))
    except ValueError:
        return
    for each in found:
        format_.parse(each)


def test_values_nested_too_deep_are_refused() -> None:
    value = common_pb2.AnyValue(string_value="x")
    for _ in range(40):
        value = common_pb2.AnyValue(array_value=common_pb2.ArrayValue(values=[value]))
    with pytest.raises(ValueError, match="32 levels"):
        protobuf.request(logs_request(logs_pb2.LogRecord(body=value)).SerializeToString())
