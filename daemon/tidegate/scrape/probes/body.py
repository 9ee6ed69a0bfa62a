"""Reads the body of an answer in bounded steps: decompresses, counts, and keeps it where patterns want to see it."""

from __future__ import annotations

import asyncio
import dataclasses
import zlib
from collections.abc import AsyncIterator

from tidegate.scrape.probes import gauges

STEP = 256 * 1024
"""Bytes that are decompressed before others get their turn."""
KEPT = 64 * 1024 * 1024
"""The most that is kept for patterns where the module has no limit."""
WINDOWS = {"gzip": 31, "deflate": -15}


@dataclasses.dataclass(slots=True)
class Body:
    """What came."""

    size: int = 0
    """Bytes after decompression, up to the limit."""
    data: bytearray = dataclasses.field(default_factory=bytearray)
    """Where it is kept."""
    error: str = ""


async def read(chunks: AsyncIterator[bytes], encodings: tuple[str, ...], limit: int, *, keep: bool) -> Body:
    """All of a body. `encodings` are undone in their order; what goes wrong is said in the result."""
    found = Body()
    try:
        for encoding in encodings:
            chunks = _unpacked(chunks, encoding)
        most = limit or (KEPT if keep else 0)
        async for chunk in chunks:
            found.size += len(chunk)
            if keep:
                found.data += chunk
            if most and found.size > most:
                found.size = most
                found.error = f"the body is longer than {most} bytes"
                return found
    except gauges.ProbeError as error:
        found.error = f"cannot read the body: {error}"
    return found


async def _unpacked(chunks: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    unpack = zlib.decompressobj(WINDOWS[encoding])
    try:
        async for chunk in chunks:
            rest = chunk
            while rest and not unpack.eof:
                yield unpack.decompress(rest, STEP)
                rest = unpack.unconsumed_tail
                await asyncio.sleep(0)
    except zlib.error as error:
        raise gauges.ProbeError(f"it is not {encoding}: {error}") from None
    if not unpack.eof:
        raise gauges.ProbeError(f"the {encoding} data is cut short")
