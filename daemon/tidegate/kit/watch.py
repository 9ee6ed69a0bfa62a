"""Notices that files changed, by their content: works with ConfigMap symlinks, editors and copies alike."""

from __future__ import annotations

import asyncio
import glob
import hashlib
import pathlib
from collections.abc import Sequence

from tidegate.model import ports

INTERVAL = 5.0


async def changed(patterns: Sequence[str], before: str, clock: ports.Clock) -> str:
    """Wait until the files behind the patterns are no longer what they were; their new digest."""
    while True:
        await clock.sleep(INTERVAL)
        now = await asyncio.to_thread(digest, patterns)
        if now != before:
            return now


def digest(patterns: Sequence[str]) -> str:
    """A digest of the names and contents of all files behind some patterns; a file that cannot be read counts as empty."""
    total = hashlib.sha256()
    for name in sorted({name for pattern in patterns for name in glob.glob(pattern, recursive=True)}):  # noqa: PTH207
        total.update(name.encode() + b"\0")
        try:
            total.update(hashlib.sha256(pathlib.Path(name).read_bytes()).digest())
        except OSError:
            total.update(b"unreadable")
    return total.hexdigest()
