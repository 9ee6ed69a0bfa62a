"""A real Prometheus and we scrape the same scripted exporter: after each scrape, the same series with the same values.

Prometheus goes first, in its own time; then we scrape at its times, and the exporter answers as it answered then. What an
instant query shows at the time of each scrape is compared: values, series that went stale, and reports.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import pathlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.services import prometheus
from tidegate.discovery import build
from tidegate.kit import clock, telemetry
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine
from tidegate.model import labels, scraping, series
from tidegate.scrape import fetch, loop

pytestmark = pytest.mark.service
INTERVALS = (0.5, 1.5, 4.0)
"""Seconds between scrapes; the longer ones for a machine so busy that a scrape took too long."""
FAIL = "FAIL"
"""Stands for an answer with status 500."""


@dataclasses.dataclass(frozen=True)
class Script:
    """What an exporter answers, scrape by scrape, to one job. `@-500` stands for a time half a second ago."""

    answers: tuple[str, ...]
    job: dict[str, Any] = dataclasses.field(default_factory=dict)


TRACKED = {"track_timestamps_staleness": True}
SCRIPTS: dict[str, Script] = {
    "changing": Script(("a 1\nb 2\n", "a 2\nb 3\n", "a 3\n", "a 4\nc 1\n", "", "a 5\n")),
    "failing": Script(("a 1\n", FAIL, "a 2\n", "a 3\nb{\n", "a 4\n", FAIL, FAIL, "b 1\n")),
    "numbers": Script(("a NaN\nb +Inf\nc -Inf\nd 1e300\ne -0\n", "a 1\nb NaN\nc 0\nd 1\ne 1\n")),
    "clashing": Script(('a{job="x",instance="y",team="z"} 1\na{exported_job="w",job="v"} 2\n',) * 2),
    "honest": Script(('a{job="x",instance="",team="z"} 1\na{team=""} 2\n',) * 2, {"honor_labels": True}),
    "stamped": Script(("a 1 @-300\nb 1\n", "a 2 @-300\nb 2\n", "b 3\n", "a 4 @-300\n", "a 5\n")),
    "repeated": Script(("a 1 @-2000\n", "a 1 @-3000\n", "a 2 @-4000\n", "a 3 @-100\n", "a 4 @-100\n")),
    "tracked": Script(("a 1 @-300\nb 1\n", "a 2 @-300\nb 2\n", "b 3\n", "a 4 @-300\n", FAIL, "a 5 @-300\n"), TRACKED),
    "unstamped": Script(("a 1 @-3000\nb 1\n", "a 2 @-4000\n", "b 3 @0\n"), {"honor_timestamps": False}),
    "ahead": Script(("a 1 @900000\nb 1\n", "a 2 @900000\nb 2\n")),
    "mixed": Script(("a 1 @-300\n", "a 2\n", "a 3 @-300\n", "b 1\n")),
    "doubled": Script(("a 1\na 2\nb 1\n", "a 3\na 3\n", 'a{x="1",y="2"} 1\na{y="2",x="1"} 2\n')),
    "doubled times": Script(("a 1 @-400\na 2 @-300\n", "a 3 @-300\na 4 @-400\n", "a 5 @-300\na 6 @-300\n")),
    "many": Script(("a 1\n", "a 1\nb 1\nc 1\n", "a 1\nb 2\n", "a 1\nb 1\nc 1\n"), {"sample_limit": 2}),
    "labelled": Script(("a 1\n", 'a{b="c"} 1\n', 'a{b="c",d="e"} 1\n', "a 3\n"), {"label_limit": 4}),
    "long names": Script(("a 1\n", 'a{instances="c"} 1\n', "a 3\n"), {"label_name_length_limit": 8}),
    "long values": Script(("a 1\n", f'a{{b="{"c" * 50}"}} 1\n', "a 3\n"), {"label_value_length_limit": 40}),
    "large": Script(("a 1\n", "a 1\n" + "# a comment\n" * 10, "a 2\n"), {"body_size_limit": "50B"}),
    "extra": Script(
        ("a 1\n", "a 1\n" + "# a comment\n" * 10, FAIL, "a 1\nb 1\nc 1\n", "a 2\n"),
        {"extra_scrape_metrics": True, "body_size_limit": "50B", "sample_limit": 2},
    ),
    "renamed": Script(
        ("a 1\nb 1\n", "b 2\n", "a 3\n"),
        {"metric_relabel_configs": [{"source_labels": ["__name__"], "target_label": "__name__", "replacement": "c"}]},
    ),
    "dropped": Script(
        ("a 1\nb 1\n", "b 2\n", "a 3\n"),
        {"metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "a", "action": "drop"}]},
    ),
    "nameless": Script(
        ("a 1\nb 1\n", "b 2\n"),
        {"metric_relabel_configs": [{"regex": "__name__", "action": "labeldrop"}]},
    ),
    "in our name": Script(("up 5\na 1\n", "up 5\nscrape_samples_scraped 7\n")),
    "legacy": Script(
        ('# UTF-8\n{"a.b"} 1\n', "a 1\n", '{"c","d.e"="f"} 1\n'), {"metric_name_validation_scheme": "legacy"}
    ),
    "too many targets": Script(("a 1\n",) * 2, {"target_limit": 1}),
    "buckets": Script(('# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_count 2\nh_sum 3\n',) * 2),
}


COUNTS = frozenset({"scrape_samples_scraped", "scrape_samples_post_metric_relabeling"})
OTHERWISE: dict[str, frozenset[str]] = {
    # Nothing counts of a scrape that fails while it is read, and all of the target goes stale; Prometheus counts the lines
    # before the wrong one, and lets what stood there linger until the next scrape.
    "failing": COUNTS | {"a"},
    "many": frozenset({"a", "b"}),
    "labelled": COUNTS,
    "long names": COUNTS,
    "long values": COUNTS,
    "nameless": COUNTS,
    "legacy": COUNTS,
    # A series that relabelling makes twice, or under two spellings, is one series.
    "doubled": frozenset({"scrape_series_added"}),
    "renamed": frozenset({"scrape_series_added"}),
    # One whose only sample is refused has been added all the same.
    "ahead": frozenset({"scrape_series_added"}),
    # A target may not say of itself that it is up, or how many samples it has.
    "in our name": frozenset({"up", "scrape_samples_scraped"}),
}
"""What is not as in Prometheus, on purpose, by the names of series."""


def written(text: str, now_ms: int) -> str:
    """An answer with its times."""
    words = [line.rpartition(" @") for line in text.splitlines()]
    return "".join(f"{head} {now_ms + int(tail)}\n" if at else f"{tail}\n" for head, at, tail in words)


class Exporter:
    """Answers each job by its script, and remembers when it did."""

    def __init__(self) -> None:
        self.times: dict[str, list[int]] = {name: [] for name in SCRIPTS}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = list(SCRIPTS)[int(self.path[1:])]
                now = time.time_ns() // 1_000_000
                outer.times[name].append(now)
                answers = SCRIPTS[name].answers
                number = len(outer.times[name]) - 1
                text = answers[number] if number < len(answers) else ""
                self.send_response(500 if text == FAIL else 200)
                self.send_header("content-type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(written(text, now).encode() if text != FAIL else b"")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def job(name: str, port: int) -> dict[str, Any]:
    """The entry of `scrape_configs`. The label `case` is one that no exposition has."""
    given = {"job_name": name, "metrics_path": f"/{list(SCRIPTS).index(name)}", **SCRIPTS[name].job}
    groups = [{"targets": [f"127.0.0.1:{port}"], "labels": {"case": name, "team": "t"}}]
    if name == "too many targets":
        groups.append({"targets": [f"localhost:{port}"], "labels": {"case": "other"}})
    return given | {"static_configs": groups}


def selector(name: str) -> str:
    """All series of a script."""
    return f'{{case="{name}"}}'


def shown(of: dict[str, str], value: float) -> str:
    """A value to compare; how long it took is nobody's business."""
    return "took" if of["__name__"] == "scrape_duration_seconds" else repr(value)


