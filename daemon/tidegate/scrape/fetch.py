"""Gets one exposition over HTTP: bounded in time and size, decompressed in bounded steps.

Every failure is a `TransientError` with a reason that fits a metric label. This and `scrape.manager` are the homes of
aiohttp.
"""

from __future__ import annotations

import zlib
from typing import Any

import aiohttp

from tidegate.kit import access
from tidegate.model import ports, problems, targets
from tidegate.scrape import protocols

CHUNK = 64 * 1024
GZIP_OR_ZLIB = 47


def session() -> aiohttp.ClientSession:
    """One session for all targets: connections stay open between scrapes. Close it."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=90, ttl_dns_cache=30)
    return aiohttp.ClientSession(connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())


class Fetcher:
    """Gets one target's exposition, again and again."""

    def __init__(self, http: aiohttp.ClientSession, target: targets.Target, clock: ports.Clock) -> None:
        self._http, self._target = http, target
        self._access = access.Access(target.client, clock)
        self._timeout = aiohttp.ClientTimeout(total=target.timeout)
        self._headers = {
            "accept": protocols.accept(target.scrape_protocols, target.escaping),
            "accept-encoding": "gzip" if target.client.compressed else "identity",
            "user-agent": "tidegate",
            "x-prometheus-scrape-timeout-seconds": f"{target.timeout:g}",
        }

    async def get(self) -> protocols.Exposition:
        """The exposition. Raises `TransientError`."""
        target = self._target
        options = await self._options()
        try:
            async with self._http.get(target.url, timeout=self._timeout, **options) as response:
                if response.status != 200:
                    message = f"server returned HTTP status {response.status} {response.reason or ''}"
                    raise _failed("status", message.strip())
                body = await _body(response, target.limits.body)
                if not body:
                    return protocols.Exposition(body)  # as in Prometheus nothing is fine, whatever it is said to be
                form = protocols.choose(response.headers.get("content-type", ""), target.fallback_scrape_protocol)
                return protocols.Exposition(body, form)
        except TimeoutError:
            raise _failed("timeout", f"no answer within {target.timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError, zlib.error) as error:
            raise _failed("connection", str(error) or type(error).__name__) from None

    async def _options(self) -> dict[str, Any]:
        """What the request needs, with secrets and certificates as they are now."""
        target, way = self._target, self._access
        options: dict[str, Any] = {
            "headers": self._headers | await way.headers(),
            "allow_redirects": target.client.follow_redirects,
            "ssl": way.context() if target.url.startswith("https:") else True,
            "server_hostname": target.client.tls.server_name or None,
        }
        through = way.proxy(target.url)
        return options | ({"proxy": through, "proxy_headers": way.proxy_headers()} if through else {})


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding not in ("gzip", "deflate", "identity", ""):
        raise _failed("encoding", f"content-encoding {encoding!r} was not asked for")
    unpack = zlib.decompressobj(GZIP_OR_ZLIB) if encoding in ("gzip", "deflate") else None
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(CHUNK):
        for part in _unpacked(unpack, chunk, limit + 1 - size if limit else 0):
            size += len(part)
            parts.append(part)
        if 0 < limit < size:
            raise _failed("body_size_limit", f"the exposition is larger than {limit} bytes")
    if unpack is not None and not unpack.eof:
        raise _failed("connection", "the compressed exposition is cut short")
    return b"".join(parts)


def _unpacked(unpack: zlib._Decompress | None, chunk: bytes, room: int) -> list[bytes]:
    """A chunk's content, never more than `room` bytes (0: all of it): a small body may unpack to a huge one."""
    return [chunk] if unpack is None else [unpack.decompress(unpack.unconsumed_tail + chunk, max(room, 0))]


def _failed(reason: str, message: str) -> problems.TransientError:
    return problems.TransientError(message, reason=reason)
