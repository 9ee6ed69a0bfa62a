"""Starts and stops the example's processes, and asks them things over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
STOP_WITHIN = 5.0


@contextlib.contextmanager
def running(
    *commands: list[str], log: pathlib.Path | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run programs for as long as the block lasts; then SIGTERM, and SIGKILL after 5 s for those that do not listen."""
    sink = log.open("ab") if log else None
    started = [
        subprocess.Popen(
            command, cwd=ROOT, stdout=sink, stderr=sink, env={**os.environ, **(environ or {})}, start_new_session=True
        )
        for command in commands
    ]
    try:
        yield
    finally:
        stop(started)
        if sink:
            sink.close()


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """SIGTERM to all, in reverse order of starting; SIGKILL to those still there after 5 s."""
    for process in reversed(processes):
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def shop(port: int, logs: pathlib.Path, version: str = "1.0.0") -> list[str]:
    """The command that runs the shop."""
    return [sys.executable, "-m", "examples.shop.shop", "--port", str(port), "--logs", str(logs), "--version", version]


def tidegate(config: pathlib.Path) -> list[str]:
    """The command that runs Tidegate."""
    return [sys.executable, "-m", "tidegate", "run", "--config", str(config)]


def get(url: str) -> tuple[int, Any]:
    """Status and body (JSON if it is some); (0, reason) without an answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, _body(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _body(error.read())
    except OSError as error:
        return 0, str(error)


def _body(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


def free_port() -> int:
    """A TCP port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def taken(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
