"""A peer that takes documents over HTTP: one pool of connections, our credentials, and what a status means for documents.

What a document is made into, and what the body of an answer says, is the business of each output.
"""

from __future__ import annotations

import asyncio
import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import tidegate
from tidegate.kit import access, http
from tidegate.logs.outputs import sending
from tidegate.model import problems

GZIP_LEVEL = 1
SHOWN = 300
HELD = frozenset({401, 402, 403, 404, 405, 406, 407, 415})
"""Statuses that speak of rights and addresses: a person has to do something, no document is to blame."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpPeer:
    """The way to one address."""

    def __init__(self, url: str, way: access.Access, timeout: float, *, compress: bool) -> None:
        self._url, self._way = url, way
        self._timeout, self._compress = timeout, compress
        self._http: http.Client | None = None
        self._options: dict[str, Any] = {}

    async def post(self, make: Callable[[], bytes], kind: str, accept: str = "*/*") -> Answer:
        """Send what `make` gives (in a thread) as `kind`. Raises `TransientError` or `sending.RefusedError`."""
        headers = {
            **await self._way.headers(),
            "content-type": kind,
            "accept": accept,
            "user-agent": f"tidegate/{tidegate.__version__}",
        }
        if self._compress:
            headers["content-encoding"] = "gzip"
        body = await asyncio.to_thread(lambda: gzipped(make()) if self._compress else make())
        try:
            answer = await http.send(await self._connected(), self._url, body, headers)
        except problems.PermanentError as error:
            raise problems.TransientError(str(error), reason="held") from None
        judge(answer.status_code, answer.headers, answer.content)
        return Answer(answer.status_code, answer.headers, answer.content)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _connected(self) -> http.Client:
        """The client; a new one when a certificate was renewed."""
        options = {**self._way.options(self._url), "follow_redirects": False}
        if self._http is None or options != self._options:
            before, self._http = self._http, http.client(timeout=self._timeout, **options)
            self._options = options
            if before is not None:
                await before.aclose()
        return self._http


def judge(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Pass a 2xx. Raises `TransientError` for what may work later or needs a person, `RefusedError` for bad documents.

    A page of HTML comes from a proxy, which knows nothing of documents.
    """
    if 200 <= status < 300:
        return
    said = " ".join(body[:SHOWN].decode("utf-8", "replace").split())
    text = f"HTTP {status}" + (f": {said}" if said else "")
    after = http.retry_after(headers.get("retry-after"))
    if status in (408, 425, 429, 503):
        raise problems.TransientError(text, after=after, reason="rate_limited")
    if status >= 500:
        raise problems.TransientError(text, after=after, reason="server")
    if status < 400 or status in HELD or (status != 413 and "html" in headers.get("content-type", "")):
        raise problems.TransientError(text, after=after, reason="held")
    raise sending.RefusedError(status, said or "no reason given")


def gzipped(body: bytes) -> bytes:
    """The body in gzip's form."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()
