"""Whole shippers beside each other: one CRI file with JSON inside, to a sink that acknowledges bulk requests.

`python -m benchmarks.bench_ship [--size MB] [--only speed|latency|memory] [--peers NAMES]`. Compared are lines per CPU-second
of the process (user and system, all threads), because wall time here is the sink's as well. Then, of ours: seconds from a
write to its acknowledgement at 10,000 lines/s, and resident memory: idle, 50 files at full speed, 10,000 files.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from benchmarks.bench_rules import cpu
from benchmarks.bench_server import memory
from benchmarks.ship import files, programs, sink
from tests.services import cache

Program = Callable[..., AbstractContextManager[Any]]
PEERS: dict[str, Program] = {
    "Filebeat": programs.beats,
    "rsyslog": programs.rsyslog,
    "elasticsearch.helpers": programs.helpers,
}
QUIET = 60.0
"""Seconds without a document after which a shipper is given up."""
RATE, SECONDS = 10_000, 20


class Figure(NamedTuple):
    """One run of one program."""

    lines: int
    seconds: float
    cpu: float
    peak: int
    """MiB."""

    @property
    def speed(self) -> float:
        """Lines per CPU-second."""
        return self.lines / self.cpu


@contextmanager
def folders() -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """One for logs, one for work."""
    with tempfile.TemporaryDirectory() as name:
        logs, work = pathlib.Path(name, "logs"), pathlib.Path(name, "work")
        logs.mkdir()
        work.mkdir()
        yield logs, work


def arrived(to: sink.Sink, wanted: int) -> float:
    """Wait for so many documents; seconds until then. Raises `RuntimeError` when they do not come."""
    began = last = time.perf_counter()
    seen = 0
    while (now := to.documents()) < wanted:
        if now != seen:
            seen, last = now, time.perf_counter()
        if time.perf_counter() - last > QUIET:
            raise RuntimeError(f"{seen} of {wanted} lines arrived")
        time.sleep(0.05)
    return time.perf_counter() - began


def run(program: Program, logs: pathlib.Path, count: int, *, gzip: bool = False) -> Figure:
    """One program over a folder of files with so many lines."""
    with (
        sink.Sink() as to,
        tempfile.TemporaryDirectory() as work,
        program(logs, to.url, pathlib.Path(work), gzip=gzip) as process,
    ):
        seconds = arrived(to, count)
        time.sleep(1.5)  # what is acknowledged is written down
        return Figure(count, seconds, cpu(process.pid), memory(process.pid)["peak"])


def speed(size: int, peers: list[str]) -> bool:
    """Lines per CPU-second, and ratios."""
    with folders() as (logs, _):
        count = files.write(logs / files.name(), size)
        print(f"{count:,} lines, {size / 1e6:,.0f} MB, in one file")
        for gzip in (False, True):
            mine = run(programs.tidegate, logs, count, gzip=gzip)
            kind = ", gzip" if gzip else ""
            show(f"tidegate{kind}", mine)
            for name in peers:
                try:
                    other = run(PEERS[name], logs, count, gzip=gzip)
                except cache.UnavailableError as error:
                    print(f"{name + kind:28} {error}")
                else:
                    show(f"{name}{kind}", other, f"   we: {mine.speed / other.speed:.1f}x")
    return True


def show(name: str, figure: Figure, more: str = "") -> None:
    """One row."""
    print(
        f"{name:28} {figure.speed:9,.0f} lines/CPU-s {figure.lines / figure.seconds:9,.0f} lines/s {figure.peak:5} MiB{more}",
        flush=True,
    )


def write_slowly(path: pathlib.Path) -> None:
    """Lines that say when they were written, some each hundredth of a second."""
    began = time.perf_counter()
    with path.open("w") as file:
        for turn in range(SECONDS * 100):
            text = files.lines(turn * RATE // 100, RATE // 100)
            file.write(text.replace('"region"', f'"sent":"{time.time_ns()}","region"'))
            file.flush()
            time.sleep(max(began + (turn + 1) / 100 - time.perf_counter(), 0))


def latency() -> None:
    """How long a line is on its way while 10,000 are written a second."""
    with folders() as (logs, work), sink.Sink() as to, programs.tidegate(logs, to.url, work):
        time.sleep(3)
        write_slowly(logs / files.name())
        arrived(to, RATE * SECONDS)
        waits = sorted(to.waits())
    middle, most = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    print(f"written to acknowledged at {RATE:,} lines/s: p50 {middle:.2f} s, p99 {most:.2f} s, of {len(waits):,} lines")


def resident() -> None:
    """Resident memory in three situations."""
    with folders() as (logs, work), sink.Sink() as to:
        (logs / files.name()).write_text(files.lines(0, 10))
        with programs.tidegate(logs, to.url, work) as process:
            arrived(to, 10)
            time.sleep(5)
            print(f"resident: idle {memory(process.pid)['now']} MiB", flush=True)
    with folders() as (logs, work), sink.Sink() as to:
        count = sum(files.write(logs / files.name(number), 10_000_000) for number in range(50))
        with programs.tidegate(logs, to.url, work) as process:
            arrived(to, count)
            print(f"resident: 50 files at full speed {memory(process.pid)['peak']} MiB at the most", flush=True)
    with folders() as (logs, work), sink.Sink() as to:
        for number in range(10_000):
            (logs / files.name(number)).write_text(files.lines(number, 20))
        with programs.tidegate(logs, to.url, work) as process:
            arrived(to, 200_000)
            for number in range(10_000):
                with (logs / files.name(number)).open("a") as file:
                    file.write(files.lines(number, 20))
            arrived(to, 400_000)
            time.sleep(5)
            found = memory(process.pid)
            print(f"resident: 10,000 files {found['now']} MiB, {found['peak']} MiB at the most", flush=True)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=100, help="of the file, in MB")
    parser.add_argument("--only", choices=["speed", "latency", "memory"])
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated; empty for none")
    given = parser.parse_args()
    if given.only in (None, "speed"):
        speed(given.size * 1_000_000, [name for name in PEERS if name in given.peers.split(",")])
    if given.only in (None, "latency"):
        latency()
    if given.only in (None, "memory"):
        resident()
    return 0


if __name__ == "__main__":
    sys.exit(main())
