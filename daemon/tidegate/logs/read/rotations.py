"""Finds what a rotation left beside a file: the ones renamed before anybody looked, and copies of what was truncated.

Only names that a rotation makes count (`app.log.1`, `app.log-20260102`, `app-2026-01-02.log`), so that two files that
merely begin alike are never taken for each other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Container, Iterable

from tidegate.logs.read import checkpoint, files

_STAMP = r"(?:\d{1,4}|\d{4}-?\d\d-?\d\d(?:[T_.-]?[\d.:-]*\d)?|\d{10,17}|old|prev|bak)"
_BEHIND = re.compile(rf"(.+?)[._-]{_STAMP}", re.ASCII)
_INSIDE = re.compile(rf"(.+?)[._-]{_STAMP}\.([A-Za-z]+)", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Rotated:
    """A file beside another that has the name of a rotation of it."""

    path: str
    key: files.Key
    size: int
    changed: float
    """Time of last change, unix seconds."""
    first: bytes
    """Its first line, as far as identity looks at it."""


def named(name: str, base: str) -> bool:
    """Whether a file name is one that rotating `base` gives."""
    return base in bases(name)


def beside(paths: Iterable[str], known: Container[files.Key]) -> list[tuple[str, Rotated]]:
    """(path, what a rotation of it left beside it) for files that are not known yet, oldest first. Blocking.

    Symbolic links are followed: the rotation happens where the file is.
    """
    folders: dict[str, dict[str, str]] = {}
    for path in paths:
        folder, base = os.path.split(os.path.realpath(path))
        folders.setdefault(folder, {})[base] = path
    found: list[tuple[str, Rotated]] = []
    for folder, wanted in folders.items():
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                base = next((each for each in bases(entry.name) if each in wanted), "")
                if base and entry.name not in wanted and entry.is_file(follow_symlinks=False):
                    rotated = at(entry.path)
                    if rotated is not None and rotated.key not in known:
                        found.append((wanted[base], rotated))
    return sorted(found, key=lambda each: each[1].changed)


def at(path: str) -> Rotated | None:
    """The file at a path; None when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        stat = os.fstat(fd)
        return Rotated(path, (stat.st_dev, stat.st_ino), stat.st_size, stat.st_mtime, files.first_line(fd))
    except OSError:
        return None
    finally:
        os.close(fd)


def begins_like(rotated: Rotated, entry: checkpoint.Entry) -> bool:
    """Whether a file has the first line of what an entry is about; all of it, unless its end was not read."""
    unfinished = entry.offset <= entry.first_length
    return (
        entry.first_length > 0
        and (unfinished or len(rotated.first) == entry.first_length)
        and files.digest(rotated.first[: entry.first_length]) == entry.first_digest
    )


def continues(rotated: Rotated, entry: checkpoint.Entry) -> bool:
    """Whether a file is a copy of what an entry was about: the same first line, and at least as long as was read."""
    return (
        rotated.size >= entry.offset and begins_like(rotated, entry) and _mark(rotated.path, entry.offset) == entry.mark
    )


def bases(name: str) -> list[str]:
    """What a name may be a rotation of."""
    found = []
    if match := _BEHIND.fullmatch(name):
        found.append(match[1])
    if match := _INSIDE.fullmatch(name):
        found.append(f"{match[1]}.{match[2]}")
    return found


def _mark(path: str, offset: int) -> str:
    """The digest of the bytes in front of an offset, as `tail.Tail.mark_before` makes it."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            return files.mark(fd, offset)
        finally:
            os.close(fd)
    return ""
