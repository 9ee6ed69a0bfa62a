"""Kill -9 of a real process on the way of an alert, against a real HTTP receiver: nobody is left untold, and nobody is told
twice beyond the one message in flight, which then carries the same key.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import sys

import pytest

from tests.notify import http_server

ROOT = pathlib.Path(__file__).resolve().parents[2]
POINTS = {"before_commit": 1, "after_commit": 1, "before_delivery": 1, "after_delivery": 2}
"""Where the process dies, and how often the message then arrives in all."""


async def run(folder: pathlib.Path, server: http_server.Server, state: str, kill: str) -> int:
    """Run the program once; its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.notify.crash_program",
        str(folder / "state.db"),
        f"{server.url}/hook/{folder.name}",
        state,
        kill,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'daemon'}"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, stderr = await process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        pytest.fail(stderr.decode()[-2000:])
    return process.returncode or 0


def arrived(server: http_server.Server, folder: pathlib.Path, status: str) -> list[http_server.Got]:
    return [got for got in server.got if got.path.endswith(folder.name) and got.body["status"] == status]


async def story(folder: pathlib.Path, server: http_server.Server, point: str) -> None:
    """Fire and die; come back; resolve and die; come back."""
    folder.mkdir()
    assert await run(folder, server, "firing", point) == -signal.SIGKILL
    assert await run(folder, server, "-", "never") == 0
    assert len(arrived(server, folder, "firing")) == POINTS[point], point
    assert await run(folder, server, "resolved", point) == -signal.SIGKILL
    assert await run(folder, server, "-", "never") == 0
    for status in ("firing", "resolved"):
        messages = arrived(server, folder, status)
        assert len(messages) == POINTS[point], (point, status)
        assert len({got.headers["idempotency-key"] for got in messages}) == 1
        assert messages[0].body["alerts"][0]["labels"] == {"alertname": "ShopDown", "service": "shop"}


async def test_sigkill_anywhere_loses_nothing_and_doubles_only_what_was_in_flight(tmp_path: pathlib.Path) -> None:
    with http_server.serve() as server:
        await asyncio.gather(*(story(tmp_path / point, server, point) for point in POINTS))
