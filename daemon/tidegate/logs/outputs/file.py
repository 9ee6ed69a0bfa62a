"""A file of JSON lines: each batch is appended as a whole and synced to disk, and the file is put aside by size and age.

Each line begins with the document's `_id`. What stands at the end of the files when we start, or was written last, is
not written again, so that a kill or a crash makes no doubles. A line that was torn by a kill is cut off first.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import pathlib
from collections.abc import Iterable, Sequence

import orjson

from tidegate.kit import telemetry
from tidegate.logs.kql import dates
from tidegate.logs.ship import output
from tidegate.model import logoutputs, ports, problems

NAME = "file"
BLOCK = 1024 * 1024
_HEAD = b'{"_id":"'


class Wire:
    """Implements `sending.Wire`. `remember` is how many bytes of lines may come again: what can be under way at once."""

    def __init__(
        self,
        config: logoutputs.JsonLines,
        folder: pathlib.Path,
        remember: int,
        clock: ports.Clock,
        registry: telemetry.Registry,
    ) -> None:
        self._path = folder / config.path
        self._config = config
        self._clock = clock
        self._remember = remember
        self._turn = asyncio.Lock()
        self._descriptor = -1
        self._since = 0.0
        self._old: set[str] = set()
        """Ids of lines that an earlier process wrote; one leaves when it came again."""
        self._recent: collections.deque[tuple[frozenset[str], int]] = collections.deque()
        """Ids that we wrote last, with their bytes."""
        self._repeated = telemetry.Counter(
            "tidegate_logs_file_repeated",
            "Documents that came again, and stood in the file already.",
            registry=registry,
        )
        self._dropped = telemetry.Counter(
            "tidegate_logs_file_dropped_bytes", "Bytes of files put aside that were deleted.", registry=registry
        )

    def cut(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[Sequence[int]]:  # noqa: ARG002 - a wire's
        """See `sending.Wire`."""
        return [indexes]

    async def post(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        """See `sending.Wire`."""
        async with self._turn:
            now = self._clock.now()
            # What was begun is ended, even when nobody waits any more: half a batch must not be left behind.
            writing = asyncio.ensure_future(asyncio.to_thread(self._store, batch, indexes, now))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait({writing})
                raise
            except OSError as error:
                raise problems.TransientError(
                    f"cannot write {self._path}: {error.strerror or error}", reason="disk"
                ) from None
        return ()

    async def close(self) -> None:
        """See `sending.Wire`."""
        async with self._turn:
            await asyncio.to_thread(self._shut)

    # --- in a thread --------------------------------------------------------------------------------------------

    def _store(self, batch: output.Batch, indexes: Iterable[int], now: float) -> None:
        """Append what is not there yet. Raises `OSError`, with the file as it was."""
        self._open(now)
        fresh = [index for index in indexes if not self._known(batch.ids[index])]
        rows = [b'{"_id":"%b",%b\n' % (batch.ids[index].encode(), batch.bodies[index][1:]) for index in fresh]
        body = b"".join(rows)
        if body:
            if self._due(len(body), now):
                self._put_aside()
                self._open(now)
            self._append(body)
        names = frozenset(batch.ids[index] for index in fresh)
        self._recent.append((names, len(body)))
        while len(self._recent) > 1 and sum(size for _, size in self._recent) > self._remember:
            self._recent.popleft()

    def _known(self, name: str) -> bool:
        if name in self._old:
            self._old.discard(name)
        elif not any(name in names for names, _ in self._recent):
            return False
        self._repeated.inc()
        return True

    def _append(self, body: bytes) -> None:
        before = os.fstat(self._descriptor).st_size
        try:
            left = memoryview(body)
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, before)
            self._shut()  # what the system has of it is looked at again before anything is appended
            raise

    def _open(self, now: float) -> None:
        """Have the file open that the path names; somebody else may have put ours aside."""
        if self._descriptor >= 0:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                    return
            self._shut()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            _mend(descriptor)
            self._old |= self._written(descriptor)
            self._since = _begun(descriptor) or now
            _sync(self._path.parent)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _written(self, descriptor: int) -> set[str]:
        """Ids of the last lines of the file, and of the one before when that is needed."""
        if self._recent:
            return set()  # opened again: those are remembered
        size = os.fstat(descriptor).st_size
        found = _ids(os.pread(descriptor, self._remember, max(size - self._remember, 0)))
        aside = self._aside(1)
        if size < self._remember and aside.exists():
            with aside.open("rb") as file:
                file.seek(max(aside.stat().st_size - (self._remember - size), 0))
                found |= _ids(file.read())
        return found

    def _due(self, more: int, now: float) -> bool:
        size = os.fstat(self._descriptor).st_size
        old = self._config.rotate_after > 0 and now - self._since >= self._config.rotate_after
        return size > 0 and (old or size + more > self._config.rotate_bytes)

    def _put_aside(self) -> None:
        self._shut()
        last = self._aside(self._config.keep) if self._config.keep else self._path
        if last.exists():
            self._dropped.inc(last.stat().st_size)
            last.unlink()
        for number in range(self._config.keep - 1, -1, -1):
            source = self._aside(number) if number else self._path
            if source.exists():
                source.replace(self._aside(number + 1))
        _sync(self._path.parent)

    def _aside(self, number: int) -> pathlib.Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _shut(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _mend(descriptor: int) -> None:
    """Cut off a last line without its end: it was being written when we were killed."""
    size = at = os.fstat(descriptor).st_size
    while at > 0:
        start = max(at - BLOCK, 0)
        found = os.pread(descriptor, at - start, start).rfind(b"\n")
        if found >= 0:
            at = start + found + 1
            break
        at = start
    if at < size:
        os.ftruncate(descriptor, at)


def _ids(block: bytes) -> set[str]:
    """Ids of the lines that begin in a block."""
    heads = (row[len(_HEAD) :] for row in block.split(b"\n") if row.startswith(_HEAD))
    return {head[: head.index(b'"')].decode("utf-8", "replace") for head in heads if b'"' in head}


def _begun(descriptor: int) -> float:
    """When the first line was read, in unix seconds; 0 when that is not known."""
    try:
        first = orjson.loads(os.pread(descriptor, BLOCK, 0).partition(b"\n")[0])
        return dates.seconds(first["event"]["created"]) or 0.0
    except (ValueError, KeyError, TypeError):
        return 0.0


def _sync(folder: pathlib.Path) -> None:
    """Make a new name in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
