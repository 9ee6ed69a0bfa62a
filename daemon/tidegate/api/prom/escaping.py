"""Label names in paths: Prometheus' `U__` escaping of names that are not plain (`U__http_2e_status` is `http.status`).

Source: https://prometheus.io/docs/prometheus/latest/querying/api/#querying-label-values.
"""

from __future__ import annotations

import re

PREFIX = "U__"
LONGEST = 6
"""Hex digits of the largest code point."""
_PIECES = re.compile(r"__|_([0-9a-fA-F]{1,6})_|[^_]|_")


def unescaped(name: str) -> str:
    """The name meant; one that is not properly escaped stays as it is."""
    if not name.startswith(PREFIX):
        return name
    out = []
    for piece in _PIECES.finditer(name, len(PREFIX)):
        char = _char(piece)
        if char is None:
            return name
        out.append(char)
    return "".join(out)


def _char(piece: re.Match[str]) -> str | None:
    if piece[0] == "__":
        return "_"
    if piece[1] is None:
        return None if piece[0] == "_" else piece[0]
    code = int(piece[1], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else None
