"""A real Prometheus and its promtool for tests: given by environment, found, or built from the Go module proxy once.

`TIDEGATE_TEST_PROMETHEUS` (path of the binary, promtool beside it) wins, then `~/go/bin`, then a build in the
cache. Versions are pinned: tests compare answers, and those belong to a version.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from tests.services import cache

MODULE = "github.com/prometheus/prometheus"
VERSION = "v0.316.0"
TAGS = "remove_all_sd,enable_dns_sd"  # cloud discoveries pull in modules that a proxy need not have
START_TIMEOUT = 60.0


def binary() -> pathlib.Path:
    """The `prometheus` program. Raises `UnavailableError`."""
    return _found("prometheus")


def promtool() -> pathlib.Path:
    """The `promtool` program. Raises `UnavailableError`."""
    return _found("promtool")


class Server:
    """One running Prometheus with its own data folder; to be stopped by whoever started it."""

    def __init__(
        self,
        config: str = "",
        flags: Sequence[str] = (),
        data: pathlib.Path | None = None,
        prefix: Sequence[str] = (),
        port: int = 0,
    ) -> None:
        """Start it with a `prometheus.yml`; `data` is a folder of blocks that somebody made, and stays.

        `prefix` is a command that becomes the server, such as one that gives it other files to see.
        """
        program = binary()
        self._work = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-prometheus-"))
        (self._work / "prometheus.yml").write_text(config)
        address = f"127.0.0.1:{port or free_port()}"
        self.url = f"http://{address}"
        command = [
            *prefix,
            str(program),
            f"--config.file={self._work / 'prometheus.yml'}",
            f"--storage.tsdb.path={data or self._work / 'data'}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={address}",
            *flags,
        ]
        with (self._work / "out.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def get(self, path: str, **params: str | float) -> Any:
        """The `data` of an API answer. Raises `urllib.error.HTTPError`."""
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(params)}", timeout=60) as answer:
            return json.load(answer)["data"]

    def reload(self, config: str) -> None:
        """Take another `prometheus.yml`."""
        (self._work / "prometheus.yml").write_text(config)
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End the process and remove what it wrote."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._work, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                return
            time.sleep(0.05)
        text = (self._work / "out.log").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"Prometheus did not start:\n{text}")


@contextlib.contextmanager
def running(config: str = "", flags: Sequence[str] = (), data: pathlib.Path | None = None) -> Iterator[Server]:
    """A server for as long as the block lasts. Raises `UnavailableError`."""
    server = Server(config, flags, data)
    try:
        yield server
    finally:
        server.stop()


def backfill(samples: pathlib.Path, data: pathlib.Path) -> None:
    """Make blocks that a server can be started on, from an OpenMetrics file with timestamps."""
    command = [str(promtool()), "tsdb", "create-blocks-from", "openmetrics", str(samples), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"promtool refused {samples}: {done.stdout[-800:]}{done.stderr[-800:]}")


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _found(name: str) -> pathlib.Path:
    given = os.environ.get("TIDEGATE_TEST_PROMETHEUS", "")
    candidates = [pathlib.Path(given).with_name(name)] if given else []
    candidates += [pathlib.Path("~/go/bin").expanduser() / name]
    for one in candidates:
        if os.access(one, os.X_OK) and (given or _fits(one)):
            return one
    return _built(name)


def _fits(program: pathlib.Path) -> bool:
    """Whether a program is of our version, and has DNS discovery."""
    done = subprocess.run(["go", "version", "-m", str(program)], capture_output=True, text=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    version = next((words[2] for words in lines if words[:2] == ["mod", MODULE]), "")
    return version == VERSION and ["build", "-tags=remove_all_sd"] not in lines


def _built(name: str) -> pathlib.Path:
    """Build both programs; the first process that needs them does, while others wait."""
    packages = [f"{MODULE}/cmd/{each}@{VERSION}" for each in ("prometheus", "promtool")]

    def build(folder: pathlib.Path) -> None:
        cache.go("install", "-tags", TAGS, *packages, GOBIN=str(folder))

    return cache.built(f"prometheus-{VERSION}-{TAGS.replace(',', '-')}", build) / name
