"""A whole server writes to a real Prometheus: through the receiver's outage, and through being killed itself."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.services import prometheus
from tests.support import samples
from tidegate.kit import clock, telemetry
from tidegate.metrics import store as store_
from tidegate.metrics.remote import post

SETTINGS = """\
data_dir: data
log_level: error
web: {{listen: "127.0.0.1:{port}"}}
scrape:
  interval: 1s
  timeout: 900ms
  jobs:
    - job_name: self
      static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
    - job_name: gone
      file_sd_configs: [{{files: [targets.yml], refresh_interval: 200ms}}]
    - job_name: down
      static_configs: [{{targets: ["127.0.0.1:1"]}}]
rules:
  files: [rules.yaml]
  evaluation_interval: 1s
  external_labels: {{site: here}}
remote_write:
  - url: http://127.0.0.1:{peer}/api/v1/write
    protobuf_message: {message}
    remote_timeout: 5s
    queue_config: {{batch_send_deadline: 200ms, max_backoff: 200ms}}
    metadata_config: {{send_interval: 1s}}
"""
RULES = """\
groups:
  - name: g
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - alert: Down
        expr: up == 0
        for: 1s
        labels: {severity: page}
"""
FLAGS = ("--web.enable-remote-write-receiver",)


@contextlib.contextmanager
def tidegate(folder: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tidegate", "server", "--config", str(folder / "t.yaml")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if value := found():
                return value
        time.sleep(0.1)
    raise TimeoutError


def count(url: str, query: str) -> int:
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=10) as answer:
        return len(json.load(answer)["data"]["result"])


def received(server: prometheus.Server) -> dict[str, list[tuple[int, float]]]:
    found = server.get("/api/v1/query", query='{site="here"}[1h]')["result"]
    return {
        _named(one["metric"]): [(round(float(at) * 1000), float(value)) for at, value in one["values"]] for one in found
    }


def _named(metric: dict[str, str]) -> str:
    name = metric.pop("__name__")
    metric.pop("site")
    inner = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(metric.items()))
    return f"{name}{{{inner}}}" if inner else name


def stored(folder: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    store = store_.Store(folder / "data/samples", clock.SystemClock(), telemetry.Registry())
    found = samples.read(store)
    store.close()
    return {name: [(at, float(value)) for at, value in some if value != "stale"] for name, some in found.items()}


def listed(folder: pathlib.Path, *targets: str) -> None:
    fresh = folder / "targets.new"
    fresh.write_text(json.dumps([{"targets": targets}] if targets else []))
    fresh.replace(folder / "targets.yml")


@pytest.mark.parametrize("message", [post.V1, post.V2])
def test_a_real_prometheus_has_what_the_store_has(
    tmp_path: pathlib.Path, prometheus_binary: pathlib.Path, message: str
) -> None:
    assert prometheus_binary
    port, peer = prometheus.free_port(), prometheus.free_port()
    (tmp_path / "t.yaml").write_text(SETTINGS.format(port=port, peer=peer, message=message))
    (tmp_path / "rules.yaml").write_text(RULES)
    listed(tmp_path, f"127.0.0.1:{port}")
    there = {"flags": FLAGS, "data": tmp_path / "tsdb", "port": peer}
    server = prometheus.Server(**there)  # type: ignore[arg-type]
    try:
        with tidegate(tmp_path) as process:
            until(lambda: count(server.url, 'ALERTS{alertstate="firing", site="here"}'))
            assert count(server.url, 'up{job="gone"}') == 1
            listed(tmp_path)
            until(lambda: not count(server.url, 'up{job="gone"}'))  # by its stale marker, long before five minutes
            server.stop()
            until(lambda: count(f"http://127.0.0.1:{port}", "tidegate_remote_write_samples_retried_total > 0"))
            server = prometheus.Server(**there)  # type: ignore[arg-type]
            until(lambda: count(server.url, "job:up:sum"))
            os.kill(process.pid, signal.SIGKILL)
        with tidegate(tmp_path) as process:
            began = time.time()
            until(lambda: count(server.url, f"timestamp(job:up:sum) > {began}"))
            assert not count(f"http://127.0.0.1:{port}", "tidegate_remote_write_metadata_failed_total > 0")
            process.terminate()
            process.wait(30)
        ours, theirs = stored(tmp_path), received(server)
        assert len(theirs) > 200
        assert any(name.startswith("ALERTS_FOR_STATE{") for name in theirs)
        first = min(at for some in theirs.values() for at, _ in some)
        for name, some in ours.items():
            expected = [(at, str(value)) for at, value in some if at >= first]
            assert [(at, str(value)) for at, value in theirs.get(name, [])] == expected, name
    finally:
        server.stop()
