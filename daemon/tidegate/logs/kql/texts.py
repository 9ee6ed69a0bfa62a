"""Tests of text fields: words as the standard analyzer cuts them, phrases, and patterns of a word.

A text is searched for a word's characters first, since that is cheap, and cut into words only when they are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.logs.kql import meaning, tree, view


def any_word(node: meaning.AnyWord) -> view.Test:
    """Whether a text holds one of some words."""
    field, wanted = node.field, frozenset(node.words)
    only = node.words[0] if len(wanted) == 1 else None

    def single(one: view.View) -> bool:
        for number, text in enumerate(one.texts(field)):  # noqa: SIM110 - faster than `any` over a generator
            if only in text and only in one.words(field, number):  # type: ignore[operator]  # it is a word here
                return True
        return False

    def several(one: view.View) -> bool:
        for number, text in enumerate(one.texts(field)):
            if any(word in text for word in wanted) and not wanted.isdisjoint(one.words(field, number)):
                return True
        return False

    return several if only is None else single


def phrase(node: meaning.Phrase) -> view.Test:
    """Whether a text holds words in this order, side by side."""
    field, wanted = node.field, list(node.words)
    rarest = max(wanted, key=len)

    def run(one: view.View) -> bool:
        for number, text in enumerate(one.texts(field)):
            if rarest in text and _contains(one.words(field, number), wanted):
                return True
        return False

    return run


def _contains(text: Sequence[str], wanted: Sequence[str]) -> bool:
    size, first = len(wanted), wanted[0]
    return any(word == first and text[at : at + size] == wanted for at, word in enumerate(text))


def word_like(node: meaning.WordLike) -> view.Test:
    """Whether a text holds a word of a pattern."""
    field, pattern = node.field, glob(node.pattern)
    longest = max(node.pattern.split(tree.WILD), key=len)

    def run(one: view.View) -> bool:
        for number, text in enumerate(one.texts(field)):
            if longest in text and any(pattern(word) for word in one.words(field, number)):
                return True
        return False

    return run


def glob(pattern: str) -> Callable[[str], bool]:
    """Whether a whole text has a pattern: what stands between its wildcards comes in this order."""
    start, *middle, end = pattern.split(tree.WILD)
    least = len(start) + len(end)

    def run(text: str) -> bool:
        if len(text) < least or not text.startswith(start) or not text.endswith(end):
            return False
        at, last = len(start), len(text) - len(end)
        for part in middle:
            found = text.find(part, at, last)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return run