@dataclasses.dataclass
class Theirs:
    """What Prometheus did."""

    exporter: Exporter
    server: prometheus.Server
    interval: float

    def times(self, name: str) -> list[float]:
        """When it scraped, in seconds."""
        (found,) = self.server.get("/api/v1/query", query=f'scrape_duration_seconds{{case="{name}"}}[1h]')["result"]
        return [float(at) for at, _ in found["values"]]

    def instant(self, name: str, at: float) -> dict[labels.Labels, str]:
        """The series of a script at a time."""
        found = self.server.get("/api/v1/query", query=selector(name), time=f"{at:.3f}")["result"]
        return {labels.make(one["metric"]): shown(one["metric"], float(one["value"][1])) for one in found}

    def finish(self) -> bool:
        """Wait until all scripts are through; whether no scrape came near its timeout, which would be no part of a script."""
        deadline = time.monotonic() + 30 + 12 * self.interval
        while time.monotonic() < deadline:
            counts = self._by_case("count_over_time(scrape_duration_seconds[1h])")
            if all(counts.get(name, 0) > len(script.answers) for name, script in SCRIPTS.items()):
                longest = self._by_case("max_over_time(scrape_duration_seconds[1h])")
                return max(longest.values()) < self.interval * 0.7
            time.sleep(0.2)  # as long as a real Prometheus takes
        return False

    def _by_case(self, query: str) -> dict[str, float]:
        found = self.server.get("/api/v1/query", query=query)["result"]
        return {one["metric"]["case"]: float(one["value"][1]) for one in found}


