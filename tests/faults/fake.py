"""A strict Elasticsearch of our own, that can be told to misbehave, and remembers what it accepted.

Strict: it answers `_bulk` only in the documented form, knows data streams take `create` only, refuses documents without a
proper `@timestamp`, and refuses a field that is an object here and a value there. What a client did wrong is in `wrongs`.
Faults are functions; the first that has an opinion wins. It never sleeps by itself.
"""

from __future__ import annotations

import collections
import dataclasses
import gzip
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import orjson

_STREAM = re.compile(r"logs-[a-z0-9_.]+-[a-z0-9_.]+")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_BULK = re.compile(r"/(?:[^/?]+/)?_bulk(?:\?.*)?")
MOST_BYTES = 100 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Request:
    """One HTTP request, its body unpacked."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass
class Answer:
    """One HTTP answer, and how it reaches the client."""

    status: int
    body: bytes
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    delay: float = 0.0
    """Seconds before it is given."""
    cut: bool = False
    """The connection ends instead."""


Whole: TypeAlias = Callable[[Request], Answer | None]
"""Answers a request before it is looked at."""
Item: TypeAlias = Callable[[str, str, dict[str, Any]], tuple[int, dict[str, Any]] | None]
"""Decides about one document: (stream, id, document) to (status, error), or None to go on."""
After: TypeAlias = Callable[[Answer], Answer]
"""Spoils the answer to a request that was carried out."""


def error(status: int, kind: str, reason: str) -> Answer:
    """An answer about a whole request, in Elasticsearch's form."""
    body = {"error": {"type": kind, "reason": reason, "root_cause": []}, "status": status}
    return Answer(status, orjson.dumps(body), {"content-type": "application/json"})


