"""Strict peers of the outputs beside Elasticsearch, as HTTP servers that can be told to misbehave.

Each takes its documented form only, and remembers what it stored, in the order in which it came. What a client did
wrong is in `wrongs`. Faults are functions, as those of the fake Elasticsearch.
"""

from __future__ import annotations

import base64
import gzip
import time
from collections.abc import Mapping
from typing import Any

import moto.backends
import moto.moto_server.werkzeug_app
import orjson
import werkzeug.test
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.logs.v1 import logs_pb2

from tests.faults import fake


class Peer:
    """What they have in common: faults, compression, credentials."""

    dedupes = False
    """Whether what is stored has ids, by which a double is dropped."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        """The messages that were stored, doubles included."""
        self.requests: list[fake.Request] = []
        self.wrongs: list[str] = []
        self.whole: list[fake.Whole] = []
        self.after: list[fake.After] = []
        self.poison = ""
        """A request with a message that ends so is refused."""
        self.authorization: str | None = None
        self.most_bytes = 100 * 2**20

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> fake.Answer:
        """Answer one request."""
        lower = {name.lower(): value for name, value in headers.items()}
        if lower.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = fake.Request(method, target, lower, body)
        self.requests.append(request)
        for whole in self.whole:
            if (answer := whole(request)) is not None:
                return answer
        answer = self._refused(request) or self.take(request)
        for after in self.after:
            answer = after(answer)
        return answer

    def take(self, request: fake.Request) -> fake.Answer:
        """Store what a request brings."""
        raise NotImplementedError

    def wrong(self, what: str, status: int = 400) -> fake.Answer:
        """Remember what no peer would take, and refuse it."""
        self.wrongs.append(what)
        return fake.Answer(status, what.encode())

    def poisoned(self, texts: list[str]) -> bool:
        """Whether one of these is what we were told to refuse."""
        return bool(self.poison) and any(text.endswith(self.poison) for text in texts)

    def _refused(self, request: fake.Request) -> fake.Answer | None:
        if self.authorization is not None and request.headers.get("authorization") != self.authorization:
            return fake.Answer(401, b"who are you?")
        if len(request.body) > self.most_bytes:
            return fake.Answer(413, b"too large")
        return None


class Logstash(Peer):
    """The `http` input with its `json` codec, by content type."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        """What a pipeline with `document_id` would store."""

    def take(self, request: fake.Request) -> fake.Answer:
        """See `Peer`."""
        kind = request.headers.get("content-type", "")
        if request.method not in ("POST", "PUT") or kind not in ("application/json", "application/x-ndjson"):
            return self.wrong(f"{request.method} with {kind}")
        try:
            if kind == "application/json":
                documents = orjson.loads(request.body)
            else:
                documents = [orjson.loads(row) for row in request.body.splitlines()]
        except orjson.JSONDecodeError as error:
            return self.wrong(f"not JSON: {error}")
        texts = [each["message"] for each in documents]
        if self.poisoned(texts):
            return fake.Answer(400, b"told to refuse it")
        self.texts += texts
        self.ids |= {each["@metadata"]["_id"] for each in documents}
        return fake.Answer(200, b"ok", {"content-type": "text/plain"})


class Otlp(Peer):
    """`/v1/logs`, decoded by OpenTelemetry's own messages."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[logs_pb2.ResourceLogs] = []
        self.uids: list[str] = []
        self.partial = ""
        """Records with such a message are refused by a partial success."""

    def take(self, request: fake.Request) -> fake.Answer:
        """See `Peer`."""
        kind = request.headers.get("content-type", "")
        if request.method != "POST" or request.target != "/v1/logs":
            return self.wrong(f"{request.method} {request.target}", 404)
        asked = logs_service_pb2.ExportLogsServiceRequest()
        try:
            if kind == "application/json":
                json_format.Parse(_ids_as_base64(request.body), asked)
            elif kind == "application/x-protobuf":
                asked.ParseFromString(request.body)
            else:
                return self.wrong(f"with {kind}", 415)
        except (json_format.ParseError, DecodeError) as error:
            return self.wrong(f"not a request: {error}")
        found = [one for group in asked.resource_logs for scope in group.scope_logs for one in scope.log_records]
        if self.poisoned([one.body.string_value for one in found]):
            return fake.Answer(400, b"told to refuse it", {"content-type": kind})
        kept = [one for one in found if not self.partial or not one.body.string_value.endswith(self.partial)]
        self.groups += asked.resource_logs
        self.texts += [one.body.string_value for one in kept]
        self.uids += [
            pair.value.string_value for one in kept for pair in one.attributes if pair.key == "log.record.uid"
        ]
        answer = logs_service_pb2.ExportLogsServiceResponse()
        if len(kept) < len(found):
            answer.partial_success.rejected_log_records = len(found) - len(kept)
            answer.partial_success.error_message = "told to"
        is_json = kind == "application/json"
        body = json_format.MessageToJson(answer).encode() if is_json else answer.SerializeToString()
        return fake.Answer(200, body, {"content-type": kind})


