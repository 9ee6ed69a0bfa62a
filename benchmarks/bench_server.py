"""The whole server beside a real Prometheus: 100,000 series every 5 s and some 1,300 rules every 15 s, for two minutes.

`python -m benchmarks.bench_server [seconds]`. Ten exporters of 10,000 series are scraped by `tidegate server`, then by
Prometheus with the same jobs and rules; compared are CPU seconds (user and system) and the peak of the resident
memory, anonymous and of mapped files. At the end our process is killed and started again, five times: how long until a
query answers with samples from before.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import multiprocessing
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator

import yaml

from benchmarks import bench_rules
from tests.services import prometheus

TARGETS, WIDTH, RULES = 10, 10_000, 1300
RESTARTS = 5
FIRST_PORT = 19_100
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: %d\r\n\r\n"


async def _export() -> None:
    """Answers every request with the next of eight expositions, rendered beforehand."""
    names = [f'http_requests_total{{path="/p/{n}",code="{200 + n % 7}"}} '.encode() for n in range(WIDTH)]
    bodies = [
        b"# TYPE http_requests_total counter\n"
        + b"".join(name + b"%d\n" % ((n + 1) * (turn + 1) * 3) for n, name in enumerate(names))
        for turn in range(8)
    ]
    turns: dict[int, int] = {}

    async def answer(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                turns[port] = turns.get(port, 0) + 1
                body = bodies[turns[port] % len(bodies)]
                writer.write(HEAD % len(body) + body)
                await writer.drain()
        writer.close()

    for port in range(FIRST_PORT, FIRST_PORT + TARGETS):
        await asyncio.start_server(functools.partial(answer, port), "127.0.0.1", port, limit=1 << 20)
    await asyncio.Event().wait()


def export() -> None:
    """The exporters' process."""
    asyncio.run(_export())


def rule_groups() -> list[dict[str, object]]:
    """The rules of kube-prometheus, our packs, and aggregations over the exporters' series; every 15 s."""
    found = bench_rules.groups(0)
    number = sum(len(group["rules"]) for group in found)  # type: ignore[misc, arg-type]
    for first in range(0, RULES - number, 10):
        rules = [
            {
                "record": f"code:requests:rate{first + n}",
                "expr": "sum by (code) (rate(http_requests_total{"
                f'instance="127.0.0.1:{FIRST_PORT + (first + n) % TARGETS}",path=~"/p/{(first + n) % 10}.*"}}[1m]))',
            }
            for n in range(10)
        ]
        found.append({"name": f"filling-{first}", "rules": rules})
    return [group | {"interval": "15s"} for group in found]


def memory(pid: int) -> dict[str, int]:
    """MiB of a process: now, at its peak, anonymous, of files."""
    names = {"VmRSS": "now", "VmHWM": "peak", "RssAnon": "anonymous", "RssFile": "files"}
    lines = (line.split() for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return {names[words[0][:-1]]: int(words[1]) // 1024 for words in lines if words[0][:-1] in names}


def watched(pid: int, seconds: float) -> tuple[float, dict[str, int]]:
    """CPU seconds and memory at the end."""
    time.sleep(seconds)
    return bench_rules.cpu(pid), memory(pid)


def settings(folder: pathlib.Path, port: int) -> pathlib.Path:
    """Ours."""
    static = [{"targets": [f"127.0.0.1:{FIRST_PORT + n}" for n in range(TARGETS)]}]
    jobs = [{"job_name": "load", "static_configs": static}]
    values = {
        "data_dir": "data",
        "log_level": "error",
        "web": {"listen": f"127.0.0.1:{port}"},
        "scrape": {"interval": "5s", "timeout": "4s", "jobs": jobs},
        "rules": {"files": ["rules.yaml"], "evaluation_interval": "15s"},
    }
    (folder / "tidegate.yaml").write_text(yaml.safe_dump(values))
    return folder / "tidegate.yaml"


@contextlib.contextmanager
def tidegate(config: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    """`tidegate server` in a process of its own."""
    program = pathlib.Path(sys.executable).with_name("tidegate")
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [str(program), "server", "--config", str(config)]
    process = subprocess.Popen(command, env=environ, cwd=config.parent, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ask(port: int, query: str) -> list[object]:
    """A query's result; empty while nobody answers."""
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=30) as answer:
        result: list[object] = json.load(answer)["data"]["result"]
        return result
    return []


def revived(config: pathlib.Path, port: int, killed_at: float) -> float:
    """Seconds from a start until all series answer with samples from before the kill."""
    began = time.perf_counter()
    with tidegate(config):
        query = f"count(last_over_time(http_requests_total[5m] @ {killed_at:.3f}))"
        while not (found := ask(port, query)) or float(found[0]["value"][1]) < TARGETS * WIDTH:  # type: ignore[index]
            time.sleep(0.05)
        return time.perf_counter() - began


def ours(folder: pathlib.Path, seconds: float) -> tuple[float, dict[str, int], list[float]]:
    """CPU seconds, memory, and seconds until the windows are back after each SIGKILL, the shortest first."""
    port = prometheus.free_port()
    config = settings(folder, port)
    with tidegate(config) as process:
        spent, used = watched(process.pid, seconds)
        healthy = ask(port, "count(up == 1)")
        if not healthy or float(healthy[0]["value"][1]) != TARGETS:  # type: ignore[index]
            raise RuntimeError("not all targets are up")
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed_at = time.time()
    return spent, used, sorted(revived(config, port, killed_at) for _ in range(RESTARTS))


def theirs(folder: pathlib.Path, seconds: float) -> tuple[float, dict[str, int]]:
    """The same of Prometheus."""
    static = [{"targets": [f"127.0.0.1:{FIRST_PORT + n}" for n in range(TARGETS)]}]
    config = {
        "global": {"scrape_interval": "5s", "scrape_timeout": "4s", "evaluation_interval": "15s"},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [{"job_name": "load", "static_configs": static}],
    }
    with prometheus.running(yaml.safe_dump(config)) as server:
        return watched(server.pid, seconds)


def main(seconds: float) -> int:
    """Print the figures."""
    exporters = multiprocessing.get_context("spawn").Process(target=export, daemon=True)
    exporters.start()
    time.sleep(3)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": rule_groups()}))
            spent, used, back = ours(folder, seconds)
            peer, peer_used = theirs(folder, seconds)
    finally:
        exporters.kill()
    print(f"{TARGETS * WIDTH:,} series every 5 s, {RULES} rules every 15 s, {seconds:g} s")
    print(f"CPU seconds: {spent:.1f} ours, {peer:.1f} Prometheus, ratio {peer / spent:.2f}x")
    print(
        f"peak MiB: {used['peak']} ours, {peer_used['peak']} Prometheus, ratio {peer_used['peak'] / used['peak']:.2f}x"
    )
    print(
        f"  of it anonymous {used['anonymous']} and {peer_used['anonymous']}, files {used['files']} and {peer_used['files']}"
    )
    middle = statistics.median(back)
    print(f"killed and started again: all windows back in {middle:.2f} s ({back[0]:.2f} to {back[-1]:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 120.0))
