"""Remote write beside a real Prometheus: samples per CPU second, sending to one sink and receiving from one.

`python -m benchmarks.bench_remote_write [seconds]`. Sending: four exporters of 10,000 series are scraped every second by
`tidegate server`, then by Prometheus, each with remote write to the same sink and without; the difference in CPU time (user
and system) is what sending costs. Receiving: the messages that the sink got are posted to both, and what that costs in CPU
time is counted. Both versions of the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator

import cramjam
import numpy as np
import yaml

from benchmarks import bench_rules, bench_server
from tests.services import prometheus
from tidegate.metrics import columns
from tidegate.metrics.remote import encode, post, wire

TARGETS = 4
WARM = 12.0
ROWS, WIDTH = 60, 10_000


async def _swallow(port: int, keep: Callable[[str], object]) -> None:
    """Takes everything, and writes down how many bytes and samples came."""
    total = [0, 0]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
                plain = bytes(cramjam.snappy.decompress_raw(body))
                two = b"v2.request" in head
                found = wire.version_2(plain)[1] if two else wire.version_1(plain)
                number = sum(len(one.samples) for one in found)
                total[0], total[1] = total[0] + number, total[1] + len(body)
                keep(json.dumps(total))
                writer.write(
                    b"HTTP/1.1 204 X\r\ncontent-length: 0\r\nX-Prometheus-Remote-Write-Samples-Written: %d\r\n\r\n"
                    % number
                )
                await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", port, limit=1 << 22)
    await server.serve_forever()


def swallow(port: int, kept: pathlib.Path) -> None:
    """The sink's process."""

    def keep(text: str) -> None:
        fresh = kept.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(kept)

    asyncio.run(_swallow(port, keep))


def remote(port: int, message: str) -> list[dict[str, object]]:
    """The same entry for both."""
    return [{"url": f"http://127.0.0.1:{port}/write", "protobuf_message": message}] if message else []


def jobs() -> list[dict[str, object]]:
    """The same jobs for both."""
    static = [{"targets": [f"127.0.0.1:{bench_server.FIRST_PORT + n}" for n in range(TARGETS)]}]
    return [{"job_name": "load", "static_configs": static}]


def watched(pid: int, kept: pathlib.Path, seconds: float) -> tuple[float, int, int]:
    """CPU seconds, samples and bytes that were sent meanwhile."""
    time.sleep(WARM)
    before = json.loads(kept.read_text()) if kept.exists() else [0, 0]
    spent = bench_rules.spent(pid, seconds)
    after = json.loads(kept.read_text()) if kept.exists() else [0, 0]
    return spent, after[0] - before[0], after[1] - before[1]


def ours(port: int, kept: pathlib.Path, message: str, seconds: float) -> tuple[float, int, int]:
    """Our costs."""
    with tempfile.TemporaryDirectory() as folder:
        values = {
            "data_dir": "data",
            "log_level": "error",
            "web": {"listen": f"127.0.0.1:{prometheus.free_port()}"},
            "scrape": {"interval": "1s", "timeout": "900ms", "retention": "2m", "jobs": jobs()},
            "remote_write": remote(port, message),
        }
        config = pathlib.Path(folder) / "tidegate.yaml"
        config.write_text(yaml.safe_dump(values))
        with bench_server.tidegate(config) as process:
            return watched(process.pid, kept, seconds)


def theirs(port: int, kept: pathlib.Path, message: str, seconds: float) -> tuple[float, int, int]:
    """Prometheus' costs."""
    values = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "900ms"},
        "scrape_configs": jobs(),
        "remote_write": remote(port, message),
    }
    with prometheus.running(yaml.safe_dump(values)) as server:
        return watched(server.pid, kept, seconds)


