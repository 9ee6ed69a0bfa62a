"""Log files as a container runtime writes them: CRI lines of some 283 bytes with the application's JSON inside."""

from __future__ import annotations

import hashlib
import pathlib

LEVELS = ("info",) * 16 + ("debug", "debug", "warn", "error")
_LINE = (
    '2026-01-02T03:04:{0:02}.{1:09}Z stdout F {{"level":"{2}","msg":"request {3} served in {4} ms","logger":"shop.web",'
    '"trace_id":"{5:032x}","path":"/cart/{6}","code":200,"duration_ms":{4},"customer":"c{7}","region":"eu-central-1"}}\n'
)
_BLOCK = 200_000


def name(number: int = 0) -> str:
    """The file of one container."""
    return f"web-{number}_shop_web-{hashlib.sha256(b'%d' % number).hexdigest()}.log"


def lines(first: int, count: int) -> str:
    """Some lines, each different."""
    return "".join(
        _LINE.format(n // 997 % 60, n % 10**9, LEVELS[n * 7 % 20], n, n * 31 % 900, n * 2654435761, n % 97, n % 5000)
        for n in range(first, first + count)
    )


def write(path: pathlib.Path, size: int) -> int:
    """A file of at least so many bytes; how many lines it has. The same lines come again after a while."""
    block = lines(0, _BLOCK).encode()
    written = 0
    with path.open("wb") as file:
        while written < size:
            rest = size - written
            part = block if rest >= len(block) else block[: block.index(b"\n", rest - 1) + 1]
            file.write(part)
            written += len(part)
    with path.open("rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
