"""Which files there are, and which file is which: identity that outlives a rename.

A file is its device, inode and first line. The first line tells a new file in an old inode apart, and makes the ids of
its lines the same after our state was lost. Patterns are expanded with symbolic links followed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import glob
import hashlib
import os
from collections.abc import Sequence
from typing import TypeAlias

from tidegate.model import settings

Key: TypeAlias = tuple[int, int]
"""Device and inode."""
PREFIX = 1024
MARK = 48
_ID_BYTES = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """One file that a pattern led to."""

    path: str
    key: Key
    size: int
    changed: int
    """Its time of last change, in nanoseconds."""
    input: settings.LogInput


def scan(inputs: Sequence[settings.LogInput], folder: str) -> dict[Key, Found]:
    """Every regular file that the inputs ask for, by identity; the first input and the first path win.

    Relative patterns are relative to `folder`. Files that vanish or may not be looked at meanwhile are left out.
    """
    found: dict[Key, Found] = {}
    for input_ in inputs:
        for path in expand(input_, folder):
            with contextlib.suppress(OSError):
                stat = os.stat(path)  # noqa: PTH116 - a Path object for each of 10,000 files costs more than the call
                key = (stat.st_dev, stat.st_ino)
                if stat.st_mode & 0o170000 == 0o100000 and key not in found:
                    found[key] = Found(path, key, stat.st_size, stat.st_mtime_ns, input_)
    return found


def expand(input_: settings.LogInput, folder: str) -> list[str]:
    """Paths that match one input, sorted."""
    paths = {
        path
        for pattern in input_.paths
        for path in glob.iglob(os.path.join(folder, pattern), recursive=True)  # noqa: PTH118, PTH207 - see scan
    }
    return sorted(path for path in paths if not _matches(input_.exclude, folder, path))


def in_folder(folder: str, key: Key) -> str:
    """The path of a file that was renamed, found by identity in the folder it was in; empty when it is not there."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.inode() == key[1] and entry.is_file(follow_symlinks=False):
                stat = entry.stat(follow_symlinks=False)
                if (stat.st_dev, stat.st_ino) == key:
                    return entry.path
    return ""


def named(fd: int) -> str:
    """The path that an open file has now, after renames; empty where the system does not tell."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - the link's text, as it is
    except OSError:
        return ""


def first_line(fd: int) -> bytes:
    """The first line of an open file, or as much of it as identity needs."""
    return os.pread(fd, PREFIX, 0).partition(b"\n")[0]


def mark(fd: int, offset: int) -> str:
    """A digest of the bytes in front of an offset of an open file, to know the place again."""
    start = max(offset - MARK, 0)
    return digest(os.pread(fd, offset - start, start))


def file_id(key: Key, first: bytes, host: str, generation: int) -> str:
    """16 characters that stand for the file in document ids: the same for the same file, also without any state.

    `generation` counts the times that the same inode was seen to begin anew.
    """
    parts = f"{key[0]}\0{key[1]}\0{host}\0{generation}\0".encode() + first
    digest = hashlib.blake2b(parts, digest_size=_ID_BYTES).digest()
    return base32(digest)


def base32(raw: bytes) -> str:
    """Lower-case base32hex (RFC 4648, 7) without padding; `raw` in multiples of 5 bytes."""
    number = int.from_bytes(raw, "big")
    digits = "0123456789abcdefghijklmnopqrstuv"
    return "".join(digits[(number >> shift) & 31] for shift in range(len(raw) * 8 - 5, -1, -5))


def digest(raw: bytes) -> str:
    """A short digest of some bytes, to know them again."""
    return hashlib.blake2b(raw, digest_size=8).hexdigest()


def claims(input_: settings.LogInput, folder: str, path: str) -> bool:
    """Whether an input's patterns match a path that may not exist any more."""
    return _matches(input_.paths, folder, path) and not _matches(input_.exclude, folder, path)


def _matches(patterns: Sequence[str], folder: str, path: str) -> bool:
    return any(fnmatch.fnmatch(path, os.path.join(folder, pattern)) for pattern in patterns)  # noqa: PTH118
