"""Elasticsearch's `_bulk` for shippers that speak nothing else, and the few other answers that they wait for.

Each document becomes a record of the spool; an item of 201 means that it is on disk. What a client would set up (templates,
policies, pipelines) is acknowledged and not used: where lines go is decided by our settings.
"""

from __future__ import annotations

import dataclasses
import ssl
from typing import Any

import orjson

from tidegate.logs.formats import spool as format_
from tidegate.logs.inputs import base, http1
from tidegate.model import receiving

SCHEMES = ("bearer", "apikey", "basic")
VERSION = "8.19.0"
"""What we say that we are: 8 is what clients of 7, 8 and 9 talk to."""
_PRODUCT = (("x-elastic-product", "Elasticsearch"),)
_SETUPS = ("_ilm", "_index_template", "_component_template", "_template", "_data_stream", "_ingest", "_alias", "_cat")
_TOLD: dict[str, Any] = {
    "": {
        "name": "tidegate",
        "cluster_name": "tidegate",
        "cluster_uuid": "tidegate",
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    },
    "_license": {"license": {"status": "active", "uid": "tidegate", "type": "basic"}},
    "_xpack": {"license": {"status": "active", "uid": "tidegate", "type": "basic", "mode": "basic"}},
    "_cluster/health": {"cluster_name": "tidegate", "status": "green", "timed_out": False},
}
"""What is asked before anything is sent."""


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One action of a bulk request."""

    action: str
    name: str
    """The `_id` that the client gave."""
    document: bytes = b""
    wrong: str = ""
    """Why it is refused."""


class ElasticsearchBulk:
    """One listener for `_bulk`."""

    def __init__(self, place: base.Place, config: receiving.ElasticsearchBulk, context: ssl.SSLContext | None) -> None:
        self._place = place
        self._stream = f"logs-{config.dataset}-{config.namespace}"
        self.server = http1.Server(place.name, config, context, self._handle, place.metrics, schemes=SCHEMES)

    async def run(self) -> None:
        """Receive until cancelled."""
        await self.server.run()

    async def _handle(self, request: http1.Request) -> http1.Answer:
        path = request.path.strip("/")
        if path.rpartition("/")[2] == "_bulk" and path.count("/") <= 1:
            answer = await self._bulk(request)
        else:
            answer = _asked(request.method, path)
        body = b"" if request.method == "HEAD" else answer.body
        return dataclasses.replace(answer, body=body, headers=_PRODUCT)

    async def _bulk(self, request: http1.Request) -> http1.Answer:
        if request.method not in ("POST", "PUT"):
            return _error(405, "method_not_allowed", "POST and PUT are taken here", "method")
        now, place = self._place.now(), self._place

        def records() -> tuple[list[Item], list[bytes]]:
            return self._records(split(request.body), now, request.peer)

        try:
            items, made = await base.work(len(request.body), records)
        except ValueError as error:
            return _error(400, "illegal_argument_exception", str(error), "malformed")
        refusal = await place.keep(b"".join(made), len(made))
        if refusal is not None:
            why = orjson.loads(refusal.body)["error"]
            kind = "es_rejected_execution_exception"
            return dataclasses.replace(
                _error(refusal.status, kind, why, refusal.reason), retry_after=refusal.retry_after
            )
        refused = [item for item in items if item.wrong]
        for reason in (_reason(item) for item in refused):
            place.metrics.refused.labels(place.name, reason).inc()
        told = {"took": 0, "errors": bool(refused), "items": [self._told(item) for item in items]}
        return http1.Answer(200, orjson.dumps(told))

    def _records(self, items: list[Item], now: str, peer: tuple[str, int]) -> tuple[list[Item], list[bytes]]:
        """The items as they are answered, and the records of those that are taken."""
        judged, made = [], []
        for item in items:
            if item.wrong:
                judged.append(item)
                continue
            record, cut = format_.record("document", now, peer, item.document, self._place.longest)
            if cut:
                judged.append(dataclasses.replace(item, wrong=f"it is larger than {self._place.longest} bytes"))
            else:
                judged.append(item)
                made.append(record)
        return judged, made

    def _told(self, item: Item) -> dict[str, Any]:
        told: dict[str, Any] = {"_index": self._stream, "_id": item.name, "status": 201, "result": "created"}
        if item.wrong:
            kind = "document_parsing_exception" if item.document else "illegal_argument_exception"
            error = {"type": kind, "reason": item.wrong}
            told = {"_index": self._stream, "_id": item.name, "status": 400, "error": error}
        return {item.action: told}


def split(body: bytes) -> list[Item]:
    """The actions of a bulk body. Raises `ValueError` for a body that is none, of which then nothing is taken."""
    if not body.endswith(b"\n"):
        raise ValueError("The bulk request must be terminated by a newline [\\n]")
    found = []
    lines = iter([line for line in body.split(b"\n") if line.strip()])
    for number, line in enumerate(lines, 1):
        action, name = _action(line, number)
        if action == "delete":
            found.append(Item(action, name, wrong="lines cannot be deleted here"))
            continue
        document = next(lines, None)
        if document is None:
            raise ValueError(f"the last action, {action}, has no document")
        found.append(Item(action, name, document, _wrong(action, document)))
    return found


def _action(line: bytes, number: int) -> tuple[str, str]:
    try:
        ((action, more),) = orjson.loads(line).items()
    except (orjson.JSONDecodeError, AttributeError, ValueError):
        action, more = "", None
    if action not in ("create", "index", "update", "delete") or not isinstance(more, dict):
        raise ValueError(f"malformed action/metadata: action {number} of the body")
    return action, str(more.get("_id") or "")


def _wrong(action: str, document: bytes) -> str:
    if action == "update":
        return "lines cannot be changed here"
    try:
        return "" if isinstance(orjson.loads(document), dict) else "a document is an object"
    except orjson.JSONDecodeError as error:
        return f"it is no JSON: {error}"


def _reason(item: Item) -> str:
    return "record_too_large" if item.wrong.startswith("it is larger") else "malformed"


def _asked(method: str, path: str) -> http1.Answer:
    """What is not `_bulk`."""
    if method in ("GET", "HEAD") and path in _TOLD:
        return http1.Answer(200, orjson.dumps(_TOLD[path]))
    if path.partition("/")[0] in _SETUPS and method in ("GET", "HEAD", "PUT", "POST"):
        return http1.Answer(200, b'{"acknowledged":true}')
    return _error(404, "resource_not_found_exception", "documents are taken at /_bulk", "path")


def _error(status: int, kind: str, why: str, reason: str) -> http1.Answer:
    told = {"error": {"type": kind, "reason": why, "root_cause": []}, "status": status}
    return http1.Answer(status, orjson.dumps(told), reason=reason)
