"""Whether what looks like a card's number or an address is one: check digits, issuers, the rules of addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35\d{14}"
    r"|6(?:011|5\d\d|4[4-9]\d)\d{12,15}|62\d{14,17}|5[06789]\d{11,17}|6\d{12,18}",
    re.ASCII,
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_GROUPS = re.compile(r"\d+", re.ASCII)
_DIGIT = re.compile(r"[0-9]")
_LONGEST = 19
_MOST_GROUPS = 10


def cards(text: str) -> Iterator[tuple[int, int]]:
    """The parts of a run of digits, blanks and hyphens that are card numbers; they begin and end where a group does."""
    groups = [match.span() for match in _GROUPS.finditer(text)]
    first = 0
    while first < len(groups):
        last = _card(text, groups, first)
        if last is not None:
            yield groups[first][0], groups[last][1]
        first = first + 1 if last is None else last + 1


def _card(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last group of the longest card number that begins with a group."""
    digits, found = "", None
    for number in range(first, min(first + _MOST_GROUPS, len(groups))):
        digits += text[slice(*groups[number])]
        if len(digits) > _LONGEST:
            break
        if _ISSUERS.fullmatch(digits) and luhn(digits):
            found = number
    return found


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        total += _DOUBLED[int(digit)] if place % 2 else int(digit)
    return total % 10 == 0


def addresses(text: str) -> Iterator[tuple[int, int]]:
    """The longest part that is an IP address; IPv6 begins and ends where a group does; `a::b` is code."""
    if ":" not in text:
        if _is_address(text):
            yield 0, len(text)
        return
    cuts = [0, *(at for at, char in enumerate(text) if char == ":"), len(text)]
    spans = {(start + step, end) for start in cuts for end in cuts for step in (0, 1) if end - start - step > 2}
    spans |= {(start, end - 1) for start, end in spans if text[end - 1 : end] == "."}
    for start, end in sorted(spans, key=lambda span: span[0] - span[1])[:400]:
        surely = text.count(":", start, end) > 2 or _DIGIT.search(text, start, end)
        if surely and _is_address(text[start:end]):
            yield start, end
            return


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
