"""Cuts a message into words and masks what differs from line to line: numbers, ids, addresses, times, quoted texts.

Masks are the same on every machine, so that two agents find the same template in lines that differ in such parts alone.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "<*>"
MOST_WORDS: Final = 64
"""Words of a line that are looked at; a stack trace is known by its beginning."""
LONGEST_TEXT: Final = 4096
_QUOTED = re.compile(r"\"[^\"]{0,1000}\"|'[^' ]{0,200}'")
_WORD = re.compile(r"\S+")
_PART = re.compile(r"[^=:,;()\[\]{}<>|]+|[=:,;()\[\]{}<>|]+")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F-]{8,}\Z")


def words(message: str) -> list[str]:
    """The words of a message, masked."""
    cut = _QUOTED.sub(MASK, message[:LONGEST_TEXT])
    found = [_masked(match[0]) for _, match in zip(range(MOST_WORDS), _WORD.finditer(cut), strict=False)]
    return found or [""]


def _masked(word: str) -> str:
    if word.isalpha() or MASK in word:
        return word
    parts = _PART.findall(word)
    masked = [MASK if _varies(part) else part for part in parts]
    text = "".join(masked)
    return text if text != MASK * len(parts) else MASK


def _varies(part: str) -> bool:
    """Digits are rarely part of a text; neither are long runs of hexadecimal ones."""
    return any(char.isdigit() for char in part) or (bool(_HEX.match(part)) and "-" in part)
