"""PromQL against a real Prometheus with the same samples, in one run: `python -m benchmarks.bench_promql [NAME...]`.

Ours is the engine on the sample store, as the API calls it: selecting the series is part of it. Prometheus gets the same
samples as blocks and is asked over HTTP; its time is the `evalTotalTime` that it reports itself, so that neither HTTP nor
JSON count for either side. Shown is the shortest time of several rounds.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tests.services import prometheus
from tidegate.kit import clock, telemetry
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine
from tidegate.model import labels

START_MS = 1_790_000_000_000
ROUNDS = 9


@dataclasses.dataclass(frozen=True)
class Ask:
    """One query: at one time, or over a range."""

    expr: str
    end: float
    start: float = 0.0
    step: float = 0.0
    bar: float = 1.0
    """The ratio that we want at least."""


@dataclasses.dataclass(frozen=True)
class Data:
    """Samples of some targets, each scraped at its own times."""

    targets: int
    rows: int
    interval: int
    """Milliseconds."""
    series: Callable[[int], list[labels.Labels]]
    """The series of one target."""
    values: Callable[[np.random.Generator, int, int], npt.NDArray[np.float64]]
    """[rows, series] of one target."""

    def times(self, target: int) -> npt.NDArray[np.int64]:
        """Of one target's rows, in milliseconds."""
        return START_MS + np.arange(self.rows, dtype=np.int64) * self.interval + target * 7919 % self.interval

    @property
    def end(self) -> float:
        """Unix seconds after the last row."""
        return (START_MS + self.rows * self.interval) / 1000

    def tables(self) -> Iterator[tuple[int, list[labels.Labels], npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
        """Target by target."""
        random = np.random.default_rng(7)
        for target in range(self.targets):
            sets = self.series(target)
            yield target, sets, self.times(target), self.values(random, self.rows, len(sets))


def counters(random: np.random.Generator, rows: int, width: int) -> npt.NDArray[np.float64]:
    """Requests so far."""
    return np.cumsum(random.integers(0, 9, (rows, width)), axis=0).astype(np.float64)


def buckets(random: np.random.Generator, rows: int, width: int) -> npt.NDArray[np.float64]:
    """Cumulative buckets that grow."""
    return np.cumsum(np.cumsum(random.integers(0, 9, (rows, width)), axis=0), axis=1).astype(np.float64)


def requests(target: int, width: int) -> list[labels.Labels]:
    """Counters of one target."""
    return [
        labels.make(
            __name__="http_requests_total", job=f"job-{target % 10}", instance=f"host-{target}:80", path=f"/{n}"
        )
        for n in range(width)
    ]


def histogram(target: int) -> list[labels.Labels]:
    """One histogram's 11 buckets."""
    bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf"]
    return [
        labels.make(__name__="request_seconds_bucket", job="shop", instance=f"host-{target}:80", le=le) for le in bounds
    ]


WIDE = Data(10, 24, 15_000, lambda target: requests(target, 10_000), counters)
MANY = Data(1000, 24, 15_000, lambda target: requests(target, 100), counters)
SMALL = Data(1, 240, 15_000, lambda target: requests(target, 100), counters)
DAYS = Data(1, 9700, 10_000, lambda target: requests(target, 100), counters)
BUCKETS = Data(100, 1100, 10_000, histogram, buckets)


def over(data: Data, expr: str, bar: float = 1.0) -> Ask:
    """A thousand steps, the last at the newest row."""
    return Ask(expr, data.end, data.end - 9990, 10, bar)


WINDOWS = (
    "rate(X)",
    "increase(X)",
    "delta(X)",
    "irate(X)",
    "idelta(X)",
    "changes(X)",
    "resets(X)",
    "deriv(X)",
    "predict_linear(X, 3600)",
    "double_exponential_smoothing(X, 0.5, 0.5)",
    "sum_over_time(X)",
    "avg_over_time(X)",
    "min_over_time(X)",
    "max_over_time(X)",
    "count_over_time(X)",
    "last_over_time(X)",
    "first_over_time(X)",
    "present_over_time(X)",
    "absent_over_time(X)",
    "stddev_over_time(X)",
    "stdvar_over_time(X)",
    "mad_over_time(X)",
    "quantile_over_time(0.9, X)",
    "ts_of_first_over_time(X)",
    "ts_of_last_over_time(X)",
    "ts_of_min_over_time(X)",
    "ts_of_max_over_time(X)",
)
"""Every function of a range vector; X stands for it."""
VECTORS = (
    "X",
    "abs(X)",
    "round(X, 5)",
    "clamp(X, 10, 1000)",
    "timestamp(X)",
    "hour(X)",
    "absent(X)",
    "scalar(X)",
    "sort(X)",
    'label_replace(X, "path", "$1", "path", "/(.)")',
    'label_join(X, "both", "-", "job", "path")',
    "X * 2",
    "X > 1000",
    "X + X",
    "X > bool X",
    "X / ignoring(path) group_left sum by (job, instance) (X)",
    "X and X",
    "X or X",
    "X unless X{path='/1'}",
    "sum(X)",
    "avg by (path) (X)",
    "min by (job) (X)",
    "count without (path) (X)",
    "stddev(X)",
    "quantile(0.9, X)",
    "topk(5, X)",
    "bottomk by (job) (5, X)",
    'count_values("n", X % 10)',
    "limitk(5, X)",
    "limit_ratio(0.5, X)",
    "sum by (job) (rate(X[5m]))",
    "max_over_time(rate(X[1m])[10m:30s])",
)
"""Every kind of expression over an instant vector; X stands for it."""


SETS: dict[str, tuple[str, Data, list[Ask]]] = {
    "wide": (
        "100,000 series of 10 targets",
        WIDE,
        [Ask("sum by (job) (rate(http_requests_total[5m]))", WIDE.end, bar=10)],
    ),
    "many": (
        "100,000 series of 1,000 targets",
        MANY,
        [Ask("sum by (job) (rate(http_requests_total[5m]))", MANY.end, bar=10)],
    ),
    "small": (
        "100 series, one time",
        SMALL,
        [
            Ask(expr, SMALL.end)
            for expr in (
                "http_requests_total",
                "rate(http_requests_total[5m])",
                "sum by (job) (rate(http_requests_total[5m]))",
                "topk(5, http_requests_total)",
            )
        ],
    ),
    "range": (
        "100 series, 1,000 steps",
        DAYS,
        [over(DAYS, f"{name}(http_requests_total[1m])") for name in ("rate", "avg_over_time", "max_over_time")]
        + [over(DAYS, f"{name}(http_requests_total[1d])", 10) for name in ("rate", "avg_over_time", "max_over_time")],
    ),
    "windows": (
        "100 series, 1,000 steps, windows of 60 samples",
        DAYS,
        [over(DAYS, expr.replace("X", "http_requests_total[10m]")) for expr in WINDOWS],
    ),
    "vectors": (
        "100 series, 1,000 steps",
        DAYS,
        [over(DAYS, expr.replace("X", "http_requests_total")) for expr in VECTORS],
    ),
    "histogram": (
        "1,100 bucket series, 1,000 steps",
        BUCKETS,
        [
            over(BUCKETS, "histogram_quantile(0.9, request_seconds_bucket)"),
            over(BUCKETS, "histogram_quantile(0.9, sum by (le) (rate(request_seconds_bucket[1m])))"),
            over(BUCKETS, "histogram_quantile(0.9, rate(request_seconds_bucket[1m]))"),
        ],
    ),
}


def filled(data: Data, folder: pathlib.Path) -> engine.Engine:
    """An engine on a store with the samples."""
    span = data.rows * data.interval / 1000 + 600
    now = clock.LoopClock(data.end)
    kept = store_.Store(folder, now, telemetry.Registry(), retention=span)
    fill(kept, data)
    return engine.Engine(kept, timeout=600, experimental=True)


def fill(kept: store_.Store, data: Data) -> None:
    """Store the samples."""
    for target, sets, times, values in data.tables():
        table = kept.table(f"target-{target}", data.interval / 1000)
        columns = np.array([table.column(of) for of in sets], np.int32)
        for at, row in zip(times.tolist(), values, strict=True):
            table.append(at, columns, row)


def blocks(data: Data, folder: pathlib.Path) -> pathlib.Path:
    """Prometheus' blocks with the samples."""
    samples = folder / "samples"
    with samples.open("w") as file:
        for _, sets, times, values in data.tables():
            stamps = [f"{at / 1000:.3f}" for at in times.tolist()]
            for of, column in zip(sets, values.T, strict=True):
                pairs = ",".join(f'{name}="{value}"' for name, value in of if name != labels.NAME)
                head = f"{labels.get(of, labels.NAME)}{{{pairs}}}"
                cells = zip(column.astype(np.int64).tolist(), stamps, strict=True)
                file.writelines(f"{head} {value} {stamp}\n" for value, stamp in cells)
        file.write("# EOF\n")
    prometheus.backfill(samples, folder / "data")
    samples.unlink()
    return folder / "data"


def ours(made: engine.Engine, ask: Ask) -> float:
    """Milliseconds."""
    query = made.prepare(ask.expr)

    def once() -> float:
        begin = time.perf_counter()
        if ask.step:
            query.range(ask.start, ask.end, ask.step)
        else:
            query.instant(ask.end)
        return time.perf_counter() - begin

    return min(once() for _ in range(ROUNDS)) * 1000


def theirs(server: prometheus.Server, ask: Ask) -> float:
    """Milliseconds of Prometheus' own `evalTotalTime`."""
    given: dict[str, object] = {"query": ask.expr, "stats": "all", "limit": 1, "timeout": "600s"}
    if ask.step:
        path, more = "query_range", {"start": ask.start, "end": ask.end, "step": ask.step}
    else:
        path, more = "query", {"time": ask.end}
    url = f"{server.url}/api/v1/{path}?{urllib.parse.urlencode(given | more)}"

    def once() -> float:
        with urllib.request.urlopen(url, timeout=600) as answer:
            return float(json.load(answer)["data"]["stats"]["timings"]["evalTotalTime"])

    return min(once() for _ in range(ROUNDS)) * 1000


def compare(name: str) -> None:
    """Print the figures of one set."""
    title, data, asks = SETS[name]
    print(f"\n{title}: milliseconds ours, Prometheus, ratio", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        made = filled(data, root / "store")
        mine = [ours(made, ask) for ask in asks]
        flags = ["--query.max-samples=2000000000", "--query.timeout=10m"]
        flags += ["--enable-feature=promql-experimental-functions"]
        with prometheus.running(flags=flags, data=blocks(data, root)) as server:
            for ask, spent in zip(asks, mine, strict=True):
                peer = theirs(server, ask)
                verdict = "" if peer / spent >= ask.bar else f"  below {ask.bar:g}x"
                print(f"{spent:9.2f} {peer:9.2f} {peer / spent:8.1f}x{verdict}  {ask.expr}", flush=True)


def main(names: Sequence[str]) -> int:
    """Print all figures, or those of the sets named."""
    for name in names or SETS:
        compare(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
