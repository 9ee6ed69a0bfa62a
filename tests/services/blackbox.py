"""A real blackbox exporter for tests: given by environment, or built from the Go module proxy once.

`TIDEGATE_TEST_BLACKBOX` (path of the program) wins. The version is pinned: tests compare series, and those belong to one.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

from tests.services import cache, prometheus

MODULE = "github.com/prometheus/blackbox_exporter"
VERSION = "v0.28.0"
START_TIMEOUT = 30.0


def binary() -> pathlib.Path:
    """The `blackbox_exporter` program. Raises `UnavailableError`."""
    given = os.environ.get("TIDEGATE_TEST_BLACKBOX", "")
    return pathlib.Path(given) if given else cache.built(f"blackbox-{VERSION}", _build) / "blackbox_exporter"


def refusal(config: pathlib.Path) -> str:
    """What `--config.check` says against a file; empty when it is good."""
    command = [str(binary()), f"--config.file={config}", "--config.check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


class Server:
    """One running exporter; to be stopped by whoever started it."""

    def __init__(self, config: str) -> None:
        program = binary()
        self._work = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-blackbox-"))
        (self._work / "blackbox.yml").write_text(config)
        address = f"127.0.0.1:{prometheus.free_port()}"
        self.url = f"http://{address}"
        command = [str(program), f"--config.file={self._work / 'blackbox.yml'}", f"--web.listen-address={address}"]
        with (self._work / "out.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def probe(self, module: str, target: str, **more: str) -> str:
        """The exposition of one probe."""
        query = urllib.parse.urlencode({"module": module, "target": target, **more})
        with urllib.request.urlopen(f"{self.url}/probe?{query}", timeout=60) as answer:
            return str(answer.read().decode())

    def stop(self) -> None:
        """End the process and remove what it wrote."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._work, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/-/healthy", timeout=5):
                return
            time.sleep(0.05)
        text = (self._work / "out.log").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"the blackbox exporter did not start:\n{text}")


@contextlib.contextmanager
def running(config: str) -> Iterator[Server]:
    """An exporter for as long as the block lasts. Raises `UnavailableError`."""
    server = Server(config)
    try:
        yield server
    finally:
        server.stop()


def _build(folder: pathlib.Path) -> None:
    """Not by `go install`: that wants a list of versions, which a proxy need not have."""
    module = json.loads(cache.go("mod", "download", "-json", f"{MODULE}@{VERSION}"))
    with tempfile.TemporaryDirectory() as work:
        source = pathlib.Path(work) / "source"
        shutil.copytree(module["Dir"], source, copy_function=shutil.copyfile)
        for each in [source, *source.rglob("*")]:
            each.chmod(0o755)
        cache.go("-C", str(source), "build", "-o", str(folder / "blackbox_exporter"), ".")
