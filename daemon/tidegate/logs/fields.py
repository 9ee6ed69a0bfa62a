"""What kind of field each name is, as our index template maps it: decides how KQL matches, in the stream and in an index.

Text fields are analysed into lower-case words; keyword fields match as a whole; `labels.*` is one flattened object of
keywords; names we do not know are taken for keywords. Aliases are the short names that people type.
"""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["text", "keyword", "number", "date", "boolean"]

ALIASES: Final = {
    "level": "log.level",
    "service": "service.name",
    "msg": "message",
    "version": "service.version",
    "environment": "service.environment",
    "path": "log.file.path",
    "host": "host.name",
    "logger": "log.logger",
    "pod": "kubernetes.pod.name",
    "namespace": "kubernetes.namespace",
}
"""Short names, and the ECS fields that they stand for."""

TEXT: Final = frozenset({"message", "error.message", "error.stack_trace.text"})
DATES: Final = frozenset({"@timestamp", "event.created", "event.ingested"})
NUMBERS: Final = frozenset(
    {"log.offset", "event.duration", "http.response.status_code", "http.response.body.bytes", "process.pid"}
)
SEARCHED: Final = ("message", "error.message", "error.type", "log.level", "service.name")
"""The fields that a bare word is looked for in."""


def resolve(name: str) -> str:
    """The field that a name stands for."""
    return ALIASES.get(name, name)


def kind(name: str) -> Kind:
    """The kind of a field, by its full name."""
    if name in TEXT:
        return "text"
    if name in DATES:
        return "date"
    return "number" if name in NUMBERS else "keyword"
