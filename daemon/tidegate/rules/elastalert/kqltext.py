"""Writes KQL: conditions on fields, and how they are joined. Knows nothing of where they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

EVERYTHING: Final = ""
_SPECIAL = re.compile(r'([\\():<>"*{}])')
_KEYWORD = re.compile(r"(?i)\b(and|or|not)\b")
_PHRASE = re.compile(r'\\.|"(?:[^"\\]|\\.)*"')
_GROUP = re.compile(r"\([^()]*\)")
_SPACE = re.compile(r"\s")
_SUFFIX = re.compile(r"\.(keyword|raw)\Z")


def field(name: str) -> str:
    """A field's name, without the suffix of a second mapping."""
    return escaped(_SUFFIX.sub("", name))


def quoted(value: object) -> str:
    """A value as a phrase."""
    text = str(value).lower() if isinstance(value, bool) else getattr(value, "written", str(value))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def escaped(text: str) -> str:
    """A text without meaning of its own."""
    bare = _KEYWORD.sub(r"\\\1", _SPECIAL.sub(r"\\\1", text))
    return _SPACE.sub(lambda found: "\\ " if found[0] == " " else f"\\u{ord(found[0]):04x}", bare)


def pattern(text: str) -> str:
    """A text in which `*` stands for anything."""
    return "*".join(escaped(part) for part in text.split("*"))


def every(parts: Sequence[str]) -> str:
    """All of these hold."""
    return _joined([part for part in parts if part], " and ")


def some(parts: Sequence[str]) -> str:
    """One of these holds."""
    return EVERYTHING if not all(parts) else _joined(parts, " or ")


def neither(part: str) -> str:
    """It does not hold."""
    return f"not ({part})"


def _joined(parts: Sequence[str], word: str) -> str:
    unique = list(dict.fromkeys(parts))
    return unique[0] if len(unique) == 1 else word.join(f"({part})" if _composed(part) else part for part in unique)


def _composed(part: str) -> bool:
    """Whether a condition needs brackets beside another one: it is joined outside of brackets and quotes."""
    bare = _PHRASE.sub("", part)
    while bare != (bare := _GROUP.sub("", bare)):
        pass
    return bool(re.search(r" (and|or) ", bare))
