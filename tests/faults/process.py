"""A real agent process over a folder, with the fake Elasticsearch (or a real one) behind real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import orjson

from tests.faults import fake, fronts, oracle

PATIENCE = 60.0


class Process(oracle.Oracle):
    """One agent; may be killed, told to stop, and started again."""

    keeps = True

    def __init__(self, folder: pathlib.Path, url: str, server: fake.Elasticsearch, **logs: Any) -> None:
        super().__init__(folder)
        self.server = server
        self.port = free_port()
        self.config = folder / "tidegate.yaml"
        given = {
            "inputs": [{"paths": ["*.log"], "multiline": {"flush_after": "100ms"}}],
            "poll_interval": "20ms",
            **logs,
        }
        given["elasticsearch"] = {"urls": [url], "bulk_delay": "50ms", "timeout": "5s", **logs.get("elasticsearch", {})}
        self.configure(given)
        self.limits: list[str] = []
        """Of the next process, as `ulimit` takes them."""
        self.bound = False
        """Whether permissions count for the next process even if it is root's."""
        self.output = folder / "agent.out"
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, logs: Mapping[str, Any]) -> None:
        """Write the configuration file."""
        made = {"data_dir": "data", "web": {"listen": f"127.0.0.1:{self.port}"}, "logs": logs}
        self.config.write_bytes(orjson.dumps(made))  # JSON is YAML

    def start(self) -> None:
        """Start a process."""
        limits = "".join(f"ulimit {each}; " for each in self.limits)
        dropped = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if self.bound and is_root() else []
        command = shlex.join([*dropped, sys.executable, "-m", "tidegate", "agent", "--config", str(self.config)])
        with self.output.open("ab") as out:
            self._process = subprocess.Popen(
                ["sh", "-c", f"{limits}exec {command}"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
            )

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    async def terminate(self, patience: float = 15.0) -> int:
        """SIGTERM, and the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(self._process.wait, patience)
        self._process = None
        return status

    async def until(self, condition: Callable[[], bool], patience: float = PATIENCE, pause: float = 0.02) -> None:
        """Wait for something to become true."""
        for _ in range(int(patience / pause)):
            if condition():
                return
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"the agent ended: {self.output.read_text()[-2000:]}")
            await asyncio.sleep(pause)
        raise AssertionError(f"not so after {patience} s: {self.verdict()}\n{self.output.read_text()[-2000:]}")

    async def stored(self, patience: float = PATIENCE) -> None:
        """Wait until every line that was written is stored."""
        want = len(self.written)
        await self.until(lambda: len(self.server.sent) >= want, patience)
        await self.until(lambda: self.written <= self.names().keys(), patience, 0.25)

    def documents(self) -> Iterable[Mapping[str, Any]]:
        """Of the fake."""
        return self.server.documents()

    def doubled_sent(self) -> int:
        """Of the fake."""
        return sum(count - 1 for count in self.server.sent.values())

    async def metrics(self) -> dict[str, float]:
        """The shipper's own metrics, summed over their labels; empty while the process does not answer."""
        try:
            text = await asyncio.to_thread(_get, self.port)
        except (OSError, http.client.HTTPException):
            return {}
        found: dict[str, float] = {}
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if line.startswith("tidegate_logs_"):
                short = name.partition("{")[0].removeprefix("tidegate_logs_")
                found[short] = found.get(short, 0.0) + float(value)
        return found

    def peak_memory(self) -> int:
        """The most resident bytes that the running process ever had."""
        return self._memory("VmHWM:")

    def memory(self) -> int:
        """Its resident bytes now."""
        return self._memory("VmRSS:")

    async def report(self, case: str, by: str = "", *, lost: int = 0, doubled: int = 0) -> None:
        """Give the row of the case, with the counter that tells of it."""
        counted = int((await self.metrics()).get(by, 0)) if by else 0
        self.judge(case, counted, by, lost=lost, doubled=doubled)
        assert self.server.wrongs == []

    def _memory(self, field: str) -> int:
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {field}")


@contextlib.asynccontextmanager
async def agent(folder: pathlib.Path, server: fake.Elasticsearch | None = None, **logs: Any) -> AsyncIterator[Process]:
    """An agent that is not started yet, before a fake Elasticsearch; ended at the end."""
    server = server or fake.Elasticsearch()
    async with fronts.http(server) as url:
        process = Process(folder, url, server, **logs)
        try:
            yield process
        finally:
            process.kill()


def is_root() -> bool:
    """Whether the tests run as root, to whom no permission is denied."""
    return os.geteuid() == 0


def _get(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
