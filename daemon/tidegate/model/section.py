"""What every section of the settings is made of: refusal of unknown fields, and durations in Prometheus' form."""

from __future__ import annotations

import re
from typing import Annotated, Any

import pydantic

_UNITS = (31536000.0, 604800.0, 86400.0, 3600.0, 60.0, 1.0, 0.001)
"""Seconds of a year, a week, a day, an hour, a minute, a second and a millisecond."""
_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_SIZES = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40, "PB": 2**50, "EB": 2**60}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)i?(B?)", re.ASCII)


def seconds(value: object) -> object:
    """A Prometheus duration (`1h30m`) or a number of seconds, as seconds. Other values are left for pydantic to refuse."""
    if not isinstance(value, str) or not value or value == "0":
        return 0.0 if value == "0" else value
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is not a duration such as 30s, 5m or 1h30m")
    return sum(int(number) * unit for number, unit in zip(found.groups(), _UNITS, strict=True) if number)


def size(value: object) -> object:
    """Bytes of a number or of Prometheus' form (`64MB`, powers of 1024). Other values are left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    parts = [found.groups() for found in _SIZE.finditer(value)]
    whole = "".join(found[0] for found in _SIZE.finditer(value))
    if not parts or whole != value or any(bool(unit) > bool(byte) for _, unit, byte in parts):
        raise ValueError(f"{value!r} is not a size such as 500KB or 64MB")
    return int(sum(float(number) * _SIZES[unit + byte] for number, unit, byte in parts))


def text(value: object) -> object:
    """Where a text is wanted, a number or a truth value in YAML was meant as one, as it is written there."""
    if isinstance(value, bool):
        return str(value).lower()
    return getattr(value, "written", str(value)) if isinstance(value, (int, float)) else value


Text = Annotated[str, pydantic.BeforeValidator(text)]
"""A text; `007` and `1.10` in YAML stay as they are."""
Duration = Annotated[float, pydantic.BeforeValidator(seconds), pydantic.Field(ge=0)]
"""Seconds; written as a number or in Prometheus' form."""
Size = Annotated[int, pydantic.BeforeValidator(size), pydantic.Field(ge=0)]
"""Bytes; written as a number or as `64MB`."""


class Section(pydantic.BaseModel):
    """Refuses unknown fields."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _left_open(cls, given: Any) -> Any:
        """A known name with nothing behind it is as good as left out, as in Prometheus' files."""
        if not isinstance(given, dict) or None not in given.values():
            return given
        return {name: value for name, value in given.items() if value is not None or name not in cls.model_fields}


def duration(value: float) -> str:
    """Seconds in Prometheus' form: `1m30s`."""
    left, parts = round(value * 1000), []
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, length)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"
