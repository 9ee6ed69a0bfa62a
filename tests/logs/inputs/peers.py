"""Inputs with a shipper and a strict Elasticsearch behind them, as in `tests/faults`, and small senders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from tests.faults import fronts, rig
from tidegate.kit import telemetry
from tidegate.logs import agent
from tidegate.logs.elasticsearch import bulk
from tidegate.logs.inputs import listening
from tidegate.model import receiving


class Rig(rig.Rig):
    """A shipper that also receives."""

    def __init__(self, folder: pathlib.Path, receive: dict[str, Any], **logs: Any) -> None:
        super().__init__(folder, inputs=[], receive=receive, **logs)

    def start(self) -> None:
        """Start shipper and inputs, as a new process would."""
        self.registry = telemetry.Registry()
        self.output = bulk.ElasticsearchOutput(
            self.config.elasticsearch, self.time, self.registry, node_class=fronts.node(self.server)
        )
        self.inputs = listening.Inputs(self.config, self.data, self.folder, self.time, self.registry)
        self.agent = agent.LogAgent(
            self.config,
            self.data,
            self.folder,
            [self.output],
            [],
            self.time,
            self.registry,
            host="h",
            spools=self.inputs,
        )
        self._running = asyncio.create_task(self._both())

    async def _both(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.agent.run())
            group.create_task(self.inputs.run(self.agent))

    async def address(self, name: str) -> tuple[str, int]:
        """Where an input listens, once it does."""
        one: Any = self.inputs.running[name]
        listener = getattr(one, "server", one)
        await self.until(lambda: listener.address[1] > 0)
        host, port = listener.address
        return host, port

    def documents(self) -> list[dict[str, Any]]:
        """What is stored, in order of storing."""
        return self.server.documents()

    def spool_files(self, name: str) -> list[pathlib.Path]:
        """The files of an input's spool."""
        return sorted((self.data / "logs/spool" / name).glob("*.spool"))


@contextlib.asynccontextmanager
async def running(folder: pathlib.Path, receive: dict[str, Any], **logs: Any) -> AsyncIterator[Rig]:
    """A rig that is started, and stopped at the end."""
    it = Rig(folder, receive, **logs)
    it.start()
    try:
        yield it
    finally:
        if it._running is not None:
            await it.stop(0.0)


async def request(
    address: tuple[str, int],
    body: bytes,
    *,
    method: str = "POST",
    path: str = "/",
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One HTTP request on a connection of its own; status, headers, body."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        given = {"host": "x", "content-length": str(len(body)), "connection": "close", **(headers or {})}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in given.items())
        writer.write(head.encode() + b"\r\n" + body)
        return await answer(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """One HTTP answer; `ConnectionError` when there is none."""
    first = await reader.readline()
    if not first:
        raise ConnectionResetError
    headers = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(first.split()[1]), headers, body


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET, kind) as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def numbered(numbers: range, prefix: str = "m") -> tuple[bytes, set[str]]:
    """JSON lines with numbers, and their names."""
    names = [f"{prefix}-{number}" for number in numbers]
    return b"".join(json.dumps({"msg": f"seq={name}", "n": 1}).encode() + b"\n" for name in names), set(names)


def http(**more: Any) -> dict[str, Any]:
    """An HTTP input `in` on a free port."""
    return {"http": {"in": {"listen": "127.0.0.1:0", **more}}}


__all__ = ["Rig", "answer", "free_port", "http", "numbered", "receiving", "request", "running"]
