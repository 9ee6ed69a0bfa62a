"""`python -m benchmarks.ship.script FOLDER URL plain|gzip`: ships files with `elasticsearch.helpers`, then waits."""

from __future__ import annotations

import pathlib
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import orjson
from elasticsearch import Elasticsearch, helpers

from tidegate.logs.ecs import encode


def actions(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """One action a line."""
    origin, offset = encode.container_of(str(path)), 0
    with path.open("rb", buffering=1 << 20) as file:
        for raw in file:
            time, stream, _, content = raw.split(b" ", 3)
            value = orjson.loads(content)
            yield {
                "_op_type": "create",
                "_index": "logs-shop-default",
                "_id": f"abcdefghijklmnop{offset:010x}",
                "@timestamp": time.decode(),
                "message": value.pop("msg"),
                "log": {
                    "offset": offset,
                    "level": value.pop("level"),
                    "file": {"path": str(path)},
                    "logger": value.pop("logger"),
                },
                "trace": {"id": value.pop("trace_id")},
                "stream": stream.decode(),
                "labels": {key: str(item) for key, item in value.items()},
                "event": {"dataset": "shop"},
                "host": {"name": "node-1"},
                **origin,
            }
            offset += len(raw)


def main() -> None:
    """Ship every file."""
    warnings.simplefilter("ignore")
    folder, url, form = sys.argv[1:]
    client = Elasticsearch(url, http_compress=form == "gzip")
    for path in sorted(pathlib.Path(folder).glob("*.log")):
        for _ in helpers.streaming_bulk(client, actions(path), chunk_size=5000):
            pass
    signal.pause()


if __name__ == "__main__":
    main()
