"""From an input's settings to what reads its lines: the wrapping, the parser, and the zone of times without one.

A line that the parser does not take is kept as text, and counted here.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import zoneinfo
from collections.abc import Callable

from tidegate.logs.formats import access, auto, base, cri, docker, json, logfmt, pairs, pattern, plain, spool, times
from tidegate.model import problems, settings


@dataclasses.dataclass(slots=True)
class Choice:
    """How lines of one input are read."""

    split: auto.Split | None
    parse: auto.Parse
    zone: datetime.tzinfo
    given: bool
    """Whether the input says the zone."""
    unparsed: int = 0
    """Lines kept as text because the parser did not take them."""

    def settle(self, line: base.Line, now: str) -> None:
        """Move a time without a zone, or without a year, to where it belongs."""
        if line.time and (self.given or line.time.startswith(times.YEARLESS)):
            line.time = times.settle(line.time, self.zone, now)
            line.zoned = self.given


def of(input_: settings.LogInput) -> Choice:
    """The choice of an input. Raises `QueryError` for a pattern or a zone that cannot be used."""
    name = input_.format
    made = Choice(None, plain.parse, zone(input_.timezone), bool(input_.timezone))
    if name == "auto":
        made.split, made.parse = auto.split, auto.parse
    elif name in ("cri", "docker"):
        made.split, made.parse = (cri.split if name == "cri" else docker.split), auto.parse
    elif name == "spool":
        made.split, made.parse = spool.split, spool.parse
    elif name != "plain":
        made.split = None if name in ("json", "logfmt") else auto.split
        made.parse = _or_text(_parser(input_), made)
    return made


def zone(name: str) -> datetime.tzinfo:
    """A zone by its IANA name, UTC for none. Raises `QueryError`."""
    if not name:
        return datetime.UTC
    try:
        return _zone(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise problems.QueryError(f"there is no time zone {name!r} on this machine", position=0) from None


@functools.lru_cache(maxsize=64)
def _zone(name: str) -> datetime.tzinfo:
    return zoneinfo.ZoneInfo(name)


def _parser(input_: settings.LogInput) -> Callable[[bytes], base.Line | None]:
    name = input_.format
    if name == "key_value":
        return pairs.parser(input_.pair_separator, input_.value_separator)
    if name in ("regex", "grok"):
        return pattern.parser(name, input_.pattern, input_.patterns)
    return {"json": json.parse, "logfmt": logfmt.parse, "access": access.parse}[name]


def _or_text(first: Callable[[bytes], base.Line | None], made: Choice) -> auto.Parse:
    def parse(raw: bytes) -> base.Line:
        line = first(raw)
        if line is None:
            made.unparsed += 1
            line = plain.parse(raw)
        return line

    return parse