class Elasticsearch:
    """The server's mind; `node` and `server` give it a body."""

    def __init__(self) -> None:
        self.streams: dict[str, list[dict[str, dict[str, Any]]]] = {}
        """By data stream its backing indexes, oldest first: documents by id."""
        self.sent: collections.Counter[str] = collections.Counter()
        """How often each id came."""
        self.requests: list[Request] = []
        self.wrongs: list[str] = []
        """What the client did that no server would take."""
        self.whole: list[Whole] = []
        self.item: list[Item] = []
        self.after: list[After] = []
        self.authorization: str | None = None
        """When set, the only header that is let in."""
        self._shapes: dict[str, dict[str, str]] = collections.defaultdict(dict)

    def documents(self, stream: str = "") -> list[dict[str, Any]]:
        """Every stored document, doubles included."""
        return [
            document
            for name, indexes in self.streams.items()
            if not stream or name == stream
            for index in indexes
            for document in index.values()
        ]

    def roll_over(self) -> None:
        """Begin a new backing index in every data stream: ids stored before are new again."""
        for indexes in self.streams.values():
            indexes.append({})

    def to_failure_store(
        self, stream: str, name: str, document: dict[str, Any], text: str
    ) -> tuple[int, dict[str, Any]] | None:
        """A fault: documents whose message has this text go to the failure store, which keeps them."""
        if text not in document["message"]:
            return None
        self.streams.setdefault(f"{stream}::failures", [{}])[-1][name] = document
        return 201, {"failure_store": "used"}

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request."""
        lower = {name.lower(): value for name, value in headers.items()}
        if lower.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = Request(method, target, lower, body)
        self.requests.append(request)
        for whole in self.whole:
            if (answer := whole(request)) is not None:
                return answer
        answer = self._refused(request) or self._bulk(request)
        for after in self.after:
            answer = after(answer)
        return answer

    def _refused(self, request: Request) -> Answer | None:
        if self.authorization is not None and request.headers.get("authorization") != self.authorization:
            return error(401, "security_exception", "unable to authenticate")
        if not _BULK.fullmatch(request.target):
            self.wrongs.append(f"{request.method} {request.target}")
            return error(405, "method_not_allowed", "no such path")
        kind = request.headers.get("content-type", "")
        if request.method not in ("POST", "PUT") or kind not in ("application/x-ndjson", "application/json"):
            self.wrongs.append(f"{request.method} with {kind}")
            return error(406, "media_type_header_exception", kind)
        if not request.body.endswith(b"\n"):
            self.wrongs.append("no final newline")
            reason = "The bulk request must be terminated by a newline [\\n]"
            return error(400, "illegal_argument_exception", reason)
        if len(request.body) > MOST_BYTES:
            return Answer(413, b"")
        return None

    def _bulk(self, request: Request) -> Answer:
        lines = request.body.split(b"\n")[:-1]
        if len(lines) % 2:
            self.wrongs.append("an action without a document")
            return error(400, "illegal_argument_exception", "an action without a document")
        items = [self._action(head, body) for head, body in zip(lines[::2], lines[1::2], strict=True)]
        if "filter_path=" in request.target and "items.*._index" not in request.target:
            for item in items:
                del item["create"]["_index"]
        errors = any(item["create"]["status"] >= 300 for item in items)
        answer = {"took": 1, "errors": errors, "items": items}
        return Answer(200, orjson.dumps(answer), {"content-type": "application/json"})

    def _action(self, head: bytes, body: bytes) -> dict[str, Any]:
        action = orjson.loads(head)
        [(op, target)] = action.items()
        stream, name = target["_index"], target["_id"]
        self.sent[name] += 1
        if op != "create" or not _STREAM.fullmatch(stream) or target.keys() != {"_index", "_id"}:
            self.wrongs.append(f"action {action}")
        status, failure = self._create(stream, name, body)
        backing = f".ds-{stream}-2026.01.02-{len(self.streams[stream]):06}"
        item: dict[str, Any] = {"_index": backing, "_id": name, "status": status, **failure}
        return {"create": item}

    def _create(self, stream: str, name: str, body: bytes) -> tuple[int, dict[str, Any]]:
        indexes = self.streams.setdefault(stream, [{}])
        document: dict[str, Any] = orjson.loads(body)
        for item in self.item:
            if (verdict := item(stream, name, document)) is not None:
                return verdict
        if name in indexes[-1]:
            return 409, _failure("version_conflict_engine_exception", f"[{name}]: document already exists")
        if not _DATE.fullmatch(str(document.get("@timestamp", ""))):
            self.wrongs.append(f"@timestamp {document.get('@timestamp')!r}")
            return 400, _failure("document_parsing_exception", "failed to parse field [@timestamp] of type [date]")
        if clash := self._clash(stream, document):
            return 400, _failure("document_parsing_exception", clash)
        indexes[-1][name] = document
        return 201, {}

    def _clash(self, stream: str, document: dict[str, Any]) -> str:
        """The first field that is an object in one document and a value in another."""
        shapes = self._shapes[stream]
        for name, shape in _shapes(document, ""):
            if shapes.setdefault(name, shape) != shape:
                return f"object mapping for [{name}] tried to parse field as {shape}"
        return ""


def _failure(kind: str, reason: str) -> dict[str, Any]:
    return {"error": {"type": kind, "reason": reason}}


def _shapes(value: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, item in value.items():
        name = prefix + key
        found.append((name, "object" if isinstance(item, dict) else "value"))
        if isinstance(item, dict) and name != "labels":
            found += _shapes(item, f"{name}.")
    return found


def refuse_items(status: int, kind: str, applies: Callable[[dict[str, Any]], bool]) -> Item:
    """A fault: documents that `applies` picks get this status."""

    def fault(_stream: str, _name: str, document: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
        return (status, _failure(kind, "told to")) if applies(document) else None

    return fault


def times(count: int, answer: Answer) -> Whole:
    """A fault: the next requests get this answer."""
    left = [count]

    def fault(_request: Request) -> Answer | None:
        left[0] -= 1
        return answer if left[0] >= 0 else None

    return fault
