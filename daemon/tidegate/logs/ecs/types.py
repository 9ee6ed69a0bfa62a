"""The type of every ECS field, and whether a value that a line gives for one has it.

A value of the right type goes into the field, any other stays a label: an index never sees a text where it keeps a number
or an address. The table is made from ECS' own list by `tools/ecs_table.py`. Fields that we fill ourselves are not given away.
"""

from __future__ import annotations

import functools
import importlib.resources
import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from tidegate.logs.formats import times

_OWN_OBJECTS: Final = frozenset({"container", "data_stream", "ecs", "host", "labels"})
_OWN: Final = frozenset({
    "@timestamp", "message", "tags", "log.level", "log.logger", "log.file.path", "event.created", "event.dataset",
    "event.ingested", "service.name", "service.version", "service.environment", "error.message", "error.type",
    "error.stack_trace", "trace.id", "span.id",
})  # fmt: skip
_WHOLE: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_FRACTION: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_TRUTHS: Final[Mapping[str, bool]] = {"true": True, "false": False}
_LARGEST: Final = 3.4e38
"""Of Elasticsearch's `float`."""


@functools.lru_cache(maxsize=1)
def table() -> Mapping[str, str]:
    """Every field and its type: `keyword text long integer float boolean ip date`."""
    found: dict[str, str] = {}
    for line in importlib.resources.files(__package__).joinpath("table.txt").read_text("utf-8").splitlines():
        group, *leaves = line.split()
        for leaf in leaves:
            name, _, kind = leaf.partition(":")
            found[name if group == "." else f"{group}.{name}"] = kind or "keyword"
    return found


@functools.lru_cache(maxsize=1)
def free() -> Mapping[str, str]:
    """The fields that a line may fill: not those that we fill, nor those of where it ran."""
    return {
        name: kind for name, kind in table().items() if name not in _OWN and name.partition(".")[0] not in _OWN_OBJECTS
    }


@functools.lru_cache(maxsize=1)
def underscored() -> Mapping[str, str]:
    """Every field by its name with `_` for `.`, as names of regex groups must be written: `http_request_method`."""
    return {name.replace(".", "_"): name for name in table() if "." in name}


def value(name: str, item: object) -> Any:
    """The value as the field's type has it; None when no field of this name is free, or the value is of another type."""
    kind = free().get(name)
    if kind is None or item is None:
        return None
    convert = _CONVERT[kind]
    if isinstance(item, list):
        parts = [None if isinstance(part, list) else convert(part) for part in item]
        return parts if parts and None not in parts else None
    return convert(item)


def _text(item: object) -> str | None:
    if isinstance(item, str):
        return item
    if isinstance(item, int) and not isinstance(item, bool):
        return str(item)
    return orjson.dumps(item).decode() if isinstance(item, (bool, float)) else None


def _whole(item: object, bits: int) -> int | None:
    written = isinstance(item, str) and _WHOLE.fullmatch(item)
    if written or (isinstance(item, float) and item.is_integer()):
        item = int(item)  # type: ignore[call-overload]
    if not isinstance(item, int) or isinstance(item, bool):
        return None
    return item if -(2 ** (bits - 1)) <= item < 2 ** (bits - 1) else None


def _long(item: object) -> int | None:
    return _whole(item, 64)


def _integer(item: object) -> int | None:
    return _whole(item, 32)


def _float(item: object) -> float | None:
    if isinstance(item, str) and _FRACTION.fullmatch(item):
        item = float(item)
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return None
    return float(item) if math.isfinite(item) and abs(item) < _LARGEST else None


def _boolean(item: object) -> bool | None:
    return item if isinstance(item, bool) else _TRUTHS.get(item) if isinstance(item, str) else None


def _ip(item: object) -> str | None:
    if not isinstance(item, str) or "%" in item:
        return None
    try:
        return str(ipaddress.ip_address(item))
    except ValueError:
        return None


def _date(item: object) -> str | None:
    if isinstance(item, str):
        found = times.iso(item)
        return None if found is None or found[0].startswith(times.YEARLESS) else found[0]
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return None
    return times.epoch(float(item))


_CONVERT: Final[Mapping[str, Callable[[object], Any]]] = {
    "keyword": _text,
    "text": _text,
    "long": _long,
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "ip": _ip,
    "date": _date,
}
