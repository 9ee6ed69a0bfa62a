"""Label sets: sorted tuples of (name, value), hashable and cheap to compare.

An empty value means "no such label" (Prometheus' data model), so no label set holds one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import TypeAlias

Labels: TypeAlias = tuple[tuple[str, str], ...]

NAME = "__name__"
_OFFSET = 14695981039346656037
_PRIME = 1099511628211
_MASK = (1 << 64) - 1


def make(mapping: Mapping[str, str] | Iterable[tuple[str, str]] = (), /, **more: str) -> Labels:
    """A label set from a mapping or pairs; empty values are left out."""
    pairs = dict(mapping, **more)
    return tuple(sorted((name, value) for name, value in pairs.items() if value))


def get(labels: Labels, name: str, default: str = "") -> str:
    """The value of one label."""
    for key, value in labels:
        if key == name:
            return value
    return default


def without(labels: Labels, *names: str) -> Labels:
    """The label set less some names."""
    return tuple(pair for pair in labels if pair[0] not in names)


def merge(labels: Labels, more: Mapping[str, str] | Labels) -> Labels:
    """The label set with some set; an empty value removes the label."""
    return make({**dict(labels), **dict(more)})


@functools.lru_cache(maxsize=1 << 16)
def fingerprint(labels: Labels) -> str:
    """16 hex digits, equal to Alertmanager's: FNV-1a (64 bit) over name 0xff value 0xff, in order of names."""
    value = _OFFSET
    for name, text in labels:
        for byte in name.encode() + b"\xff" + text.encode() + b"\xff":
            value = ((value ^ byte) * _PRIME) & _MASK
    return f"{value:016x}"


def text(labels: Labels) -> str:
    """As Prometheus prints it: `up{job="shop"}`."""
    name = get(labels, NAME)
    inner = ", ".join(f'{key}="{_escape(value)}"' for key, value in labels if key != NAME)
    return f"{name}{{{inner}}}" if inner or not name else name


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
