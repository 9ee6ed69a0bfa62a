"""A real HTTP server in a thread, that keeps what it got and answers as told."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any


@dataclasses.dataclass(frozen=True)
class Got:
    path: str
    headers: dict[str, str]
    body: Any


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: str = "ok"
    hang: bool = False


class Server:
    """Answers from `script`, then 200."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.got: list[Got] = []
        self.script: list[Answer] = []
        self.release = threading.Event()
        """Lets hanging answers go."""


@contextlib.contextmanager
def serve() -> Iterator[Server]:
    """A server on a free port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            names = {name.lower(): value for name, value in self.headers.items()}
            server.got.append(Got(self.path, names, json.loads(raw)))
            answer = server.script.pop(0) if server.script else Answer()
            if answer.hang:
                server.release.wait(30)
                return
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("content-length", str(len(answer.body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        server = Server(listener.server_port)
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.release.set()
            listener.shutdown()
            thread.join()
