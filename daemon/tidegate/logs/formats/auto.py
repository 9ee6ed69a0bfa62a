"""Decides line by line: a container runtime's wrapping first, then JSON, logfmt, and text for all the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tidegate.logs.formats import base, cri, docker, json, logfmt, plain, spool

Split: TypeAlias = Callable[[bytes], base.Wrapped | None]
Parse: TypeAlias = Callable[[bytes], base.Line]


def split(raw: bytes) -> base.Wrapped | None:
    """The wrapping of CRI or Docker, or None when there is none."""
    if raw.startswith(b'{"log":'):
        return docker.split(raw)
    return cri.split(raw) if raw[:1].isdigit() else None


def parse(raw: bytes) -> base.Line:
    """The line in the first format that takes it."""
    if raw.startswith(b"{"):
        return json.parse(raw) or plain.parse(raw)
    return logfmt.parse(raw) or plain.parse(raw)


def choose(name: str) -> tuple[Split | None, Parse]:
    """The wrapping and the line format of a setting `format`. A line that the format does not take is text."""
    return _CHOICES[name]


def _or_text(first: Callable[[bytes], base.Line | None]) -> Parse:
    return lambda raw: first(raw) or plain.parse(raw)


_CHOICES: dict[str, tuple[Split | None, Parse]] = {
    "auto": (split, parse),
    "cri": (cri.split, parse),
    "docker": (docker.split, parse),
    "json": (None, _or_text(json.parse)),
    "logfmt": (None, _or_text(logfmt.parse)),
    "plain": (None, plain.parse),
    "spool": (spool.split, spool.parse),
}
