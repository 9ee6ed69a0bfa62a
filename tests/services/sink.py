"""A remote-write receiver that is strict about the protocol and answers as a test wants: faults, delays, broken connections."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import struct
from collections.abc import AsyncIterator, Callable, Mapping

import cramjam

from tidegate.metrics.remote import wire
from tidegate.model import labels as labels_

Samples = dict[str, list[tuple[int, int]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets. With `status` 0 the connection is cut."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    text: str = ""
    stored: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What came."""

    headers: Mapping[str, str]
    body: bytes
    """Out of its snappy block."""
    samples: Samples
    """(milliseconds, bits) by series."""


class Sink:
    """Keeps what it was sent, and what was wrong with it."""

    def __init__(self, answers: Callable[[int], Answer] = lambda _: Answer()) -> None:
        """`answers` is asked with the number of the request, from 0."""
        self.answers = answers
        self.requests: list[Request] = []
        self.samples: Samples = {}
        """What was stored, in the order in which it came."""
        self.wrong: list[str] = []
        self.url = ""
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._open.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers["content-length"]))
                answer = self._answer(headers, body)
                if not answer.status:
                    break
                more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
                text = answer.text.encode()
                writer.write(f"HTTP/1.1 {answer.status} X\r\n{more}content-length: {len(text)}\r\n\r\n".encode() + text)
                await writer.drain()
        writer.close()
        self._open.discard(writer)

    def cut(self) -> None:
        """Break all connections."""
        for writer in self._open:
            writer.transport.abort()

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Answer:
        plain = bytes(cramjam.snappy.decompress_raw(body))
        two = "proto=io.prometheus.write.v2.Request" in headers.get("content-type", "")
        samples = _read_2(plain) if two else _read_1(plain)
        self.requests.append(Request(headers, plain, samples))
        self._check(headers, samples, two=two)
        answer = self.answers(len(self.requests) - 1)
        if answer.stored and answer.status:
            for name, found in samples.items():
                self.samples.setdefault(name, []).extend(found)
        if two and 200 <= answer.status < 300 and not answer.headers:
            number = sum(map(len, samples.values()))
            written = ("X-Prometheus-Remote-Write-Samples-Written", str(number))
            return dataclasses.replace(answer, headers=(written,))
        return answer

    def _check(self, headers: Mapping[str, str], samples: Samples, *, two: bool) -> None:
        wanted = {
            "content-encoding": "snappy",
            "content-type": "application/x-protobuf" + (";proto=io.prometheus.write.v2.Request" if two else ""),
            "x-prometheus-remote-write-version": "2.0.0" if two else "0.1.0",
        }
        self.wrong += [f"{name}: {headers.get(name)}" for name, value in wanted.items() if headers.get(name) != value]
        if not headers.get("user-agent", "").startswith("tidegate/"):
            self.wrong.append("no user agent")
        for name, found in samples.items():
            if any(later <= earlier for (earlier, _), (later, _) in itertools.pairwise(found)):
                self.wrong.append(f"{name} out of order within a request")


@contextlib.asynccontextmanager
async def running(sink: Sink, port: int = 0) -> AsyncIterator[Sink]:
    """The sink at its `url`, for as long as the block lasts."""
    server = await asyncio.start_server(sink.serve, "127.0.0.1", port)
    sink.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/write"
    try:
        yield sink
    finally:
        server.close()
        sink.cut()
        await server.wait_closed()


def _read_1(plain: bytes) -> Samples:
    found: Samples = {}
    for one in wire.version_1(plain):
        _put(found, wire.labels_1(one.key), _in_order_1(one.key), one.samples)
    return found


def _read_2(plain: bytes) -> Samples:
    found: Samples = {}
    named, incoming = wire.version_2(plain)
    symbols = _symbols(plain)
    assert len(set(symbols)) == len(symbols), "a symbol stands twice"
    for one in incoming:
        _put(found, named.labels(one.key), _in_order_2(one.key, symbols), one.samples)
    return found


def _symbols(plain: bytes) -> list[str]:
    return [plain[start:end].decode() for field, start, end in wire._parts(plain, 0, len(plain)) if field == 4]


def _put(found: Samples, labels: labels_.Labels, written: list[str], samples: list[tuple[int, int]]) -> None:
    assert written == sorted(written), f"labels are not sorted: {written}"
    assert all(value for _, value in labels)
    found.setdefault(labels_.text(labels), []).extend(samples)


def _in_order_1(key: bytes) -> list[str]:
    names, at = [], 0
    while at < len(key):
        size, at = wire._varint(key, at + 1)
        name_size = key[at + 1]
        names.append(key[at + 2 : at + 2 + name_size].decode())
        at += size
    return names


def _in_order_2(key: bytes, symbols: list[str]) -> list[str]:
    size, at = wire._varint(key, 1)
    assert at + size == len(key)
    refs = []
    while at < len(key):
        ref, at = wire._varint(key, at)
        refs.append(ref)
    return [symbols[ref] for ref in refs[::2]]


def number(bits: int) -> float:
    """The value behind its bits."""
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])
