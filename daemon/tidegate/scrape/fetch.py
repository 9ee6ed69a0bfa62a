"""Gets one exposition over HTTP: bounded in time and size, decompressed in bounded steps.

Every failure is a `TransientError` with a reason that fits a metric label. This and `scrape.manager` are the homes of
aiohttp.
"""

from __future__ import annotations

import zlib

import aiohttp

from tidegate.model import problems, targets
from tidegate.scrape import protocols

CHUNK = 64 * 1024
GZIP_OR_ZLIB = 47


def session() -> aiohttp.ClientSession:
    """One session for all targets: connections stay open between scrapes. Close it."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=90, ttl_dns_cache=30)
    return aiohttp.ClientSession(connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())


async def get(http: aiohttp.ClientSession, target: targets.Target) -> protocols.Exposition:
    """One target's exposition. Raises `TransientError`."""
    headers = {
        "accept": protocols.accept(target.scrape_protocols),
        "accept-encoding": "gzip",
        "user-agent": "tidegate",
        "x-prometheus-scrape-timeout-seconds": f"{target.timeout:g}",
        **dict(target.headers),
    }
    timeout = aiohttp.ClientTimeout(total=target.timeout)
    try:
        async with http.get(target.url, headers=headers, timeout=timeout, ssl=target.verify_tls) as response:
            if response.status != 200:
                raise _failed(
                    "status", f"server returned HTTP status {response.status} {response.reason or ''}".strip()
                )
            form = protocols.choose(response.headers.get("content-type", ""), target.fallback_scrape_protocol)
            return protocols.Exposition(await _body(response, target.body_limit), form)
    except TimeoutError:
        raise _failed("timeout", f"no answer within {target.timeout:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError, zlib.error) as error:
        raise _failed("connection", str(error) or type(error).__name__) from None


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding not in ("gzip", "deflate", "identity", ""):
        raise _failed("encoding", f"content-encoding {encoding!r} was not asked for")
    unpack = zlib.decompressobj(GZIP_OR_ZLIB) if encoding in ("gzip", "deflate") else None
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(CHUNK):
        for part in _unpacked(unpack, chunk, limit + 1 - size):
            size += len(part)
            parts.append(part)
        if size > limit:
            raise _failed("body_size_limit", f"the exposition is larger than {limit} bytes")
    if unpack is not None and not unpack.eof:
        raise _failed("connection", "the compressed exposition is cut short")
    return b"".join(parts)


def _unpacked(unpack: zlib._Decompress | None, chunk: bytes, room: int) -> list[bytes]:
    """A chunk's content, never more than `room` bytes: a small body may unpack to a huge one."""
    return [chunk] if unpack is None else [unpack.decompress(unpack.unconsumed_tail + chunk, max(room, 1))]


def _failed(reason: str, message: str) -> problems.TransientError:
    return problems.TransientError(message, reason=reason)
