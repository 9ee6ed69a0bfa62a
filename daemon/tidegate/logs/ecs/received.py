"""Documents of lines that were sent to us: who sent them takes the place of the file, and the sender's host that of ours.

The same interface as `encode.Encoder`. Lines over a network say more than lines of files (`Line.extra`), so the document
is put together as an object.
"""

from __future__ import annotations

from typing import Any

import orjson

from tidegate.logs.ecs import encode
from tidegate.logs.formats import base


class Encoder:
    """Writes the documents of one spool file."""

    def __init__(self, static: encode.Static) -> None:
        self._static = static
        self._created = ""

    def created(self, at: str) -> None:
        """Set the time of reading, for lines that give none (ISO 8601)."""
        self._created = at

    def body(self, line: base.Line, offset: int, *, truncated: bool = False, stream: str = "") -> bytes:
        """One document on one line. `offset` is where the record begins in the spool: it keeps lines in order."""
        static, extra = self._static, dict(line.extra or {})
        cut = extra.pop("cut", False) or truncated
        log: dict[str, Any] = {"offset": offset}
        if line.level:
            log["level"] = line.level
        if cut:
            log["flags"] = ["truncated"]
        if stream:
            log["iostream"] = stream
        document: dict[str, Any] = {
            "@timestamp": line.time or self._created,
            "message": line.message,
            "log": log,
            "service": dict(static.service),
            "labels": {**(line.labels or {}), **static.labels},
            "event": {"dataset": static.dataset, "created": self._created},
            "host": {"name": static.host},
            "data_stream": {"type": "logs", "dataset": static.dataset, "namespace": static.namespace},
            "ecs": {"version": encode.ECS_VERSION},
        }
        for name, value in (*(line.known or {}).items(), *(line.fields or {}).items()):
            *groups, leaf = name.split(".")
            node = document
            for group in groups:
                node = node.setdefault(group, {})
            node[leaf] = value
        _merge(document, extra)
        for group in ("service", "labels"):
            if not document[group]:
                del document[group]
        return orjson.dumps(document)


def _merge(document: dict[str, Any], more: dict[str, Any]) -> None:
    """Put objects into those of the same names; what is there by then gives way."""
    for name, value in more.items():
        there = document.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            _merge(there, value)
        else:
            document[name] = value
