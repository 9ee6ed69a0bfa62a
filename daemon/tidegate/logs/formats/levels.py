"""One word per severity: `trace debug info notice warning error critical`, whatever the writer's library calls them."""

from __future__ import annotations

_WORDS = {
    "trace": ("trace", "trc", "finest", "finer", "verbose", "silly", "t", "all"),
    "debug": ("debug", "dbg", "fine", "config", "d"),
    "info": ("info", "inf", "information", "informational", "i", "log"),
    "notice": ("notice", "n"),
    "warning": ("warning", "warn", "wrn", "w"),
    "error": ("error", "err", "eror", "severe", "e", "failure"),
    "critical": ("critical", "crit", "fatal", "ftl", "panic", "dpanic", "alert", "emerg", "emergency", "f", "c"),
}
NAMES = tuple(_WORDS)
"""The levels, from the least on."""
_BY_WORD = {word: level for level, words in _WORDS.items() for word in words}
_NUMBERS = {10: "trace", 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "critical"}
_LONGEST = 24


def word(text: str) -> str:
    """The level that a word means; an unknown short word stays, lower case; empty when it cannot be a level."""
    lower = text.strip().lower()
    known = _BY_WORD.get(lower)
    if known is not None:
        return known
    return lower if lower.isalpha() and len(lower) <= _LONGEST else ""


def known(text: str) -> str:
    """The level that a word surely means, else empty."""
    return _BY_WORD.get(text.lower(), "")


def value(given: object) -> str:
    """The level of a JSON value: a word, or a number as pino and bunyan write them (30 is info); empty when neither."""
    if isinstance(given, str):
        return _BY_WORD.get(given) or word(given)
    if isinstance(given, int) and not isinstance(given, bool):
        return _NUMBERS.get(given, "")
    return ""
