"""Parameters of Prometheus' API, as Prometheus reads them. What cannot be read is a `Failure` (400)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tidegate.api import times
from tidegate.api.endpoint import Failure, Params

EARLIEST, LATEST = -9e15, 9e15
"""Unix seconds before and after everything: where a range without `start` and `end` ends."""
LONGEST = 2**63 / 1e9
"""Seconds of the longest duration that Go can hold."""


def bad(name: str, why: str) -> Failure:
    """A parameter that makes no sense."""
    return Failure(400, f'invalid parameter "{name}": {why}')


def text(params: Params, name: str) -> str:
    """A text; empty when it is not there."""
    return str(params.get(name) or "")


def optional_time(params: Params, name: str, default: float) -> float:
    """A time in unix seconds, or the default."""
    try:
        return time(params, name) if params.get(name) else default
    except Failure as failure:
        why = failure.detail.removeprefix(f'invalid parameter "{name}": ')
        raise bad(name, f"invalid time value for '{name}': {why}") from None


def time(params: Params, name: str) -> float:
    """A time in unix seconds."""
    given = text(params, name)
    try:
        return times.parse(given)
    except ValueError:
        raise bad(name, f'cannot parse "{given}" to a valid timestamp') from None


def duration(params: Params, name: str) -> float:
    """Seconds."""
    given = text(params, name)
    try:
        value = times.duration(given)
    except ValueError:
        raise bad(name, f'cannot parse "{given}" to a valid duration') from None
    if math.isnan(value) or not -LONGEST <= value < LONGEST:
        raise bad(name, f'cannot parse "{given}" to a valid duration. It overflows int64')
    return value


def timeout(params: Params, longest: float) -> float:
    """Seconds that a query may take: at most `longest`, which is the default too."""
    if not params.get("timeout"):
        return longest
    value = duration(params, "timeout")
    if value <= 0:
        raise bad("timeout", f"timeout must be positive, got {params['timeout']}")
    return min(value, longest)


def limit(params: Params, name: str = "limit") -> int:
    """How many things at most; 0 is no limit."""
    given = text(params, name) or "0"
    if given.removeprefix("-").isdecimal() and given.isascii():
        if given.startswith("-") and int(given):
            raise bad(name, "limit must be non-negative")
        return int(given)
    raise bad(name, f'strconv.Atoi: parsing "{given}": invalid syntax')


def whole(params: Params, name: str) -> int:
    """A number, -1 when it is not there."""
    given = text(params, name) or "-1"
    if not given.removeprefix("-").isdecimal() or not given.isascii():
        raise Failure(400, f"{name} must be a number")
    return int(given)


def choice(params: Params, name: str, known: Mapping[str, object]) -> str:
    """One of some words, in any case; empty when it is not there."""
    given = text(params, name).lower()
    if given and given not in known:
        raise bad(name, f'not supported value "{given}"')
    return given
