"""The Elasticsearch templates for what we write: ECS types, one flattened object for what applications add.

`labels` is `flattened`: whatever an application calls its fields, there is one mapping, no clash between `app` and
`app.name`, and no limit on fields to run into. Newer field types come first, with what an older or smaller server takes
instead.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tidegate.logs.ecs import fields as fields_
from tidegate.logs.ecs import types

COMPONENT = "tidegate-logs"
TEMPLATE = "tidegate-logs"
PATTERN = "logs-*-*"
PRIORITY = 150
"""Above Elasticsearch's own `logs` template (100), below what Elastic's integrations install (200)."""
FALLBACKS: dict[str, dict[str, Any]] = {
    "match_only_text": {"type": "text"},
    "wildcard": {"type": "keyword", "ignore_above": fields_.LONGEST_LABEL},
    "constant_keyword": {"type": "keyword"},
    "flattened": {"type": "flat_object"},
}
"""Field types that a server may lack, and what does instead."""

_RECEIVED = (
    *("log.syslog.facility.name", "log.syslog.severity.name", "log.syslog.hostname", "log.syslog.appname"),
    *("log.syslog.procid", "log.syslog.msgid", "log.syslog.version", "process.name", "process.executable"),
    *("source.address", "host.id", "host.architecture", "service.node.name"),
    *("event.action", "event.code"),
)
_RECEIVED_NUMBERS = (
    *("log.syslog.priority", "log.syslog.facility.code", "log.syslog.severity.code"),
    *("process.pid", "source.port"),
)
"""Fields of lines that are sent to us."""


def _keyword() -> dict[str, Any]:
    return {"type": "keyword", "ignore_above": fields_.LONGEST_KEYWORD}


def properties() -> dict[str, Any]:
    """The fields, by dotted name."""
    keywords = (
        "log.level",
        "log.logger",
        "log.flags",
        "log.iostream",
        "log.file.path",
        "service.name",
        "service.version",
        "service.environment",
        "host.name",
        "event.dataset",
        "error.type",
        "trace.id",
        "span.id",
        "container.id",
        "container.name",
        "kubernetes.pod.name",
        "kubernetes.pod.uid",
        "kubernetes.namespace",
        "kubernetes.container.name",
        "ecs.version",
    )
    fields: dict[str, Any] = {name: _keyword() for name in (*keywords, *_RECEIVED)}
    fields.update((name, {"type": "long"}) for name in _RECEIVED_NUMBERS)
    fields["@timestamp"] = {"type": "date"}
    fields["event.created"] = {"type": "date"}
    fields["message"] = {"type": "match_only_text"}
    fields["error.message"] = {"type": "match_only_text"}
    fields["error.stack_trace"] = {
        "type": "wildcard",
        "ignore_above": fields_.LONGEST_LABEL,
        "fields": {"text": {"type": "match_only_text"}},
    }
    fields["process.command_line"] = {"type": "wildcard", "ignore_above": fields_.LONGEST_LABEL}
    fields["log.offset"] = {"type": "long"}
    fields["log.syslog.structured_data"] = {"type": "flattened", "ignore_above": fields_.LONGEST_LABEL}
    fields["labels"] = {"type": "flattened", "ignore_above": fields_.LONGEST_LABEL}
    fields["data_stream.type"] = {"type": "constant_keyword", "value": "logs"}
    fields["data_stream.dataset"] = {"type": "constant_keyword"}
    fields["data_stream.namespace"] = {"type": "constant_keyword"}
    return fields


def component(missing: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The component template's body, without field types that the server lacks."""
    fields = {name: _replace(field, missing) for name, field in properties().items()}
    mappings = {
        "dynamic": "true",
        "date_detection": False,
        "dynamic_templates": dynamic(),
        "properties": _nest(fields),
    }
    return {"template": {"mappings": mappings}, "_meta": {"managed_by": "tidegate"}}


def dynamic() -> list[dict[str, Any]]:
    """What other ECS fields become when they first come: addresses and times by their names, all other texts keywords.

    Lines fill only fields of ECS, with values of their type; numbers and truth values need no rule.
    """
    rules = [
        {f"ecs_{kind}_{number}": {"path_match": path, "match_mapping_type": "string", "mapping": {"type": kind}}}
        for kind in ("ip", "date")
        for number, path in enumerate(_paths(kind))
    ]
    return [
        *({name: {"path_match": name, "mapping": field}} for name, field in _known().items()),
        *rules,
        {"strings_as_keywords": {"match_mapping_type": "string", "mapping": _keyword()}},
    ]


def _paths(kind: str) -> list[str]:
    """Patterns that name all ECS fields of a type and no others."""
    found: set[str] = set()
    table = types.table()
    for name in (name for name, of in table.items() if of == kind):
        last = f".{name.rpartition('.')[2]}"
        alone = all(of == kind for other, of in table.items() if other.endswith(last))
        found.add(f"*{last}" if alone else name)
    return sorted(found)


def _known() -> dict[str, dict[str, Any]]:
    """Fields that KQL compares as numbers, dates or booleans, and others write: typed once a document has them."""
    found: dict[fields_.Kind, dict[str, Any]] = {
        "long": {"type": "long", "ignore_malformed": True},
        "float": {"type": "float", "ignore_malformed": True},
        "date": {"type": "date", "ignore_malformed": True},
        "boolean": {"type": "boolean"},
    }
    ours = properties()
    return {name: found[kind] for name, kind in fields_.KNOWN.items() if kind in found and name not in ours}


def template(
    retention: float, *, lifecycle: bool = True, index: Mapping[str, Any] | None = None, failure_store: bool = False
) -> dict[str, Any]:
    """The index template's body; `retention` in seconds, for the data stream lifecycle; `index` are further settings.

    `logs@custom`, the users' own, is applied last.
    """
    body: dict[str, Any] = {
        "index_patterns": [PATTERN],
        "priority": PRIORITY,
        "data_stream": {},
        "composed_of": [COMPONENT, "logs@custom"],
        "ignore_missing_component_templates": ["logs@custom"],
        "template": {
            "settings": {"index": {**(index or {}), "mapping": {"total_fields": {"ignore_dynamic_beyond_limit": True}}}}
        },
        "_meta": {"managed_by": "tidegate"},
    }
    if lifecycle and retention:
        body["template"]["lifecycle"] = {"data_retention": f"{max(int(retention), 1)}s"}
    if failure_store:
        body["template"]["data_stream_options"] = {"failure_store": {"enabled": True}}
    return body


def _replace(field: dict[str, Any], missing: frozenset[str]) -> dict[str, Any]:
    """A field as a server without some types takes it."""
    out = copy.deepcopy(field)
    kind = str(out["type"])
    if kind in missing and kind in FALLBACKS:
        out = {**FALLBACKS[kind], **({"fields": out["fields"]} if "fields" in out else {})}
    if "fields" in out:
        out["fields"] = {name: _replace(inner, missing) for name, inner in out["fields"].items()}
    return out


def _nest(fields: dict[str, Any]) -> dict[str, Any]:
    """Dotted names to nested `properties`."""
    tree: dict[str, Any] = {}
    for name, field in fields.items():
        node = tree
        *path, leaf = name.split(".")
        for step in path:
            node = node.setdefault(step, {"properties": {}})["properties"]
        node[leaf] = field
    return tree
