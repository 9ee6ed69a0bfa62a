"""The body of a bulk request: an action line and a document for each line, gzipped if asked. Blocking; runs in threads."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence

from tidegate.logs.ship import output

GZIP_LEVEL = 1


def encode(batch: output.Batch, indexes: Sequence[int], *, compress: bool) -> bytes:
    """The body for some documents of a batch."""
    heads = {stream: b'{"create":{"_index":"%b","_id":"' % stream.encode() for stream in set(batch.streams)}
    parts = zip(
        map(heads.__getitem__, batch.some(batch.streams, indexes)),
        map(str.encode, batch.some(batch.ids, indexes)),
        itertools.repeat(b'"}}\n'),
        batch.some(batch.bodies, indexes),
        itertools.repeat(b"\n"),
        strict=False,
    )
    body = b"".join(itertools.chain.from_iterable(parts))
    if not compress:
        return body
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()
