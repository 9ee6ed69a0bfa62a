"""How the fake Elasticsearch is reached: as a transport node without a network (for virtual time), or over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple, Protocol

import elastic_transport

from tests.faults import fake


class Server(Protocol):
    """What answers requests."""

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> fake.Answer:
        """Answer one request."""


class _Response(NamedTuple):
    """What the transport takes from a node."""

    meta: elastic_transport.ApiResponseMeta
    body: bytes


def node(server: fake.Elasticsearch) -> type[elastic_transport.BaseAsyncNode]:
    """A node class whose every instance talks to this server directly; delays pass in the loop's time."""

    class Node(elastic_transport.BaseAsyncNode):
        _CLIENT_META_HTTP_CLIENT = ("fake", "1")

        async def perform_request(  # type: ignore[override]
            self,
            method: str,
            target: str,
            body: bytes | None = None,
            headers: Any = None,
            request_timeout: Any = None,
        ) -> _Response:
            answer = server.handle(method, target, dict(headers or {}), body or b"")
            limit = request_timeout if isinstance(request_timeout, float) else None
            if limit is not None and answer.delay > limit:
                await asyncio.sleep(limit)
                raise elastic_transport.ConnectionTimeout("no answer in time")
            await asyncio.sleep(answer.delay)
            if answer.cut:
                raise elastic_transport.ConnectionError("the connection was closed")
            meta = elastic_transport.ApiResponseMeta(
                status=answer.status,
                http_version="1.1",
                headers=elastic_transport.HttpHeaders(answer.headers),
                duration=0.0,
                node=self.config,
            )
            return _Response(meta, answer.body)

        async def close(self) -> None:  # type: ignore[override]
            pass

    return Node


@contextlib.asynccontextmanager
async def http(
    server: Server,
    tls: ssl.SSLContext | None = None,
    *,
    port: int = 0,
    answers: bool = True,
    dribble: Callable[[], bool] = lambda: False,
) -> AsyncIterator[str]:
    """Serve on a free port; the URL. Without `answers` connections are taken and nothing else; `dribble` says whether
    a body is taken byte by byte.
    """
    serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving[task] = writer
        try:
            if not answers:
                await reader.read(1)
                await asyncio.Event().wait()
            while await _one(server, reader, writer, dribble):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            serving.pop(task)
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        left = dict(serving)
        for task, writer in left.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*left)
        await listener.wait_closed()


async def _one(
    server: Server,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    dribble: Callable[[], bool],
) -> bool:
    """Serve one request; whether the connection stays."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    length = int(headers.get("content-length", "0"))
    body = b""
    while dribble() and len(body) < length:
        body += await reader.readexactly(1)
        await asyncio.sleep(0.001)
    body += await reader.readexactly(length - len(body))
    answer = server.handle(method, target, headers, body)
    await asyncio.sleep(answer.delay)
    if answer.cut:
        return False
    lines = [f"HTTP/1.1 {answer.status} X", f"content-length: {len(answer.body)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + answer.body)
    await writer.drain()
    return True