@pytest.fixture(scope="module")
def theirs(prometheus_binary: pathlib.Path) -> Iterator[Theirs]:
    """A Prometheus that has gone through all scripts."""
    assert prometheus_binary
    for interval in INTERVALS:
        with contextlib.closing(Exporter()) as exporter:
            timing = dict.fromkeys(("scrape_interval", "scrape_timeout"), f"{interval * 1000:.0f}ms")
            config = {"global": timing, "scrape_configs": [job(name, exporter.port) for name in SCRIPTS]}
            with prometheus.running(yaml.safe_dump(config)) as server:
                found = Theirs(exporter, server, interval)
                if found.finish():
                    yield found
                    return
    pytest.fail("this machine is too busy: scrapes take too long")


class Ours:
    """Our store and loop for one script, asked about the same times."""

    def __init__(self, name: str, port: int, folder: pathlib.Path, answering: int, interval: float) -> None:
        self.name, self._interval = name, interval
        entry = job(name, port)
        found, wrong = build.Builder(
            scraping.Job.model_validate(entry), scraping.Scrape(interval=interval, timeout=interval)
        ).found([({"__address__": one}, each["labels"]) for each in entry["static_configs"] for one in each["targets"]])
        assert not wrong
        target = next(one for one in found.targets if labels.get(one.labels, "case") == name)
        self._target = dataclasses.replace(target, url=f"http://127.0.0.1:{answering}/", timeout=5.0)
        self._store = store_.Store(folder, clock.SystemClock(), telemetry.Registry())
        self._instruments = loop.Instruments(telemetry.Registry())

    async def replay(self, times: list[float], answer: dict[str, Any], stamps: list[int]) -> None:
        """Scrape at given times, with the answers as they were."""
        session = fetch.session()
        fetcher = fetch.Fetcher(session, self._target, clock.SystemClock())
        one = loop.Loop(self._target, fetcher.get, self._store, clock.SystemClock(), self._instruments, None)
        for number, (at, text) in enumerate(zip(times, SCRIPTS[self.name].answers, strict=True)):
            stamp = stamps[number] if number < len(stamps) else 0
            answer.update(status=500 if text == FAIL else 200, text="" if text == FAIL else written(text, stamp))
            await one.scrape(at)
        await session.close()

    def instant(self, at: float) -> dict[labels.Labels, str]:
        """The series at a time."""
        found = engine.Engine(self._store).prepare(selector(self.name)).instant(at)
        assert isinstance(found, series.Vector)
        pairs = zip(found.labels, found.values.tolist(), strict=True)
        # Our own timeout was another.
        return {of: shown(dict(of), self._interval if _timeout(of) else value) for of, value in pairs}


def _timeout(of: labels.Labels) -> bool:
    return labels.get(of, "__name__") == "scrape_timeout_seconds"


@pytest.fixture
async def answering() -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """A server that answers what a test wants next."""
    current: dict[str, Any] = {"status": 200, "text": ""}

    async def answer(_request: web.Request) -> web.Response:
        kind = {"content-type": "text/plain; version=0.0.4"}
        return web.Response(status=current["status"], body=current["text"].encode(), headers=kind)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield int(runner.addresses[0][1]), current
    await runner.cleanup()


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_same_is_stored_scrape_by_scrape(
    theirs: Theirs, tmp_path: pathlib.Path, answering: tuple[int, dict[str, Any]], name: str
) -> None:
    times = theirs.times(name)[: len(SCRIPTS[name].answers)]
    ours = Ours(name, theirs.exporter.port, tmp_path / "store", answering[0], theirs.interval)
    await ours.replay(times, answering[1], theirs.exporter.times[name])
    for number, at in enumerate(times):
        one, other = ours.instant(at), theirs.instant(name, at)
        differing = {of: (one.get(of), other.get(of)) for of in one | other if one.get(of) != other.get(of)}
        odd = {of: pair for of, pair in differing.items() if labels.get(of, "__name__") not in OTHERWISE.get(name, ())}
        assert not odd, f"scrape {number + 1}: (ours, theirs)"
