"""Strict peers of the outputs beside Elasticsearch, as HTTP servers that can be told to misbehave.

Each takes its documented form only, and remembers what it stored, in the order in which it came. What a client did
wrong is in `wrongs`. Faults are functions, as those of the fake Elasticsearch.
"""

from __future__ import annotations

import base64
import gzip
import pathlib
import re
import ssl
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, ClassVar

import moto.backends
import moto.moto_server.werkzeug_app
import orjson
import pytest
import trustme
import werkzeug.test
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
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
        if (answer := self.aside(request)) is not None:
            return answer
        self.requests.append(request)
        for whole in self.whole:
            if (answer := whole(request)) is not None:
                return answer
        answer = self._refused(request) or self.take(request)
        for after in self.after:
            answer = after(answer)
        return answer

    def aside(self, request: fake.Request) -> fake.Answer | None:
        """Answer what is no business of logs, such as requests for tokens."""
        return None

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


class Google(Peer):
    """`entries:write` in its documented form; entries with the same log, time and `insertId` are one."""

    dedupes = True
    LONGEST = 256_000

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.tokens = 0
        """Tokens that were asked for."""
        self.code = 3
        """The gRPC code under which poison is refused."""

    @staticmethod
    def key(url: str) -> str:
        """A service account's key, whose tokens are got at an address."""
        made = rsa.generate_private_key(65537, 2048)
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        account = {
            "type": "service_account",
            "project_id": "shop-1",
            "client_email": "shipper@shop-1.iam.gserviceaccount.com",
            "private_key_id": "1",
            "private_key": made.private_bytes(*form).decode(),
            "token_uri": f"{url}/token",
        }
        return orjson.dumps(account).decode()

    @staticmethod
    def alone(patch: pytest.MonkeyPatch) -> None:
        """Keep Google's library from looking for regions on the internet."""
        required = "google.oauth2.service_account.Credentials._is_regional_access_boundary_lookup_required"
        patch.setattr(required, lambda _: False)

    @staticmethod
    def refresh(credentials: Any, _request: Any) -> None:
        """A token without asking for one, in place of the credentials' own method."""
        credentials.token = "token-0"

    def aside(self, request: fake.Request) -> fake.Answer | None:
        """See `Peer`."""
        if request.target != "/token":
            return None
        self.tokens += 1
        answer = {"access_token": f"token-{self.tokens}", "token_type": "Bearer", "expires_in": 3600}
        return fake.Answer(200, orjson.dumps(answer), {"content-type": "application/json"})

    def take(self, request: fake.Request) -> fake.Answer:
        """See `Peer`."""
        if request.method != "POST" or not request.target.startswith("/v2/entries:write"):
            return self.wrong(f"{request.method} {request.target}", 404)
        if not request.headers.get("authorization", "").startswith("Bearer token-"):
            return self.wrong("no token", 401)
        asked = orjson.loads(request.body)
        if asked.keys() != {"logName", "resource", "entries", "partialSuccess"} or len(request.body) > 10_000_000:
            return self.wrong(f"fields {sorted(asked)} or too large")
        if not re.fullmatch(r"projects/[^/]+/logs/[^/]+", asked["logName"]):
            return self.wrong(f"logName {asked['logName']}")
        return self._written(asked)

    def _written(self, asked: dict[str, Any]) -> fake.Answer:
        errors = {}
        for place, one in enumerate(asked["entries"]):
            if one.keys() - {"insertId", "timestamp", "severity", "jsonPayload", "trace", "spanId"}:
                self.wrongs.append(f"fields {sorted(one)}")
            text = one["jsonPayload"]["message"]
            if self.poisoned([text]):
                errors[str(place)] = {"code": self.code, "message": "told to refuse it"}
            elif len(orjson.dumps(one)) > self.LONGEST:
                errors[str(place)] = {"code": 3, "message": "Log entry is too large"}
            else:
                name = asked["logName"], one["timestamp"], one["insertId"]
                if name not in self.entries:
                    self.texts.append(text)
                self.entries[name] = one
        if not errors:
            return fake.Answer(200, b"{}", {"content-type": "application/json"})
        kind = "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors"
        error = {"code": 400, "message": "some", "status": "INVALID_ARGUMENT"}
        body = {"error": {**error, "details": [{"@type": kind, "logEntryErrors": errors}]}}
        return fake.Answer(400, orjson.dumps(body), {"content-type": "application/json"})


class Azure(Peer):
    """The Logs Ingestion API, and the authority that gives tokens for it."""

    SETTINGS: ClassVar[Mapping[str, object]] = {
        "rule": "dcr-1",
        "stream": "Custom-Logs",
        "tenant": "tenant-1",
        "client_id": "shipper",
        "client_secret": "secret",
        "ca_file": "ca.pem",
        "timeout": 1,
    }
    COLUMNS = frozenset({"TimeGenerated", "Id", "Message", "Level", "Service", "Document"})
    TARGET = "/dataCollectionRules/dcr-1/streams/Custom-Logs?api-version=2023-01-01"

    def __init__(self) -> None:
        super().__init__()
        self.secrets: list[str] = []
        """The secrets for which a token was asked."""
        self.rows: list[dict[str, Any]] = []

    def aside(self, request: fake.Request) -> fake.Answer | None:
        """See `Peer`."""
        kind = {"content-type": "application/json"}
        base = f"https://{request.headers.get('host')}/tenant-1"
        if request.target.endswith("/openid-configuration"):
            names = {"token_endpoint": "token", "authorization_endpoint": "authorize", "issuer": "v2.0"}
            told = {name: f"{base}/{place}" for name, place in names.items()}
            return fake.Answer(200, orjson.dumps(told), kind)
        if request.target == "/tenant-1/token":
            asked = dict(urllib.parse.parse_qsl(request.body.decode()))
            self.secrets.append(asked["client_secret"])
            if asked["scope"].split()[0] != "https://monitor.azure.com/.default":
                self.wrongs.append(f"scope {asked['scope']}")
            told = {"access_token": f"token-{asked['client_secret']}", "token_type": "Bearer"}
            return fake.Answer(200, orjson.dumps({**told, "expires_in": 3600}), kind)
        return None

    def take(self, request: fake.Request) -> fake.Answer:
        """See `Peer`."""
        if request.method != "POST" or request.target != self.TARGET:
            return self.wrong(f"{request.method} {request.target}", 404)
        if not request.headers.get("authorization", "").startswith("Bearer token-"):
            return self.wrong("no token", 401)
        found = orjson.loads(request.body)
        if len(request.body) > 1_000_000 and len(found) > 1:
            return self.wrong("more than 1 MB", 413)
        if len(request.body) > 1_000_000:
            return fake.Answer(413, b'{"error":{"code":"ContentLengthLimitExceeded"}}')
        if any(row.keys() != self.COLUMNS for row in found):
            return self.wrong(f"columns {sorted(found[0])}")
        texts = [row["Message"] for row in found]
        if self.poisoned(texts):
            return fake.Answer(400, b'{"error":{"code":"InvalidTransformOutput"}}')
        self.texts += texts
        self.rows += found
        return fake.Answer(204, b"")


def trusted(file: pathlib.Path) -> ssl.SSLContext:
    """TLS for a server on this machine, under an authority whose certificate is written to a file."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context
