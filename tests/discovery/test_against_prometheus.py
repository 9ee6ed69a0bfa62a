"""A real Prometheus and we look at the same files and URLs, good and odd: the same targets, or the same kept ones."""

from __future__ import annotations

import asyncio
import http.server
import json
import pathlib
import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.gate import fakes
from tests.services import prometheus
from tidegate.discovery import build, files, web
from tidegate.model import scraping

pytestmark = pytest.mark.service
Found = dict[str, list[list[tuple[str, str]]]]
GOOD = json.dumps([{"targets": ["a:1"], "labels": {"x": "1"}}])
FILES: dict[str, str] = {
    "json.json": GOOD,
    "several.json": json.dumps([{"targets": ["a:1", "b:2"]}, {"targets": ["c:3"], "labels": {"y": "é"}}, {}]),
    "upper.JSON": GOOD,
    "yaml.yml": "- targets: [a:1, 'b:2']\n  labels: {x: y, n: 1.10, t: true}\n- labels: {z: a}\n",
    "yaml.yaml": "# just one\n- targets: ['[::1]:9090']\n",
    "flow.yml": GOOD,
    "empty.yml": "",
    "comment.yml": "# nothing\n",
    "null.yml": "null\n",
    "empty.json": "",
    "null.json": "null",
    "none.json": "[]",
    "nulls.json": "[null]",
    "nulls.yml": "- \n",
    "map.json": '{"targets": ["a:1"]}',
    "map.yml": "targets: [a:1]\n",
    "unknown.json": '[{"targets": ["a:1"], "label": {}}]',
    "unknown.yml": "- targets: [a:1]\n  label: {}\n",
    "broken.json": '[{"targets": ["a:1"]}',
    "broken.yml": "- targets: [a:1\n",
    "text.json": '["a:1"]',
    "numbers.yml": "- targets: [1, 1.10]\n",
    "urls.yml": "- targets: ['http://a/b', 'a:1']\n",
    "labels null.yml": "- targets: [a:1]\n  labels:\n",
    "targets null.yml": "- targets:\n",
    "twice.yml": "- targets: [a:1]\n  targets: [b:1]\n",
    "same.json": json.dumps([{"targets": ["a:1", "a:1"]}, {"targets": ["a:1"]}]),
    "meta.json": json.dumps([{"targets": ["a:1"], "labels": {"__meta_x": "1", "__address__": "q:1", "job": "z"}}]),
}
"""The files of one folder, each looked at by a job of its own."""
JSON = "application/json"
ANSWERS: dict[str, tuple[int, str, str]] = {
    "good": (200, JSON, GOOD),
    "charset": (200, 'application/json; charset="utf-8"', GOOD),
    "upper": (200, "Application/JSON;charset=UTF-8", GOOD),
    "latin": (200, "application/json; charset=latin1", GOOD),
    "parameter": (200, "application/json; x=y", GOOD),
    "text": (200, "text/plain", GOOD),
    "created": (201, JSON, GOOD),
    "nothing": (204, JSON, ""),
    "error": (500, JSON, GOOD),
    "empty": (200, JSON, ""),
    "null": (200, JSON, "null"),
    "none": (200, JSON, "[]"),
    "nulls": (200, JSON, "[null]"),
    "map": (200, JSON, '{"targets": []}'),
    "unknown": (200, JSON, '[{"targets": ["a:1"], "label": {}}]'),
    "broken": (200, JSON, "["),
    "bare": (200, JSON, '[{"targets": ["a:1"]}, {"labels": {"x": "y"}}]'),
}
"""What the URLs of one server answer."""
NO_RELABELLING = [{"source_labels": ["job"], "regex": "never", "action": "drop"}]
"""A step that changes nothing, so that any address may be written."""


