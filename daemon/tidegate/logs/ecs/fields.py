"""What kind of field each name is: decides how KQL matches, in the stream and in an index, always the same way.

Types follow ECS 8.17 and our index template (`mapping`). Text is analysed into lower-case words; keywords match as a
whole; `labels.*` is one flattened object of keywords. Names that are not here are taken for keywords, and their numbers
compare as numbers. A name without a dot that is no ECS field is a label: applications' own fields end up there.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Final, Literal

from tidegate.logs.ecs import types

Kind = Literal["text", "keyword", "label", "long", "float", "date", "boolean", "group", "unknown"]

LABELS: Final = "labels"
FLATTENED: Final = frozenset({LABELS, "log.syslog.structured_data"})
"""Objects of keywords with any names below them, which an index keeps as one field."""
ALIASES: Final[Mapping[str, str]] = {
    "time": "@timestamp",
    "timestamp": "@timestamp",
    "level": "log.level",
    "service": "service.name",
    "msg": "message",
    "version": "service.version",
    "environment": "service.environment",
    "path": "log.file.path",
    "host": "host.name",
    "logger": "log.logger",
    "dataset": "event.dataset",
    "pod": "kubernetes.pod.name",
    "namespace": "kubernetes.namespace",
    "container": "container.name",
    "trace": "trace.id",
    "span": "span.id",
}
"""Short names, and the ECS fields that they stand for."""

_TYPES: Final[Mapping[Kind, str]] = {
    "text": "message error.message error.stack_trace.text",
    "date": "@timestamp event.created event.ingested event.start event.end",
    "boolean": "container.security_context.privileged volume.removable volume.writable",
    "float": "event.risk_score event.risk_score_norm",
    "long": """
        log.offset log.origin.file.line log.syslog.facility.code log.syslog.priority log.syslog.severity.code
        event.duration event.sequence event.severity http.request.bytes http.request.body.bytes http.response.bytes
        http.response.body.bytes http.response.status_code url.port process.pid process.thread.id process.parent.pid
        process.exit_code process.uptime client.bytes client.packets client.port server.bytes server.packets server.port
        source.bytes source.packets source.port destination.bytes destination.packets destination.port network.bytes
        network.packets host.uptime""",
    "keyword": """
        log.syslog.facility.name log.syslog.severity.name log.syslog.hostname log.syslog.appname log.syslog.procid
        log.syslog.msgid log.syslog.version
        log.level log.logger log.flags log.iostream log.file.path log.origin.file.name log.origin.function service.name
        service.version service.environment service.id service.node.name service.type host.name host.hostname host.id
        host.architecture event.dataset event.action event.category event.code event.id event.kind event.module
        event.outcome event.provider event.reason event.type error.type error.code error.id error.stack_trace trace.id
        span.id transaction.id container.id container.name container.image.name container.image.tag container.runtime
        kubernetes.pod.name kubernetes.pod.uid kubernetes.namespace kubernetes.container.name data_stream.type
        data_stream.dataset data_stream.namespace http.request.method http.request.id http.version url.path url.domain
        url.full url.original url.query url.scheme user.id user.name user.email process.name process.executable
        process.command_line process.thread.name agent.name agent.id agent.type agent.version client.address
        server.address source.address destination.address user_agent.name user_agent.original cloud.provider
        cloud.region cloud.availability_zone cloud.account.id cloud.instance.id orchestrator.cluster.name
        orchestrator.namespace tags ecs.version""",
}
KNOWN: Final[Mapping[str, Kind]] = {name: kind for kind, names in _TYPES.items() for name in names.split()}
"""Every name that we know, and its kind."""
OURS: Final = frozenset({"log.offset", "log.flags", "log.iostream"})
"""Names that we write, and that are not ECS; `kubernetes.*` is Elastic's own naming, beside ECS."""
SEARCHED: Final = ("message", "error.message", "error.type", "log.level", "service.name")
"""The fields that a bare word is looked for in."""
_OF_ECS: Final[Mapping[str, Kind]] = {
    "long": "long",
    "integer": "long",
    "float": "float",
    "boolean": "boolean",
    "date": "date",
}
"""Kinds of the ECS fields that are not in `KNOWN`; their texts compare like unknown ones."""
LONGEST_KEYWORD: Final = 1024
LONGEST_LABEL: Final = 8191
"""Longer values are stored and not searched (`ignore_above`); one of 8,192 may exceed Lucene's 32,766 bytes for a term."""
_LONG: Final = frozenset({"error.stack_trace", "process.command_line"})
_BELOW_FLATTENED: Final = tuple(f"{name}." for name in FLATTENED)
_GROUPS: Final = frozenset(name[:at] for name in KNOWN for at in range(len(name)) if name[at] == ".")


def resolve(name: str) -> str:
    """The field that a name stands for."""
    if name in ALIASES:
        return ALIASES[name]
    if "." in name or name in KNOWN or name in _GROUPS or name == LABELS:
        return name
    return f"{LABELS}.{name}"


def kind(name: str) -> Kind:
    """The kind of a field, by its full name."""
    if name in KNOWN:
        return KNOWN[name]
    if name in FLATTENED or name.startswith(_BELOW_FLATTENED):
        return "label"
    return "group" if name in _GROUPS else _OF_ECS.get(types.table().get(name, ""), "unknown")


def longest(name: str) -> int | None:
    """How long a keyword an index searches, in UTF-16 units; None for other kinds."""
    if kind(name) == "label" or name in _LONG:
        return LONGEST_LABEL
    return LONGEST_KEYWORD if kind(name) in ("keyword", "unknown", "group") else None


def source(name: str) -> str:
    """Where the values of a field stand in a document: `x.text` is another index of `x`."""
    return name.removesuffix(".text") if KNOWN.get(name) == "text" else name


def like(pattern: str) -> tuple[str, ...]:
    """The known fields that a pattern with `*` names, in order; `labels.*` is all labels at once."""
    literal = "*".join(part.replace("[", "[[]").replace("?", "[?]") for part in pattern.split("*"))
    found = [name for name in KNOWN if fnmatch.fnmatchcase(name, literal)]
    if fnmatch.fnmatchcase(f"{LABELS}.x", literal) and (pattern.endswith(".*") or pattern == "*"):
        found.append(LABELS)
    return tuple(found)


def below(group: str) -> tuple[str, ...]:
    """The known fields of a group."""
    return tuple(name for name in KNOWN if name.startswith(f"{group}."))