def _ids_as_base64(body: bytes) -> bytes:
    """OTLP's JSON has ids in hexadecimal, where protobuf's own JSON has base64."""
    asked = orjson.loads(body)
    for group in asked["resourceLogs"]:
        for scope in group["scopeLogs"]:
            for one in scope["logRecords"]:
                for name in ("traceId", "spanId"):
                    if name in one:
                        one[name] = base64.b64encode(bytes.fromhex(one[name])).decode()
    return orjson.dumps(asked)


class CloudWatch(Peer):
    """Amazon's service as moto plays it; the limits that moto does not hold are held here."""

    def __init__(self) -> None:
        super().__init__()
        for backend in moto.backends.get_backend("logs").values():
            for region in backend.values():
                region.reset()
        self._aws = werkzeug.test.Client(moto.moto_server.werkzeug_app.create_backend_app("logs"))

    def take(self, request: fake.Request) -> fake.Answer:
        """See `Peer`."""
        action = request.headers.get("x-amz-target", "").removeprefix("Logs_20140328.")
        asked = orjson.loads(request.body)
        events = asked.get("logEvents", [])
        if action == "PutLogEvents" and (wrong := self._wrong(events)):
            return self.wrong(wrong)
        texts = [orjson.loads(each["message"])["message"] for each in events]
        if self.poisoned(texts):
            return self.failure(400, "InvalidParameterException", "told to refuse it")
        keep = {name: value for name, value in request.headers.items() if name != "content-length"}
        answer = self._aws.post("/", data=request.body, headers=keep)
        if answer.status_code != 200 or action != "PutLogEvents":
            return fake.Answer(answer.status_code, answer.data, dict(answer.headers.items()))
        told = orjson.loads(answer.data)
        first, last = self._borders(told.get("rejectedLogEventsInfo") or {}, events)
        self.texts += texts[first:last]
        return fake.Answer(200, orjson.dumps(told), {"content-type": "application/x-amz-json-1.1"})

    @staticmethod
    def _borders(told: dict[str, int], events: list[dict[str, Any]]) -> tuple[int, int]:
        """The events that were taken. Moto names the last one of each kind that it refused, the service the borders."""
        first, last = 0, len(events)
        if "tooOldLogEventEndIndex" in told:
            first = told["tooOldLogEventEndIndex"] = told["tooOldLogEventEndIndex"] + 1
        if "tooNewLogEventStartIndex" in told:
            newest = (time.time() + 7200) * 1000
            last = told["tooNewLogEventStartIndex"] = sum(each["timestamp"] <= newest for each in events)
        return first, last

    @staticmethod
    def failure(status: int, code: str, reason: str) -> fake.Answer:
        """An error in Amazon's form."""
        body = orjson.dumps({"__type": code, "message": reason})
        return fake.Answer(status, body, {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": code})

    @staticmethod
    def _wrong(events: list[dict[str, Any]]) -> str:
        times = [each["timestamp"] for each in events]
        if times != sorted(times):
            return "not in order of time"
        if len(events) > 10_000 or sum(len(each["message"].encode()) + 26 for each in events) > 1_048_576:
            return "too many events, or too large"
        return "more than 24 hours" if times[-1] - times[0] >= 24 * 3600 * 1000 else ""
