"""What a module wants of an HTTP answer beyond its status: patterns for headers and the body."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tidegate.model import probing
from tidegate.scrape.probes import expand


def headers(given: probing.HttpProbe, values: Callable[[str], Sequence[str]]) -> str:
    """Why the headers are not as wanted; empty when they are."""
    for wanted, forbidden in [
        *((one, True) for one in given.fail_if_header_matches),
        *((one, False) for one in given.fail_if_header_not_matches),
    ]:
        found = values(wanted.header)
        if not found:
            if not wanted.allow_missing:
                return f"the header {wanted.header} is missing"
            continue
        pattern = expand.compiled(wanted.regexp)
        matched = any(pattern.search(value.encode("latin-1", "replace")) for value in found)
        if matched == forbidden:
            return f"the header {wanted.header} {'matches' if matched else 'does not match'} {wanted.regexp!r}"
    return ""


def body(given: probing.HttpProbe, data: bytearray) -> str:
    """Why a body is not as wanted; empty when it is."""

    for text in given.fail_if_body_matches_regexp:
        if expand.compiled(text).search(data):
            return f"the body matches {text!r}"
    for text in given.fail_if_body_not_matches_regexp:
        if not expand.compiled(text).search(data):
            return f"the body does not match {text!r}"
    return ""
