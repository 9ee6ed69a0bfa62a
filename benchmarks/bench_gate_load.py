"""The gate's latency while the process works: 20,000 series scraped every 5 s, 200 rules every 5 s, 200 questions a second.

Everything is real and in a process of its own: `tidegate run`, twenty exporters of 1,000 series, and as the peer a bare
uvicorn that sends constant bytes, asked by the same client at the same rate in the same run. Latencies count from the time
a question was due.
"""

from __future__ import annotations

import asyncio
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from benchmarks import bench_gate

ROOT = pathlib.Path(__file__).parents[1]
EXPORTERS, SERIES, RULES, SECONDS = 20, 1000, 200, 30.0
LIMIT_MS = 10.0

EXPORTER = """
import http.server, sys, time
names = [f'load_requests_total{{path="/p/{n}",code="{200 + n % 7}"}}' for n in range(int(sys.argv[2]))]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        now = time.time()
        body = "".join(f"{name} {int(now * (n + 1))}\\n" for n, name in enumerate(names)).encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
BARE = """
import sys, uvicorn
from benchmarks import bench_gate
uvicorn.run(bench_gate.bare, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", lifespan="off")
"""


def free_port() -> int:
    """A TCP port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configuration(folder: pathlib.Path, page: int, exporters: list[int]) -> pathlib.Path:
    """Settings and 200 rules."""
    rules = [
        {
            "alert": f"Load{number}",
            "expr": f'sum by (service, environment) (rate(load_requests_total{{code="{200 + number % 7}"}}[1m])) > 1e12',
            "labels": {"severity": "critical"},
        }
        for number in range(RULES)
    ]
    groups = [{"name": f"g{n}", "interval": "5s", "rules": rules[n * 20 : n * 20 + 20]} for n in range(RULES // 20)]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    static = {"targets": [f"127.0.0.1:{port}" for port in exporters], "labels": {"service": "load"}}
    settings = {
        "data_dir": "data",
        "log_level": "error",
        "web": {"listen": f"127.0.0.1:{page}"},
        "scrape": {"interval": "5s", "timeout": "4s", "jobs": [{"job_name": "load", "static_configs": [static]}]},
        "rules": {"files": ["rules.yaml"]},
    }
    path = folder / "tidegate.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def wait_until_ready(page: int) -> None:
    """Until the first rules ran, and then until their windows have some samples."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{page}/-/ready", timeout=1):
                break
        except OSError:
            time.sleep(0.2)
    time.sleep(12)


def metric(page: int, name: str) -> float:
    """One of our own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{page}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + " ", name + "{")))


async def main() -> int:
    """Print both and the ratio; 1 when the gate misses its limit."""
    page, bare, exporters = free_port(), free_port(), [free_port() for _ in range(EXPORTERS)]
    with tempfile.TemporaryDirectory() as name:
        config = configuration(pathlib.Path(name), page, exporters)
        commands = [[sys.executable, "-c", EXPORTER, str(port), str(SERIES)] for port in exporters]
        commands.append([sys.executable, "-c", BARE, str(bare)])
        commands.append([sys.executable, "-m", "tidegate", "run", "--config", str(config)])
        running = [subprocess.Popen(one, cwd=ROOT, stdout=subprocess.DEVNULL) for one in commands]  # noqa: ASYNC220
        try:
            await asyncio.to_thread(wait_until_ready, page)
            before = metric(page, "tidegate_scrape_samples_total"), metric(page, "tidegate_rule_evaluations_total")
            peer = await bench_gate.measure(bare, "/", seconds=8.0)
            started = time.perf_counter()
            ours = await bench_gate.measure(page, "/v1/gate/default/load?version=1&code=200", seconds=SECONDS)
            took = time.perf_counter() - started + 8.0
            samples = (metric(page, "tidegate_scrape_samples_total") - before[0]) / took
            rules = (metric(page, "tidegate_rule_evaluations_total") - before[1]) / took
            print(
                f"meanwhile: {samples:.0f} samples/s, {rules:.0f} rules/s, {metric(page, 'tidegate_store_series'):.0f} series"
            )
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(30)
    bench_gate.report("bare uvicorn, constant bytes", peer)
    bench_gate.report("gate, under load", ours)
    worst, base = bench_gate.percentile(ours, 0.99), bench_gate.percentile(peer, 0.99)
    middle = statistics.median(ours) / statistics.median(peer)
    print(f"ratio p50 {middle:.1f}x, p99 {worst / base:.1f}x; limit p99 < {LIMIT_MS:.0f} ms")
    return int(worst >= LIMIT_MS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
