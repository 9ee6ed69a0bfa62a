"""JSON objects, one a line, in the vocabularies that logging libraries use.

Known keys (zap, logrus, slog, structlog, python-json-logger, pino, bunyan, logback, Serilog, ecs-logging) become ECS
fields, and so do keys that are ECS names with values of their type; every other key goes to `labels`, flattened, its values
as text, so that no two writers can clash over a type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from tidegate.logs.ecs import types
from tidegate.logs.formats import base, levels, times

_MESSAGE, _WEAK_MESSAGE, _TIME, _LEVEL, _ERROR, _GROUP = "message", "weak", "time", "level", "error", "group"
_FIELD, _DROPPED = "field", "dropped"
_ROLES: dict[str, str] = {
    **dict.fromkeys(("message", "msg", "@m", "Message"), _MESSAGE),
    **dict.fromkeys(("event", "text", "log.message", "short_message"), _WEAK_MESSAGE),
    **dict.fromkeys(("@timestamp", "timestamp", "time", "ts", "@t", "Timestamp", "datetime"), _TIME),
    **dict.fromkeys(("level", "severity", "lvl", "log.level", "levelname", "@l", "Level", "loglevel"), _LEVEL),
    **dict.fromkeys(("error", "err", "exception", "exc_info", "@x", "Exception"), _ERROR),
    **dict.fromkeys(("service", "log", "trace", "span", "ecs", "data_stream"), _GROUP),
}
FIELDS: dict[str, str] = {
    **dict.fromkeys(("logger", "logger_name", "log.logger", "loggerName", "LoggerName", "SourceContext"), "log.logger"),
    **dict.fromkeys(("stack_trace", "stacktrace", "stack", "error.stack_trace", "traceback"), "error.stack_trace"),
    "error.message": "error.message",
    "error.type": "error.type",
    **dict.fromkeys(("trace_id", "trace.id", "traceId", "traceID", "dd.trace_id", "otelTraceID"), "trace.id"),
    **dict.fromkeys(("span_id", "span.id", "spanId", "spanID", "dd.span_id", "otelSpanID"), "span.id"),
    **dict.fromkeys(("service.name", "service_name", "app.name"), "service.name"),
    **dict.fromkeys(("service.version", "service_version", "version"), "service.version"),
    **dict.fromkeys(("service.environment", "environment", "env", "deployment.environment"), "service.environment"),
}
"""Keys of a line that are ECS fields, as `encode` takes them."""
_ROLES.update(dict.fromkeys(FIELDS, _FIELD))
_ROLES["ecs.version"] = _DROPPED
_PLAIN_GROUPS = {"trace": "trace.id", "span": "span.id", "service": "service.name"}
_IGNORED = frozenset({"ecs.version", "data_stream"})
_NUMBER = re.compile(r"\d{9,19}(?:\.\d{1,9})?", re.ASCII)
_NONE = str(b"\0none", "ascii")
"""Stands for a message that was not found; known by identity."""
_DEEPEST = 5
LONGEST_NAME = 1024
"""Of a label, in characters."""


def parse(raw: bytes) -> base.Line | None:
    """The line, or None when it is not a JSON object."""
    if not raw.startswith(b"{"):
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    if len(raw) > LONGEST_NAME or b"\\u0000" in raw:
        value = {_indexable(key): item for key, item in value.items()}
    return line(value, raw)


def line(value: dict[str, Any], raw: bytes) -> base.Line:
    """A line from its parsed object; `raw` becomes the message when no key is one."""
    out = base.Line(_NONE, structured=True)
    labels: dict[str, str] = {}
    fields: dict[str, str] = {}
    weak = ""
    for key, item in value.items():
        role = _ROLES.get(key)
        if role is None:
            # The common case, written out: a name of the application's own.
            kind = type(item)
            if (kind is str or kind is int) and "." not in key and key and key not in labels:
                labels[key] = item if kind is str else str(item)
            elif item is not None:
                _label(labels, out, key, item, 0)
        elif role is _FIELD:
            name = FIELDS[key]
            if type(item) is str and item and name not in fields:
                fields[name] = item
            elif item is not None:
                _label(labels, out, key, item, 0)
        elif role is _WEAK_MESSAGE and not weak and type(item) is str:
            weak = key
        elif role is not _DROPPED and item is not None and not _known(out, fields, labels, role, key, item):
            _label(labels, out, key, item, 0)
    if weak:
        _settle(out, labels, weak, value[weak])
    if out.message is _NONE:
        out.message = base.text(raw)
    out.labels = labels or None
    out.fields = fields or None
    return out


def bound(path: Sequence[str]) -> str:
    """How the place of a value in the document depends on the value, by the keys that lead to it.

    Not at all (empty); on being the word for a level (`level`), a time (`time`), not empty (`filled`), not empty and of one
    line (`plain`), a whole number (`whole`); or in ways that only `line` knows (`never`).
    """
    name = ".".join(path)
    role = _ROLES.get(path[0])
    if name in ("log.level", *(path if role is _LEVEL else ())):
        return "level"
    if len(path) == 1 and role is not None:
        return {_TIME: "time", _ERROR: "plain", _FIELD: "filled"}.get(role, "")
    if name in FIELDS:
        return "filled"
    kind = types.free().get(name, "keyword") if "." in name else "keyword"
    return {"keyword": "", "text": "", "long": "whole"}.get(kind, "never")


def _known(
    out: base.Line,
    fields: dict[str, str],
    labels: dict[str, str],
    role: str,
    key: str,
    item: object,
) -> bool:
    """Put a value that has a role in its place; False when that is taken, or the value does not fit."""
    if role is _MESSAGE and out.message is _NONE:
        out.message = item if type(item) is str else _text(item)
        return True
    if role is _LEVEL and not out.level:
        out.level = levels.value(item)
        return bool(out.level)
    if role is _TIME and not out.time:
        out.untimed = not _time(out, item)
        return not out.untimed
    if role is _ERROR:
        return _error(fields, item)
    return role is _GROUP and _group(out, fields, labels, key, item)


def _settle(out: base.Line, labels: dict[str, str], key: str, text: str) -> None:
    """`event` and the like are the message only where nothing better is."""
    if out.message is _NONE:
        out.message = text
    else:
        _label(labels, out, key, text, 0)


def _time(out: base.Line, item: object) -> bool:
    if isinstance(item, str):
        if found := times.iso(item):
            out.time, out.zoned = found
            return True
        if not _NUMBER.fullmatch(item):
            return False
        item = float(item)
    if isinstance(item, int | float) and not isinstance(item, bool) and (stamp := times.epoch(float(item))):
        out.time, out.zoned = stamp, True
        return True
    return False


def _error(fields: dict[str, str], item: object) -> bool:
    """An error as text (a message or a trace) or as an object such as pino's; False when it is neither."""
    if isinstance(item, str) and item:
        fields.setdefault("error.stack_trace" if "\n" in item else "error.message", item)
        return True
    if not isinstance(item, dict):
        return False
    known = {
        "error.type": ("type", "name", "class", "kind"),
        "error.message": ("message", "msg"),
        "error.stack_trace": ("stack_trace", "stack", "stacktrace"),
    }
    picked = {
        name: item[key] for name, keys in known.items() for key in reversed(keys) if isinstance(item.get(key), str)
    }
    if len(picked) != len(item):  # more than we can place: keep all of it in labels
        return False
    for name, text in picked.items():
        fields.setdefault(name, text)
    return True


