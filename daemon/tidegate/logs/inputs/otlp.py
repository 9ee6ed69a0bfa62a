"""OpenTelemetry's log records over HTTP: `POST /v1/logs` in protobuf or JSON, answered as the OTLP specification says.

Each log record becomes a record of the spool with its resource and scope. An answer of 200 means that all records are on
disk but those that it calls rejected; 503 with `Retry-After` means that none is.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import orjson

from tidegate.logs.formats import spool as format_
from tidegate.logs.inputs import base, http1, protobuf
from tidegate.model import receiving

PATH = "/v1/logs"
PROTOBUF, JSON = "application/x-protobuf", "application/json"


class Otlp:
    """One listener for OTLP."""

    def __init__(self, place: base.Place, config: receiving.Otlp, context: ssl.SSLContext | None) -> None:
        self._place = place
        self.server = http1.Server(place.name, config, context, self._handle, place.metrics)

    async def run(self) -> None:
        """Receive until cancelled."""
        await self.server.run()

    async def _handle(self, request: http1.Request) -> http1.Answer:
        kind = request.content_type
        if request.path != PATH:
            return http1.Answer(404, _status(kind, f"log records are taken at {PATH}"), _answered(kind), reason="path")
        if request.method != "POST":
            return http1.Answer(405, _status(kind, "POST is taken here"), _answered(kind), reason="method")
        if kind not in (PROTOBUF, JSON):
            return http1.Answer(
                415, _status(kind, f"{PROTOBUF} and {JSON} are taken"), _answered(kind), reason="encoding"
            )
        place, now = self._place, self._place.now()

        def records() -> list[bytes]:
            given = protobuf.request(request.body) if kind == PROTOBUF else orjson.loads(request.body)
            return [format_.parsed("otlp", now, request.peer, "log", each) for each in split(given)]

        try:
            made = await base.work(len(request.body), records)
        except ValueError as error:
            return http1.Answer(400, _status(kind, f"not a log request: {error}"), kind, reason="malformed")
        fitting = [each for each in made if len(each) <= place.longest]
        refusal = await place.keep(b"".join(fitting), len(fitting))
        if refusal is not None:
            told = _status(kind, orjson.loads(refusal.body)["error"])
            return http1.Answer(refusal.status, told, kind, refusal.retry_after, refusal.reason)
        return self._success(kind, len(made) - len(fitting))

    def _success(self, kind: str, rejected: int) -> http1.Answer:
        if not rejected:
            return http1.Answer(200, b"" if kind == PROTOBUF else b"{}", kind)
        place = self._place
        place.metrics.refused.labels(place.name, "record_too_large").inc(rejected)
        why = f"{rejected} log records are larger than {place.longest} bytes"
        if kind == PROTOBUF:
            return http1.Answer(200, protobuf.partial_success(rejected, why), kind)
        told = {"partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": why}}
        return http1.Answer(200, orjson.dumps(told), kind)


def split(given: Any) -> Iterator[dict[str, Any]]:
    """Each log record with its resource and scope. Raises `ValueError` for what is no log request."""
    for group in _objects(_object(given), "resourceLogs"):
        resource = _object(group.get("resource") or {}).get("attributes") or []
        for scoped in _objects(group, "scopeLogs"):
            scope = _object(scoped.get("scope") or {})
            for record in _objects(scoped, "logRecords"):
                yield {"resource": resource, "scope": scope, "record": record}


def _objects(parent: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = parent.get(name) or []
    if not isinstance(found, list):
        raise ValueError(f"{name} is no list")
    return [_object(each) for each in found]


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object was expected")
    return value


def _status(kind: str, text: str) -> bytes:
    return protobuf.status(text) if kind == PROTOBUF else orjson.dumps({"message": text})


def _answered(kind: str) -> str:
    return PROTOBUF if kind == PROTOBUF else JSON
