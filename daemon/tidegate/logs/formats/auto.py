"""Decides line by line: a container runtime's wrapping first, then JSON, logfmt, and text for all the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tidegate.logs.formats import base, cri, docker, json, logfmt, plain

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
