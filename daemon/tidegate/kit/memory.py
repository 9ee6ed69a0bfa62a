"""How this process takes memory from the C library.

A log shipper's documents and request bodies are made in one thread and freed in another. glibc gives each thread an arena of
its own and keeps what was freed there, which makes hundreds of MiB of the few that are in use. Other C libraries need none of
this, and are left as they are.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of `mallopt(3)`."""
LARGE: Final = 32 * 1024 * 1024
"""Bytes from which a block is given back to the system as soon as it is free."""
SPARE: Final = 16 * 1024 * 1024
"""Bytes that may be kept at the end of the heap for what comes next."""


def sparing() -> None:
    """One arena for all threads, and large blocks apart. To be called before there are threads."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, SPARE)):
            mallopt(parameter, value)
