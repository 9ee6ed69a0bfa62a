"""Access logs of Apache and nginx: common, combined, and either with the virtual host in front.

`[host[:port]] client ident user [time] "request" status bytes ["referrer" "user agent"] [more]`. What a server adds at the end
is kept in the label `rest`.
"""

from __future__ import annotations

import re
from typing import Any

from tidegate.logs.ecs import types
from tidegate.logs.formats import base, times

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(
    rf"(?:(?P<host>[^\s:\[]+)(?::(?P<port>\d{{1,5}}))? )?(\S+) (\S+) (\S+) \[([^\]]{{10,40}})\]"
    rf" {_QUOTED} (\d{{3}}|-) (\d{{1,19}}|-)(?: {_QUOTED} {_QUOTED})?(?: (.*))?",
    re.DOTALL,
)
_REQUEST = re.compile(r"([A-Z][A-Z_-]{1,30}) (\S+)(?: HTTP/(\d(?:\.\d)?))?")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def parse(raw: bytes) -> base.Line | None:
    """The line, or None when it is no access log."""
    text = base.text(raw)
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    host, port, client, _, user, time, request, status, size, referrer, agent, rest = match.groups()
    line = base.Line(text, structured=True)
    if found := times.iso(time):
        line.time, line.zoned = found
    else:
        line.untimed = True
    given: dict[str, str | None] = {
        "source.address": client,
        "source.ip": client,
        "user.name": user,
        "url.domain": host,
        "url.port": port,
        "http.response.status_code": status,
        "http.response.body.bytes": size,
        "http.request.referrer": referrer and _plain(referrer),
        "user_agent.original": agent and _plain(agent),
        **_request(_plain(request)),
    }
    line.known = known(given)
    line.labels = {"rest": rest} if rest else None
    return line


def known(given: dict[str, str | None]) -> dict[str, Any]:
    """The fields that have a value, of their types; `-` is none."""
    typed = {name: types.value(name, text) for name, text in given.items() if text and text != "-"}
    return {name: value for name, value in typed.items() if value is not None}


def _request(text: str) -> dict[str, str | None]:
    """The fields of a request line; one that is no HTTP stays whole."""
    match = _REQUEST.fullmatch(text)
    if match is None:
        return {"url.original": text}
    method, target, version = match.groups()
    path, _, query = target.partition("?")
    here = path if path.startswith("/") else None
    return {
        "http.request.method": method,
        "url.original": target,
        "url.path": here,
        "url.query": query if here else None,
        "http.version": version,
    }


def _plain(text: str) -> str:
    return _ESCAPE.sub(_unescape, text) if "\\" in text else text


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16)) if int(match[1], 16) < 128 else match[0]
    return _ESCAPES.get(match[2], match[2])