def sending(message: str, seconds: float, idle: tuple[float, float]) -> None:
    """Print the samples per CPU second of both."""
    port = prometheus.free_port()
    with tempfile.TemporaryDirectory() as folder, _process(swallow, port, pathlib.Path(folder) / "kept"):
        kept = pathlib.Path(folder) / "kept"
        found = []
        for measure, without in zip((ours, theirs), idle, strict=True):
            spent, samples, size = measure(port, kept, message, seconds)
            found.append(samples / max(spent - without, 0.01))
            print(
                f"  {measure.__name__}: {samples / seconds:,.0f} samples/s for {spent - without:.2f} of {spent:.2f} CPU s"
                f" in {seconds:.0f} s: {found[-1]:,.0f} samples/CPU s, {size / max(samples, 1):.1f} bytes each"
            )
        print(f"sending {message}: ratio to Prometheus {found[0] / found[1]:.2f}")


def messages(message: str) -> Iterator[tuple[bytes, int]]:
    """Rows of one agent's series in requests of 2000, a second apart, up to now."""
    pool = columns.StringPool()
    sets = [
        (
            ("__name__", "http_requests_total"),
            ("code", str(200 + n % 7)),
            ("instance", "a:1"),
            ("job", "load"),
            ("path", f"/p/{n}"),
        )
        for n in range(WIDTH)
    ]
    writer = encode.Writer2(pool)
    prefixes = [encode.series_1(labels) for labels in sets]
    codes = [np.array([pool.code(text) for pair in labels for text in pair], np.int32) for labels in sets]
    group = encode.group(prefixes, codes)
    start = round(time.time() * 1000) - ROWS * 1000
    for row in range(ROWS):
        for first in range(0, WIDTH, 2000):
            values = np.arange(first, first + 2000, dtype=np.float64) * row
            piece = encode.Piece(start + 1000 * row, values, group, first, first + 2000)
            plain = encode.message_1([piece]) if message == post.V1 else writer.message([piece])
            yield encode.packed(plain), 2000


def pushed(url: str, pid: int, message: str) -> float:
    """Samples per CPU second of a receiver."""
    kind = "application/x-protobuf" + (f";proto={message}" if message == post.V2 else "")
    headers = {"content-type": kind, "content-encoding": "snappy", "x-prometheus-remote-write-version": "0.1.0"}
    made = list(messages(message))
    before, total = bench_rules.cpu(pid), 0
    for body, number in made:
        urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", body, headers)).close()
        total += number
    return total / max(bench_rules.cpu(pid) - before, 0.01)


def receiving(message: str) -> None:
    """Print the samples per CPU second of both."""
    with tempfile.TemporaryDirectory() as folder:
        port = prometheus.free_port()
        config = pathlib.Path(folder) / "tidegate.yaml"
        values = {"data_dir": "data", "log_level": "error", "web": {"listen": f"127.0.0.1:{port}", "open_writes": True}}
        config.write_text(yaml.safe_dump(values))
        with bench_server.tidegate(config) as process:
            time.sleep(WARM)
            mine = pushed(f"http://127.0.0.1:{port}", process.pid, message)
    with prometheus.running(flags=("--web.enable-remote-write-receiver",)) as server:
        other = pushed(server.url, server.pid, message)
    print(f"receiving {message}: {mine:,.0f} and {other:,.0f} samples/CPU s: ratio to Prometheus {mine / other:.2f}")


@contextlib.contextmanager
def _process(work: object, *args: object) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=work, args=args, daemon=True)  # type: ignore[arg-type]
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def main() -> None:
    """Run it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    with _process(bench_server.export):
        nowhere = pathlib.Path(os.devnull).with_name("nothing-here")
        idle = (ours(0, nowhere, "", seconds)[0], theirs(0, nowhere, "", seconds)[0])
        print(f"without remote write: {idle[0]:.2f} and {idle[1]:.2f} CPU s in {seconds:.0f} s")
        for message in (post.V1, post.V2):
            sending(message, seconds, idle)
    for message in (post.V1, post.V2):
        receiving(message)


if __name__ == "__main__":
    main()
