"""An Elasticsearch that acknowledges everything and keeps nothing, in a process of its own: its work is nobody's.

It counts documents and, where lines carry `"sent":<nanoseconds>`, notes how long each was on its way.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import multiprocessing
import multiprocessing.connection
import re
import time
from typing import Any, Self

_SENT = re.compile(rb'"sent":"?(\d{19})')
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
ROOT = json.dumps(
    {"version": {"number": "7.17.29", "build_flavor": "default"}, "tagline": "You Know, for Search"}
).encode()


class State:
    """What came."""

    def __init__(self) -> None:
        self.documents = 0
        self.size = 0
        self.waits: list[float] = []


class Connection(asyncio.Protocol):
    """One peer."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._data = bytearray()
        self._wanted = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take whole requests."""
        self._data += data
        while len(self._data) >= self._wanted and self._request():
            pass

    def _request(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._data[: end + 2])
        if b"100-continue" in head.lower():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = _LENGTH.search(head)
        self._wanted = end + 4 + (int(length[1]) if length else 0)
        if len(self._data) < self._wanted:
            return False
        body = bytes(self._data[end + 4 : self._wanted])
        del self._data[: self._wanted]
        self._wanted = 0
        self._answer(head, body)
        return True

    def _answer(self, head: bytes, body: bytes) -> None:
        target = head.split(b"\r\n")[0]
        answer = self._bulk(body, b"content-encoding: gzip" in head.lower(), target) if b"_bulk" in target else ROOT
        text = b"" if head.startswith(b"HEAD") else answer
        fields = b"content-type: application/json\r\nx-elastic-product: Elasticsearch\r\ncontent-length: %d" % len(
            answer
        )
        self._transport.write(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n" + text)

    def _bulk(self, body: bytes, zipped: bool, target: bytes) -> bytes:
        data = gzip.decompress(body) if zipped else body
        count = data.count(b"\n{", 0, len(data)) // 2 + 1 if data.strip() else 0
        self._state.documents += count
        self._state.size += len(body)
        now = time.time_ns()
        self._state.waits += [(now - int(sent)) / 1e9 for sent in _SENT.findall(data)]
        filtered = b"filter_path=" in target
        items = _items(count, filtered, b"items.*._index" in target)
        return b'{%b"errors":false,"items":[%b]}' % (b"" if filtered else b'"took":1,', items)


@functools.lru_cache(maxsize=64)
def _items(count: int, filtered: bool, places: bool) -> bytes:
    more = b'"_index":"i","_id":"1","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},'
    if filtered:
        more = b'"_index":".ds-logs-shop-default-2026.01.02-000001",' if places else b""
    return b",".join([b'{"create":{%b"status":201}}' % more] * count)


async def _serve(pipe: multiprocessing.connection.Connection) -> None:
    state = State()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(state), "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    while True:
        asked = await asyncio.to_thread(pipe.recv)
        pipe.send((state.documents, state.size, state.waits if asked == "waits" else []))
        if asked == "end":
            return


def _run(pipe: multiprocessing.connection.Connection) -> None:
    asyncio.run(_serve(pipe))


class Sink:
    """The process, while it is a context."""

    def __enter__(self) -> Self:
        self._pipe, other = multiprocessing.Pipe()
        context: Any = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_run, args=(other,), daemon=True)
        self._process.start()
        self.port: int = self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def documents(self) -> int:
        """How many came so far."""
        self._pipe.send("count")
        return int(self._pipe.recv()[0])

    def waits(self) -> list[float]:
        """How long each was on its way, in seconds."""
        self._pipe.send("waits")
        found: list[float] = self._pipe.recv()[2]
        return found
