"""Where test servers are kept between runs, and the error for one that cannot be had."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator


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


def go(*words: str, **environment: str) -> str:
    """What a Go command prints. Raises `UnavailableError` when there is no Go, or it fails."""
    program = shutil.which("go")
    if program is None:
        raise UnavailableError("Go is not installed to build a program for tests")
    command = [program, *words]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"go {words[0]} failed: {done.stderr[-600:]}")
    return done.stdout


def built(name: str, build: Callable[[pathlib.Path], None]) -> pathlib.Path:
    """The folder of programs that `build` puts there; the first process that needs them builds, while others wait."""
    target = folder() / name
    with locked(name):
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=folder()) as made:
                build(pathlib.Path(made))
                pathlib.Path(made).chmod(0o755)
                shutil.copytree(made, target)
    return target
