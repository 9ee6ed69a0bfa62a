"""PromQL over 100,000 series, against a named peer in the same run: `python -m benchmarks.bench_promql`.

The peer is a real Prometheus when there is one (`prometheus` on PATH, or its path in TIDEGATE_TEST_PROMETHEUS): it gets
the same samples by backfill (`promtool tsdb create-blocks-from openmetrics`) and answers the same query over HTTP.
Otherwise it is the same arithmetic in NumPy, target by target, without extrapolation or labels:
a lower bound of what a loop over targets costs.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tidegate.metrics import columns
from tidegate.metrics.promql import engine
from tidegate.model import alerts

QUERY = "sum by (job) (rate(http_requests_total[5m]))"
INTERVAL = 15_000
SLOTS = 24
START = 1_750_000_000_000


class Targets:
    """A `columns.SeriesReader` of `targets` targets with `width` series each, scraped at their own times."""

    def __init__(self, targets: int, width: int, slots: int = SLOTS, interval: int = INTERVAL) -> None:
        random = np.random.default_rng(7)
        self._pool = columns.StringPool()
        code = self._pool.code
        self.targets, self.width = targets, width
        rows = np.zeros((targets * width, 4), np.int32)
        rows[:, 0] = code("http_requests_total")
        rows[:, 1] = np.repeat([code(f"host-{index}:9100") for index in range(targets)], width)
        rows[:, 2] = np.repeat([code(f"job-{index % 10}") for index in range(targets)], width)
        rows[:, 3] = np.tile([code(f"/path/{index}") for index in range(width)], targets)
        self.labels = columns.LabelFrame(self._pool, ("__name__", "instance", "job", "path"), rows)
        self.blocks = []
        for index in range(targets):
            times = START + np.arange(slots, dtype=np.int64) * interval + index * 7919 % interval
            values = np.cumsum(random.integers(0, 9, (slots, width)), axis=0).astype(np.float64)
            self.blocks.append(columns.Block(times, values, gaps=False))

    @property
    def pool(self) -> columns.StringPool:
        return self._pool

    @property
    def now(self) -> float:
        """The time of the last scrape, in seconds."""
        return float(max(block.times[-1] for block in self.blocks)) / 1000

    def select(self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int) -> columns.Selection:
        """All series, whatever the matchers say: the cost of finding them is the store's."""
        del matchers
        found = []
        for block in self.blocks:
            low, high = block.times.searchsorted((start_ms, end_ms), "right")
            found.append(columns.Block(block.times[low:high], block.values[low:high], gaps=False))
        return columns.Selection(self.labels, tuple(found))


def per_target(store: Targets, at_ms: int) -> dict[int, float]:
    """The peer without Prometheus: rates target by target, without extrapolation, summed by job."""
    sums: dict[int, float] = {}
    for index, block in enumerate(store.blocks):
        low, high = block.times.searchsorted((at_ms - 300_000, at_ms), "right")
        rows = block.values[low:high]
        lost = np.where(rows[1:] < rows[:-1], rows[:-1], 0.0).sum(axis=0)
        seconds = float(block.times[high - 1] - block.times[low]) / 1000
        job = int(store.labels.codes[index * store.width, 2])
        sums[job] = sums.get(job, 0.0) + float(((rows[-1] - rows[0] + lost) / seconds).sum())
    return sums


def best(work: Callable[[], object], rounds: int = 15) -> float:
    """The shortest time of some rounds, in milliseconds."""
    work()
    spent = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return min(spent) * 1000


def _openmetrics(store: Targets) -> Iterator[str]:
    texts = store.pool.texts
    yield "# TYPE http_requests counter\n"
    for target, block in enumerate(store.blocks):
        for column in range(store.width):
            codes = store.labels.codes[target * store.width + column]
            labels = ",".join(f'{n}="{texts[c]}"' for n, c in zip(store.labels.names[1:], codes[1:], strict=True))
            for at, value in zip(block.times.tolist(), block.values[:, column].tolist(), strict=True):
                yield f"http_requests_total{{{labels}}} {value} {at / 1000:.3f}\n"
    yield "# EOF\n"


def prometheus_binary() -> str | None:
    """A Prometheus with its promtool beside it."""
    found = os.environ.get("TIDEGATE_TEST_PROMETHEUS") or shutil.which("prometheus")
    return found if found and pathlib.Path(found).with_name("promtool").exists() else None


@contextlib.contextmanager
def prometheus(binary: str, store: Targets) -> Iterator[Callable[[], object]]:
    """A server with the same samples; gives the query as a function."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        with (root / "samples.om").open("w") as file:
            file.writelines(_openmetrics(store))
        promtool = str(pathlib.Path(binary).with_name("promtool"))
        convert = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(root / "samples.om"), str(root / "data")]
        subprocess.run(convert, check=True, capture_output=True)
        (root / "empty.yml").write_text("")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        server = subprocess.Popen(
            [
                binary,
                f"--config.file={root / 'empty.yml'}",
                f"--storage.tsdb.path={root / 'data'}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address={address}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(f"http://{address}/-/ready")
            url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": QUERY, "time": store.now})
            yield lambda: urllib.request.urlopen(url).read()
        finally:
            server.terminate()
            server.wait()


def _wait(url: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url).read()
            return
        if time.monotonic() > end:
            raise TimeoutError(url)
        time.sleep(0.1)


def _against_peer(targets: int, width: int, binary: str | None) -> None:
    store = Targets(targets, width)
    query = engine.Engine(store).prepare(QUERY)
    ours = best(lambda: query.instant(store.now))
    if binary:
        with prometheus(binary, store) as ask:
            peer, name = best(ask), "Prometheus"
    else:
        at = round(store.now * 1000)
        peer, name = best(lambda: per_target(store, at)), "NumPy target by target (no Prometheus found)"
    print(f"{targets:5} targets x {width:6} series: {ours:7.2f} ms; {name} {peer:8.2f} ms; ratio {peer / ours:.2f}x")


def main() -> int:
    """Print all figures."""
    binary = prometheus_binary()
    print(QUERY)
    for targets, width in ((1, 100_000), (10, 10_000), (1000, 100)):
        _against_peer(targets, width, binary)
    small = Targets(1, 100)
    for expr in ("http_requests_total", "rate(http_requests_total[5m])", QUERY):
        query = engine.Engine(small).prepare(expr)
        print(f"instant, 100 series: {best(functools.partial(query.instant, small.now)):7.3f} ms  {expr}")
    day = Targets(1, 100, slots=9700, interval=10_000)
    end = START / 1000 + 96_400
    for span in ("1m", "1d"):
        for function in ("rate", "avg_over_time", "max_over_time"):
            query = engine.Engine(day).prepare(f"{function}(http_requests_total[{span}])")
            spent = best(functools.partial(query.range, end - 9990, end, 10), 3)
            print(f"range, 100 series x 1000 steps: {spent:7.2f} ms  {query.expr}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
