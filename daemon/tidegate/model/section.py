"""What every section of the settings is made of: refusal of unknown fields, and durations in Prometheus' form."""

from __future__ import annotations

import re
from typing import Annotated

import pydantic

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_SIZES = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40, "PB": 2**50, "EB": 2**60}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)i?(B?)\Z")


def seconds(value: object) -> object:
    """A Prometheus duration (`1h30m`) or a number of seconds, as seconds. Other values are left for pydantic to refuse."""
    if not isinstance(value, str) or not value or value == "0":
        return 0.0 if value == "0" else value
    parts = _DURATION.findall(value)
    if "".join(number + unit for number, unit in parts) != value:
        raise ValueError(f"{value!r} is not a duration such as 30s, 5m or 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def size(value: object) -> object:
    """Bytes of a number or of Prometheus' form (`64MB`, powers of 1024). Other values are left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    found = _SIZE.match(value)
    if found is None or (found[2] and not found[3]):
        raise ValueError(f"{value!r} is not a size such as 500KB or 64MB")
    return int(float(found[1]) * _SIZES[found[2] + found[3]])


Duration = Annotated[float, pydantic.BeforeValidator(seconds), pydantic.Field(ge=0)]
"""Seconds; written as a number or in Prometheus' form."""
Size = Annotated[int, pydantic.BeforeValidator(size), pydantic.Field(ge=0)]
"""Bytes; written as a number or as `64MB`."""


class Section(pydantic.BaseModel):
    """Refuses unknown fields."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def duration(value: float) -> str:
    """Seconds in Prometheus' form: `1m30s`."""
    left, parts = round(value * 1000), []
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, length)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"
