"""A document that another shipper made for Elasticsearch: what it says of the line's origin is kept, the rest is read as JSON.

The shipper's own bookkeeping (where it wants the document, which template it follows) is not the line's.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from tidegate.logs.formats import base, json, plain

_ORIGIN: Final = (
    "host.name",
    "log.file.path",
    "container.id",
    "container.name",
    "kubernetes.namespace",
    "kubernetes.node.name",
    "kubernetes.pod.name",
    "kubernetes.pod.uid",
    "kubernetes.container.name",
)


def parse(raw: bytes) -> base.Line:
    """The line of a document."""
    document = orjson.loads(raw)
    if not isinstance(document, dict):
        return plain.parse(raw)
    extra: dict[str, Any] = {}
    for name in _ORIGIN:
        if (value := _taken(document, name)) is not None:
            _put(extra, name, value)
    line = json.line(document, raw)
    line.extra = extra
    return line


def _taken(document: dict[str, Any], name: str) -> str | None:
    """Take a text out of a document, whether its name is written with dots or nested; None when it has none."""
    if isinstance(document.get(name), str):
        return str(document.pop(name))
    head, _, rest = name.partition(".")
    below = document.get(head)
    if not rest or not isinstance(below, dict):
        return None
    value = _taken(below, rest)
    if value is not None and not below:
        del document[head]
    return value


def _put(document: dict[str, Any], name: str, value: str) -> None:
    *groups, leaf = name.split(".")
    for group in groups:
        document = document.setdefault(group, {})
    document[leaf] = value