class Urls:
    """A server that has a good answer for each URL until it is told to give the odd one."""

    def __init__(self) -> None:
        self.odd = False
        self.asked: dict[str, list[dict[str, str]]] = {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path[1:]
                outer.asked.setdefault(name, []).append({key.lower(): text for key, text in self.headers.items()})
                status, kind, body = ANSWERS[name] if outer.odd else (200, JSON, KEPT)
                self.send_response(status)
                self.send_header("content-type", kind)
                if status != 204:
                    self.send_header("content-length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


KEPT = json.dumps([{"targets": ["kept:1"]}])


@pytest.fixture
def urls() -> Iterator[Urls]:
    server = Urls()
    yield server
    server.stop()


def jobs(folder: pathlib.Path, port: int) -> list[dict[str, Any]]:
    """A job for each file and each URL."""
    found: list[dict[str, Any]] = [
        {"job_name": name, "file_sd_configs": [{"files": [str(folder / name)], "refresh_interval": "1s"}]}
        for name in FILES
    ]
    found += [
        {
            "job_name": f"url {name}",
            "http_sd_configs": [{"url": f"http://127.0.0.1:{port}/{name}", "refresh_interval": "1s"}],
        }
        for name in ANSWERS
    ]
    return [{**one, "relabel_configs": NO_RELABELLING} for one in found]


def shown(found: list[build.Discovered]) -> list[list[tuple[str, str]]]:
    """Targets in one form, each once, as Prometheus lists them: not those that cannot be scraped."""
    one_form = {
        tuple(sorted((name, value) for name, value in {**group, **own}.items() if value))
        for own, group in found
        if "/" not in own["__address__"]
    }
    return sorted([pair for pair in one if _told(pair[0])] for one in one_form)


def _told(name: str) -> bool:
    return not name.startswith(("__scrape_", "__metrics_path", "__scheme", "__always", "__convert")) and name != "job"


def listed(server: prometheus.Server) -> Found:
    """The targets that Prometheus has, by job."""
    found: Found = {}
    for one in server.get("/api/v1/targets")["activeTargets"]:
        labels = [(name, value) for name, value in one["discoveredLabels"].items() if _told(name)]
        found.setdefault(one["scrapePool"], []).append(sorted(labels))
    return {name: sorted(some) for name, some in found.items()}


def write(folder: pathlib.Path, contents: dict[str, str]) -> None:
    """Put files in place, each whole at once."""
    for name, text in contents.items():
        (folder / ".new").write_text(text)
        (folder / ".new").rename(folder / name)


async def test_the_same_files_and_urls_have_the_same_targets(
    prometheus_binary: pathlib.Path, tmp_path: pathlib.Path, urls: Urls
) -> None:
    assert prometheus_binary
    write(tmp_path, dict.fromkeys(FILES, KEPT))
    given = jobs(tmp_path, urls.port)
    sources: dict[str, files.Files | web.Web] = {}
    for one in given:
        job = scraping.Job.model_validate(one)
        for entry in job.file_sd_configs:
            sources[job.job_name] = files.Files(entry, tmp_path)
        for url in job.http_sd_configs:
            sources[job.job_name] = web.Web(url, tmp_path, fakes.Clock())
    with prometheus.running(yaml.safe_dump({"scrape_configs": given})) as server:
        before = {name: shown(await source.find()) for name, source in sources.items()}
        assert await asyncio.to_thread(settled, server, before) == before
        write(tmp_path, FILES)
        urls.odd = True
        after = {name: shown(await source.find()) for name, source in sources.items()}
        theirs = await asyncio.to_thread(settled, server, after)
        odd = {name: (after[name], theirs.get(name, [])) for name in after if after[name] != theirs.get(name, [])}
        for name, pair in odd.items():
            print(name, *pair)
        assert not odd
        for name in FILES:
            (tmp_path / name).unlink()
        gone = {name: shown(await source.find()) for name, source in sources.items()}
        assert all(gone[name] == [] for name in FILES)
        assert await asyncio.to_thread(settled, server, gone) == {name: some for name, some in gone.items() if some}
    shutil.rmtree(tmp_path)
    asked = urls.asked["good"]
    assert {one["x-prometheus-refresh-interval-seconds"] for one in asked} == {"1"}
    assert {one["accept"] for one in asked} == {"application/json"}


def settled(server: prometheus.Server, wanted: Found) -> Found:
    """The targets when they are as wanted, or as they are when there has been time enough."""
    wanted = {name: some for name, some in wanted.items() if some}
    deadline = time.monotonic() + 12
    while True:
        found = listed(server)
        if found == wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.2)  # as long as a real Prometheus takes
