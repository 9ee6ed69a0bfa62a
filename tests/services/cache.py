"""Where test servers are kept between runs, and the error for one that cannot be had."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator


class UnavailableError(RuntimeError):
    """A tool or the network is missing: a test says so and skips."""


def folder() -> pathlib.Path:
    """A folder that a server's user can read: not below root's home."""
    base = "/var/cache" if os.geteuid() == 0 else os.environ.get("XDG_CACHE_HOME", "~/.cache")
    path = pathlib.Path(os.environ.get("TIDEGATE_TEST_CACHE", f"{base}/tidegate-tests")).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Only one process fetches a thing; the others wait for it."""
    with (folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