def _group(out: base.Line, fields: dict[str, str], labels: dict[str, str], key: str, item: object) -> bool:
    """A nested ECS object (`{"service": {"name": ...}}`), or a plain text under the same name."""
    if isinstance(item, str) and key in _PLAIN_GROUPS:
        fields.setdefault(_PLAIN_GROUPS[key], item)
    elif isinstance(item, dict) and key not in _IGNORED:
        for inner, part in item.items():
            name = f"{key}.{inner}"
            if name == "log.level" and not out.level and (level := levels.value(part)):
                out.level = level
            elif name in FIELDS and isinstance(part, str):
                fields.setdefault(FIELDS[name], part)
            elif part is not None and name not in _IGNORED:
                _label(labels, out, name, part, 1)
    else:
        return key in _IGNORED
    return True


def label(labels: dict[str, str], key: str, item: object, depth: int = 0) -> None:
    """Put a value under `labels`, with dots in its name replaced and objects flattened."""
    if type(item) is dict and item and depth < _DEEPEST:
        for inner, part in item.items():
            if part is not None:
                label(labels, f"{key}.{inner}", part, depth + 1)
        return
    name = _indexable(key).replace(".", "_") or "_"
    while name in labels:
        name += "_"
    labels[name] = item if type(item) is str else _text(item)


def _label(labels: dict[str, str], out: base.Line, key: str, item: object, depth: int) -> None:
    """Put a value into the ECS field of its name, or under `labels`, with dots replaced and objects flattened."""
    if type(item) is dict and item and depth < _DEEPEST:
        for inner, part in item.items():
            if part is not None:
                _label(labels, out, f"{key}.{inner}", part, depth + 1)
        return
    if "." in key and (out.known is None or key not in out.known) and (value := types.value(key, item)) is not None:
        out.known = out.known or {}
        out.known[key] = value
        return
    label(labels, key, item, depth)


def _indexable(name: str) -> str:
    """A label's name as every index takes it: no NUL, and short enough for one term together with a value."""
    return name[:LONGEST_NAME].replace("\0", "\ufffd")


def _text(item: object) -> str:
    return item if isinstance(item, str) else orjson.dumps(item).decode()
