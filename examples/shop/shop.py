"""A small shop to try Tidegate on: HTTP with `/metrics`, logs in three formats, and switches that break and repair it.

    python -m examples.shop.shop --port 9321 --logs DIR

It serves itself some customers, so that there is always something to see. It knows nothing of Tidegate.
"""

from __future__ import annotations

import argparse
import datetime
import http.server
import json
import pathlib
import random
import signal
import threading
import time
import traceback
import urllib.parse

import prometheus_client

FAULTS = ("errors", "latency", "logs", "crash")
PATHS = ("/", "/cart", "/checkout", "/search")
CUSTOMERS_PER_SECOND = 20


class Logs:
    """Three files as three services of one team would write them: JSON, logfmt, and plain text with stack traces."""

    def __init__(self, folder: pathlib.Path, version: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._version = version
        self._lock = threading.Lock()
        self._json = (folder / "shop.json.log").open("a", buffering=1)
        self._access = (folder / "access.logfmt.log").open("a", buffering=1)
        self._worker = (folder / "worker.log").open("a", buffering=1)

    def event(self, level: str, message: str, **fields: object) -> None:
        """One JSON line."""
        line = {"ts": _now(), "level": level, "msg": message, "version": self._version, **fields}
        self._write(self._json, json.dumps(line))

    def access(self, path: str, code: int, seconds: float) -> None:
        """One logfmt line."""
        level = "error" if code >= 500 else "info"
        line = f'ts={_now()} level={level} msg="GET {path}" path={path} code={code} duration={seconds:.4f}'
        self._write(self._access, line)

    def trace(self, message: str, error: BaseException) -> None:
        """A line of plain text, and the stack trace below it."""
        trace = "".join(traceback.format_exception(error)).rstrip()
        self._write(self._worker, f"{_now()} ERROR worker: {message}\n{trace}")

    def note(self, message: str) -> None:
        """A line of plain text."""
        self._write(self._worker, f"{_now()} INFO worker: {message}")

    def _write(self, file: object, text: str) -> None:
        with self._lock:
            print(text, file=file)  # type: ignore[call-overload]


class Shop:
    """What the shop does, and what is wrong with it."""

    def __init__(self, logs: Logs, version: str) -> None:
        self.logs = logs
        self.faults: set[str] = set()
        self.registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "http_requests", "Requests served.", ["code", "path"], registry=self.registry
        )
        self._seconds = prometheus_client.Histogram(
            "http_request_duration_seconds",
            "Time to serve a request.",
            ["path"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        info = prometheus_client.Info("shop_build", "The version that runs.", registry=self.registry)
        info.info({"version": version})
        for path in PATHS:
            self._requests.labels("200", path)

    def serve(self, path: str) -> int:
        """Serve one customer; the status code."""
        slow = "latency" in self.faults and random.random() < 0.6
        seconds = random.uniform(0.8, 1.6) if slow else random.uniform(0.004, 0.04)
        code = 500 if "errors" in self.faults and random.random() < 0.4 else 200
        if code == 500:
            self.logs.event("error", "payment refused: connection refused by 10.0.0.7:5432", path=path)
            self._fail(path)
        elif "logs" in self.faults and random.random() < 0.3:
            self.logs.event("error", "inventory out of step with warehouse", path=path, item=random.randint(1, 99))
        self._requests.labels(str(code), path).inc()
        self._seconds.labels(path).observe(seconds)
        self.logs.access(path, code, seconds)
        return code

    def _fail(self, path: str) -> None:
        try:
            raise ConnectionRefusedError(111, "Connection refused", "10.0.0.7:5432")
        except ConnectionRefusedError as error:
            self.logs.trace(f"cannot charge the card for {path}", error)

    def break_(self, what: str) -> None:
        """Switch a fault on."""
        self.faults.add(what)
        self.logs.event("warning", f"somebody broke the shop: {what}")

    def repair(self) -> None:
        """Switch all faults off."""
        self.faults.clear()
        self.logs.event("info", "somebody repaired the shop")


def handler(shop: Shop) -> type[http.server.BaseHTTPRequestHandler]:
    """The HTTP face of a shop."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            what = urllib.parse.parse_qs(url.query).get("what", [""])[0]
            if url.path == "/break":
                self._break(what)
            elif url.path == "/repair":
                shop.repair()
                self._answer(200, "repaired\n")
            elif "crash" in shop.faults:
                self.close_connection = True  # not a word, as after a crash
            elif url.path == "/metrics":
                self._answer(200, prometheus_client.generate_latest(shop.registry).decode())
            else:
                self._answer(shop.serve(url.path if url.path in PATHS else "/"), "thank you\n")

        def _break(self, what: str) -> None:
            if what not in FAULTS:
                self._answer(400, f"say what: {', '.join(FAULTS)}, as in /break?what=errors\n")
                return
            shop.break_(what)
            self._answer(200, f"broken: {what}\n")

        def _answer(self, code: int, text: str) -> None:
            body = text.encode()
            self.send_response(code)
            self.send_header("content-type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' word
            """The access log is written by the shop itself."""

    return Handler


def customers(shop: Shop, stop: threading.Event) -> None:
    """Serve invented customers until told to stop."""
    served = 0
    while not stop.wait(1 / CUSTOMERS_PER_SECOND):
        if "crash" in shop.faults:
            continue
        shop.serve(random.choice(PATHS))
        served += 1
        if served % 100 == 0:
            shop.logs.note(f"{served} customers served")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def main() -> None:
    """Run the shop until a signal."""
    parser = argparse.ArgumentParser(description="A small shop that can be broken and repaired.")
    parser.add_argument("--port", type=int, default=9321)
    parser.add_argument("--logs", type=pathlib.Path, default=pathlib.Path("data/shop-logs"))
    parser.add_argument("--version", default="1.0.0")
    options = parser.parse_args()
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    shop = Shop(Logs(options.logs, options.version), options.version)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), handler(shop))
    server.daemon_threads = True
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    shop.logs.event("info", "shop opened", port=options.port)
    print(f"shop: http://127.0.0.1:{server.server_port}/", flush=True)
    started = time.monotonic()
    customers(shop, stop)
    shop.logs.event("info", "shop closed", seconds=round(time.monotonic() - started))


if __name__ == "__main__":
    main()
