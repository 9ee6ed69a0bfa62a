"""One remote-write request and what its answer means, by the specifications of versions 1.0 and 2.0.

5xx, no answer, and (when wished) 429 may work later; every other refusal is final. Version 2.0 answers how much was
written, and one that does not say so did not read the message. Who tries again, and when, is not known here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tidegate
from tidegate.kit import access, http
from tidegate.model import client as client_
from tidegate.model import problems

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
WRITTEN = "x-prometheus-remote-write-samples-written"
_VERSIONS = {V1: "0.1.0", V2: "2.0.0"}
_TYPES = {V1: "application/x-protobuf", V2: f"application/x-protobuf;proto={V2}"}
SHOWN = 300
LONGEST_WAIT = 3600.0
"""Seconds that a receiver may ask us to wait."""


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Where samples go."""

    name: str
    url: str
    client: client_.Client
    message: str = V1
    timeout: float = 30.0
    """Seconds."""
    headers: tuple[tuple[str, str], ...] = ()
    retry_on_429: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message that was answered."""

    refused: int
    """Samples that were not taken; trying again would not help."""
    why: str = ""
    """The answer, where some were refused."""


class Peer:
    """The way to a receiver, with a pool of connections."""

    def __init__(self, target: Target, way: access.Access) -> None:
        self._target, self._way = target, way
        self._http: http.Client | None = None
        self._options: dict[str, Any] = {}

    async def post(self, body: bytes, samples: int) -> Outcome:
        """Send a message. Raises `TransientError` when it should be sent again."""
        target = self._target
        headers = {
            **dict(target.headers),
            **await self._way.headers(),
            "content-type": _TYPES[target.message],
            "content-encoding": "snappy",
            "user-agent": f"tidegate/{tidegate.__version__}",
            "x-prometheus-remote-write-version": _VERSIONS[target.message],
        }
        answer = await http.send(await self._connected(), target.url, body, headers)
        return self._outcome(answer.status_code, answer.headers, answer.text[:SHOWN].strip(), samples)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def _connected(self) -> http.Client:
        """The client; a new one when a certificate was renewed."""
        options = self._way.options(self._target.url)
        if self._http is None or options != self._options:
            await self.close()
            self._http, self._options = http.client(timeout=self._target.timeout, **options), options
        return self._http

    def _outcome(self, status: int, headers: Mapping[str, str], text: str, samples: int) -> Outcome:
        said = f"HTTP {status}" + (f": {text}" if text else "")
        if status >= 500 or (status == 429 and self._target.retry_on_429):
            after = http.retry_after(headers.get("retry-after"))
            after = None if after is None else min(after, LONGEST_WAIT)
            raise problems.TransientError(said, after=after, reason="rate_limited" if status == 429 else "server")
        written = _number(headers.get(WRITTEN, "")) if self._target.message == V2 else None
        if not 200 <= status < 300:
            return Outcome(max(samples - (written or 0), 0), said)
        if self._target.message == V1 or not samples:
            return Outcome(0)
        if written is None:
            return Outcome(samples, f"{said}, without {WRITTEN}: it knows only version 1.0 of the protocol")
        return Outcome(max(samples - written, 0), f"{said}, {written} of {samples} samples were written")


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None
