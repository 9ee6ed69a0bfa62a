"""Words of a text as Lucene's standard analyzer finds them: Unicode's word boundaries (UAX #29), in lower case.

Letters, digits and connectors such as `_` make words. A single `.`, `'` or `:` joins letters; a single `.`, `,`, `;` or `'`
joins digits. Ideographs and hiragana are words of one character; runs of katakana, and of Thai and its neighbours, are one
word; emoji are words. Not done: quotes inside Hebrew words, katakana joined by `_`. Tests compare with a real Elasticsearch.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final

import re2

LONGEST: Final = 255
"""Lucene cuts longer words into pieces of this length."""
_ASCII = re.compile(r"(?:[a-z]+(?:[.:'][a-z]+)*|[0-9]+(?:[.,;'][0-9]+)*|_)+")

_EXTEND = r"[\p{M}\x{AD}\x{61C}\x{180E}\x{200C}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}]*"
_ALONE = rf"[\p{{Han}}\p{{Hiragana}}]{_EXTEND}"
_TOGETHER = r"[\x{30A1}-\x{30FA}\x{30FC}-\x{30FF}\x{31F0}-\x{31FF}\x{FF66}-\x{FF9D}\x{3031}-\x{3035}]"
_COMPLEX = r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_PICTURE = (
    r"[\x{203C}\x{2049}\x{2139}\x{2194}-\x{2199}\x{21A9}\x{21AA}\x{231A}\x{231B}\x{23E9}-\x{23F3}\x{25FB}-\x{25FE}"
    r"\x{2600}-\x{2604}\x{260E}\x{2611}\x{2614}\x{2615}\x{2639}\x{263A}\x{2648}-\x{2653}\x{2660}-\x{2668}\x{267B}"
    r"\x{2692}-\x{26A1}\x{26AA}\x{26AB}\x{26BD}-\x{26C8}\x{26CE}\x{26D4}\x{26F0}-\x{26FD}\x{2702}-\x{2716}\x{2728}"
    r"\x{274C}\x{274E}\x{2753}-\x{2757}\x{2763}-\x{2767}\x{2795}-\x{2797}\x{27A1}\x{2B05}-\x{2B07}\x{2B50}\x{2B55}"
    r"\x{1F300}-\x{1F3FA}\x{1F400}-\x{1F64F}\x{1F680}-\x{1F6FF}\x{1F7E0}-\x{1F7EB}\x{1F90C}-\x{1FAFF}]"
)
_TONE = r"[\x{FE0F}\x{1F3FB}-\x{1F3FF}]*"
_TONE = r"[\x{FE0F}\x{1F3FB}-\x{1F3FF}]*"
_EMOJI = rf"{_PICTURE}{_TONE}(?:\x{{200D}}{_PICTURE}{_TONE})*{_EXTEND}"
_FLAG = rf"[\x{{1F1E6}}-\x{{1F1FF}}]{{2}}{_EXTEND}"
_KEYCAP = rf"[0-9#*]\x{{FE0F}}?\x{{20E3}}{_EXTEND}"

_LETTERS = rf"(?:[\p{{L}}\p{{Nl}}\x{{24B6}}-\x{{24E9}}]{_EXTEND})+"
_BETWEEN_LETTERS = (
    r"[.:'\x{B7}\x{387}\x{5F4}\x{2018}\x{2019}\x{2024}\x{2027}\x{FE13}\x{FE52}\x{FE55}\x{FF07}\x{FF0E}\x{FF1A}]"
)
_DIGITS = rf"(?:[\p{{Nd}}\x{{66B}}]{_EXTEND})+"
_BETWEEN_DIGITS = (
    r"[.,;'\x{37E}\x{589}\x{60C}\x{60D}\x{66C}\x{7F8}\x{2018}\x{2019}\x{2024}\x{2044}\x{FE10}\x{FE14}\x{FE50}\x{FE52}"
    r"\x{FE54}\x{FF07}\x{FF0C}\x{FF0E}\x{FF1B}]"
)
_LONE = "\u066b\u20e3\u203c\u2049"
_JOINING = rf"[\p{{Pc}}\x{{202F}}]{_EXTEND}"
_RUN = (
    rf"(?:{_LETTERS}(?:{_BETWEEN_LETTERS}{_EXTEND}{_LETTERS})*"
    rf"|{_DIGITS}(?:{_BETWEEN_DIGITS}{_EXTEND}{_DIGITS})*|{_JOINING})+"
)
_APART: Final[Any] = re2.compile(
    rf"({_KEYCAP}|{_FLAG}|{_EMOJI}|{_ALONE}|(?:{_TOGETHER}{_EXTEND})+|(?:{_COMPLEX}{_EXTEND})+)"
)
_ANY: Final[Any] = re2.compile(rf"{_KEYCAP}|{_FLAG}|{_EMOJI}|{_RUN}")


def lower(text: str) -> str:
    """In lower case, character by character as Lucene does it: no final sigma, no combining dot."""
    if not text.isascii():
        text = text.replace("Σ", "σ").replace("İ", "i")
    return text.lower()


def words(text: str) -> list[str]:
    """The words, in order."""
    return of_lower(lower(text))


def of_lower(text: str) -> list[str]:
    """The words of a text that is in lower case."""
    found = _ASCII.findall(text) if text.isascii() else _wide(text)
    if "_" in text or (len(text) > LONGEST and any(len(word) > LONGEST for word in found)):
        return [piece for word in found if word.strip("_") for piece in _pieces(word)]
    return found


def _wide(text: str) -> list[str]:
    spaced = _APART.sub(r" \1 ", text.replace("\u200b", " "))
    return [word for word in _ANY.findall(spaced) if any(map(_counts, word))]


def _counts(char: str) -> bool:
    """Whether a character makes a word; connectors and marks alone do not."""
    return char.isalnum() or char in _LONE or (char > "\u2100" and unicodedata.category(char) == "So")


def _pieces(word: str) -> list[str]:
    return [word[at : at + LONGEST] for at in range(0, len(word), LONGEST)]
