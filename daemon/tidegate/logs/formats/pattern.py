"""Lines by a pattern: RE2 with named groups, or grok, which is worked out to RE2 first.

A group's name is an ECS field with `_` for `.` (`http_request_method`), one of the names that JSON logs use for message, time
and level, or a label. Grok writes the field behind the pattern's name: `%{IP:source.ip}`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import re2

from tidegate.logs.ecs import types
from tidegate.logs.formats import base, grok, json
from tidegate.model import problems


def parser(kind: str, pattern: str, own: Mapping[str, str]) -> Callable[[bytes], base.Line | None]:
    """A parser. `kind` is `regex` or `grok`. Raises `QueryError` for a pattern that cannot be used."""
    return _compiled(kind, pattern, tuple(sorted(own.items())))


@functools.lru_cache(maxsize=256)
def _compiled(kind: str, pattern: str, own: tuple[tuple[str, str], ...]) -> Callable[[bytes], base.Line | None]:
    if not pattern:
        raise problems.QueryError(f"`format: {kind}` needs a `pattern`", position=0)
    names: list[str] = []
    written = grok.expand(pattern, dict(own), names) if kind == "grok" else pattern
    compiled = compile_(written)
    search = compiled.search
    groups = {number: _field(name, names) for name, number in compiled.groupindex.items()}
    if not groups:
        raise problems.QueryError("the pattern names nothing: give it at least one named group", position=0)

    def parse(raw: bytes) -> base.Line | None:
        match = search(base.text(raw))
        if match is None:
            return None
        given: dict[str, Any] = {}
        for number, name in groups.items():
            text = match[number]
            if text is not None and (text or name not in given):
                given[name] = text
        line = json.line(given, raw)
        line.structured = False
        return line

    return parse


def compile_(pattern: str) -> Any:
    """A compiled pattern. Raises `QueryError` with a position when RE2 cannot do it."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        part = reason.rpartition(": ")[2]
        at = pattern.find(part) if part else -1
        raise problems.QueryError(f"not an RE2 pattern: {reason}", position=at) from None


def _field(name: str, names: list[str]) -> str:
    """What a group fills."""
    if name.startswith(grok.GROUP) and name[len(grok.GROUP) :].isdigit():
        return names[int(name[len(grok.GROUP) :])]
    return types.underscored().get(name, name)
