"""Lines to bulk bodies: our byte templates against `elasticsearch.helpers` with equal documents, parsing and sink.

Both read the same CRI file with JSON inside, make the same ECS documents with the same ids, and hand bulk bodies to
something that throws them away and acknowledges every item. Prints lines/s, lines per CPU-second and the ratio.
"""

from __future__ import annotations

import collections.abc
import pathlib
import sys
import tempfile
import time
import warnings
from typing import Any, NamedTuple

import elastic_transport
from elasticsearch import Elasticsearch, helpers

from tidegate.logs.ecs import encode
from tidegate.logs.elasticsearch import body
from tidegate.logs.formats import auto, cri
from tidegate.logs.read import files, source
from tidegate.logs.ship import output
from tidegate.model import settings

LINES = 100_000
CHUNK = 5000
ROUNDS = 3
"""The better of so many runs counts, on either side."""
POD = "/var/log/containers/web-1_shop_web-" + "a" * 64 + ".log"
INPUT = settings.LogInput(paths=("*.log",), format="cri", dataset="shop", environment="production")


class Figure(NamedTuple):
    """One run."""

    lines: int
    seconds: float
    cpu: float
    body_bytes: int


class _Response(NamedTuple):
    meta: elastic_transport.ApiResponseMeta
    body: bytes


class NullNode(elastic_transport.BaseNode):
    """Acknowledges every item, stores nothing."""

    seen = 0

    def perform_request(self, *_: Any, body: bytes | None = None, **_more: Any) -> Any:
        data = body or b""
        NullNode.seen += len(data)
        count = data.count(b"\n") // 2
        answer = b'{"took":1,"errors":false,"items":[' + b",".join([b'{"create":{"status":201}}'] * count) + b"]}"
        kind = {"content-type": "application/vnd.elasticsearch+json", "x-elastic-product": "Elasticsearch"}
        meta = elastic_transport.ApiResponseMeta(200, "1.1", elastic_transport.HttpHeaders(kind), 0.0, self.config)
        return _Response(meta, answer)


def write(path: pathlib.Path) -> None:
    """A file of CRI lines, about 280 bytes each."""
    with path.open("w") as file:
        for number in range(LINES):
            file.write(
                f'2026-01-02T03:04:05.{number % 1_000_000_000:09}Z stdout F {{"level":"info","msg":"request served",'
                f'"logger":"shop.web","trace_id":"{number:032x}","path":"/cart/{number % 97}","code":200,'
                f'"duration_ms":{number % 300},"customer":"c{number % 5000}"}}\n'
            )


def ours(path: pathlib.Path, *, compress: bool) -> Figure:
    """The shipper's own path: `source` steps and `body.encode`."""
    stat = path.stat()
    made = source.Source(POD, (stat.st_dev, stat.st_ino), INPUT, host="node-1", longest=1024 * 1024)
    made.tail.path = str(path)
    wall, cpu = time.perf_counter(), time.process_time()
    lines = size = 0
    chunk = made.step(1_767_323_045.0)
    while chunk.lines:
        batch = output.Batch([chunk.stream] * len(chunk.ids), chunk.ids, chunk.bodies)
        size += len(body.encode(batch, range(len(batch)), compress=compress))
        lines += len(batch)
        chunk = made.step(1_767_323_045.0)
    made.tail.close()
    return Figure(lines, time.perf_counter() - wall, time.process_time() - cpu, size)


def actions(path: pathlib.Path) -> collections.abc.Iterator[dict[str, Any]]:
    """The same documents as objects, from the same parsers."""
    split, parse = cri.split, auto.parse
    static = encode.Static.of(INPUT, POD, "node-1")
    rest = {
        "host": {"name": "node-1"},
        "data_stream": {"type": "logs", "dataset": "shop", "namespace": "default"},
        "ecs": {"version": encode.ECS_VERSION},
        **static.origin,
    }
    stat = path.stat()
    name = files.file_id((stat.st_dev, stat.st_ino), b"", "node-1", 0)
    offset = 0
    with path.open("rb", buffering=1024 * 1024) as file:
        for raw in file:
            wrapped = split(raw[:-1])
            assert wrapped is not None
            line = parse(wrapped.content)
            log: dict[str, Any] = {
                "offset": offset,
                "level": line.level,
                "file": {"path": POD},
                "iostream": wrapped.stream,
            }
            document: dict[str, Any] = {"@timestamp": wrapped.time, "message": line.message, "log": log, **rest}
            document["service"] = static.service
            document["event"] = {"dataset": "shop", "created": "2026-01-02T03:04:05.000Z"}
            for field, text in (line.fields or {}).items():
                group, _, leaf = field.partition(".")
                document.setdefault(group, {})[leaf] = text
            document["labels"] = line.labels
            yield {
                "_op_type": "create",
                "_index": static.stream,
                "_id": f"{name}{offset:010x}",
                **document,
            }
            offset += len(raw)


def theirs(path: pathlib.Path, *, compress: bool) -> Figure:
    """`elasticsearch.helpers.streaming_bulk` over the official client."""
    NullNode.seen = 0
    client = Elasticsearch("http://localhost:9200", node_class=NullNode, http_compress=compress)
    wall, cpu = time.perf_counter(), time.process_time()
    lines = sum(ok for ok, _ in helpers.streaming_bulk(client, actions(path), chunk_size=CHUNK))
    return Figure(lines, time.perf_counter() - wall, time.process_time() - cpu, NullNode.seen)


def main() -> None:
    """Run both, print, and fail when the ratio is under what is promised."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "app.log")
        write(path)
        runs = [(ours(path, compress=False), theirs(path, compress=False)) for _ in range(ROUNDS)]
        mine, other = (min(figures, key=lambda figure: figure.cpu) for figures in zip(*runs, strict=True))
        rows = {"tidegate": mine, "elasticsearch.helpers": other}
        gzip = ours(path, compress=True)
    for name, figure in (*rows.items(), ("tidegate, gzip level 1", gzip)):
        print(
            f"{name:24} {figure.lines / figure.seconds:10,.0f} lines/s {figure.lines / figure.cpu:10,.0f} lines/CPU-s "
            f"{figure.body_bytes / figure.lines:6.0f} B/line out"
        )
    ratio = (mine.lines / mine.cpu) / (other.lines / other.cpu)
    print(f"ratio: {ratio:.1f}x per CPU-second (promised: >= 3x)")
    sys.exit(0 if ratio >= 3 and mine.lines == other.lines == LINES else 1)


if __name__ == "__main__":
    main()
