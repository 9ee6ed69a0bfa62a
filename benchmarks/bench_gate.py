"""The gate's latency over HTTP at a steady 200 questions a second, against the cheapest answer that such a server can give.

The peer is the same uvicorn with a bare ASGI function that sends constant bytes, asked at the same rate by the same client
in the same run: what the gate takes beyond it is ours. Questions are sent on schedule, whether or not earlier ones were
answered, and a latency counts from the time a question was due (no coordinated omission).
Behind the gate: 1,000 targets, 200 rules, 60 alerts of which 20 fire.
"""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import orjson
import uvicorn

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tests.api import world
from tests.gate import fakes
from tidegate.kit import clock

RATE = 200
SECONDS = 8.0
CONNECTIONS = 32
LIMIT_MS = 10.0


def behind() -> world.World:
    """A mid-sized installation's state."""
    found = world.World(clock=clock.SystemClock())
    shift = time.time() - fakes.NOW
    names = [f"service-{number}" for number in range(100)]
    found.targets.found = [
        fakes.target(
            f"{names[number % 100]}-{number}:80",
            age=-shift - 3600,
            job=names[number % 100],
            service=names[number % 100],
        )
        for number in range(1000)
    ]
    found.rules.found = [
        fakes.group(
            *(fakes.rule(f"Rule{number}{index}", service=names[number]) for index in range(10)),
            name=f"g{number}",
            age=-shift - 3600,
        )
        for number in range(20)
    ]
    found.book.alerts = [
        fakes.alert(f"Alert{number}", state="firing" if number < 20 else "pending", service=names[number])
        for number in range(60)
    ]
    return found


async def bare(_scope: Any, _receive: Any, send: Any) -> None:
    """The cheapest JSON answer."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")],
        }
    )
    await send({"type": "http.response.body", "body": b"{}"})


class Quiet(uvicorn.Server):
    """uvicorn that leaves signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing."""
        yield


@contextlib.asynccontextmanager
async def bare_server() -> AsyncIterator[int]:
    """uvicorn with nothing in it; its port."""
    server = uvicorn.Server(
        uvicorn.Config(bare, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    )
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


class Connection:
    """A keep-alive connection that asks one thing at a time; nothing of it shows in the latency but the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self._reader, self._writer = reader, writer
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()

    async def ask(self) -> tuple[int, bytes]:
        """Status and body."""
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def measure(port: int, path: str, rate: float = RATE, seconds: float = SECONDS) -> list[float]:
    """Latencies in milliseconds, from due time to last byte, sorted."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    connections = [Connection(*await asyncio.open_connection("127.0.0.1", port), path) for _ in range(CONNECTIONS)]
    for connection in connections:
        free.put_nowait(connection)
    found: list[float] = []

    async def one(due: float) -> None:
        connection = await free.get()
        status, _ = await connection.ask()
        assert status == 200
        found.append((time.perf_counter() - due) * 1000)
        free.put_nowait(connection)

    started = time.perf_counter() + 0.05
    tasks = []
    for number in range(int(rate * seconds)):
        due = started + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    for connection in connections:
        connection.close()
    return sorted(found)


def percentile(of: list[float], share: float) -> float:
    """A percentile of sorted values."""
    return of[min(int(len(of) * share), len(of) - 1)]


def report(name: str, of: list[float]) -> None:
    """One line."""
    middle = statistics.median(of)
    print(f"{name:34} p50 {middle:6.2f} ms   p99 {percentile(of, 0.99):6.2f} ms   max {of[-1]:6.2f} ms   n={len(of)}")


async def compare(
    port: int,
    path: str,
    load: Callable[[], Awaitable[None]] | None = None,
    rate: float = RATE,
    seconds: float = SECONDS,
) -> tuple[list[float], list[float]]:
    """Latencies of the peer and of the gate on `port`, with `load` running beside the gate."""
    async with bare_server() as bare_port:
        await measure(bare_port, "/", rate, 0.5)
        peer = await measure(bare_port, "/", rate, seconds)
    task = asyncio.ensure_future(load()) if load else None
    await measure(port, path, rate, 0.5)
    ours = await measure(port, path, rate, seconds)
    if task:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return peer, ours


async def main() -> int:
    """Print both and the ratio; 1 when the gate misses its limit."""
    async with world.serving(behind()) as server:
        port = int(server.address.rsplit(":", 1)[1])
        path = "/v1/gate/production/service-7?version=1.4.0&code=200"
        connection = Connection(*await asyncio.open_connection("127.0.0.1", port), path)
        _, body = await connection.ask()
        connection.close()
        verdict = orjson.loads(body)
        print(
            f"asking {RATE}/s for {SECONDS:.0f} s: {verdict['verdict']}, {len(body)} bytes, {len(verdict['reasons'])} reason(s)"
        )
        peer, ours = await compare(port, path)
    report("bare uvicorn, constant bytes", peer)
    report("gate", ours)
    worst, base = percentile(ours, 0.99), percentile(peer, 0.99)
    middle = statistics.median(ours) / statistics.median(peer)
    print(f"ratio p50 {middle:.1f}x, p99 {worst / base:.1f}x; limit p99 < {LIMIT_MS:.0f} ms")
    return int(worst >= LIMIT_MS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
