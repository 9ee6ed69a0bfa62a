"""Which files are followed: new ones, renamed ones, those that left, and those found again after a restart.

A file that left its pattern (renamed, deleted) is read to its end from the descriptor held; only when all of its lines
are stored, and nothing came for a while, is it let go. Lives on the event loop; only `Source` steps run in threads.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tidegate.logs.read import checkpoint, files, rotations, source
from tidegate.model import ports, settings

LINGER_DELETED = 5.0
LINGER_RENAMED = 300.0
"""Seconds without a byte after which a file that left is let go: a writer may hold a renamed one for long."""
PATIENCE = 10.0
"""Seconds that a copy may take to be written."""
TOMBSTONE = 86400.0
TOMBSTONES = 20_000
_MARKS = 120


@dataclasses.dataclass(slots=True)
class Watched:
    """One file and how its reading goes."""

    source: source.Source
    real: str
    present: bool = True
    """Whether a pattern leads to it."""
    wanted: bool = True
    """False when the inputs no longer ask for a file that is still there."""
    abandoned: bool = False
    """Given up by whoever writes it: never read again, though it may still be there."""
    seen: tuple[int, int] | None = None
    """Size and time of change at the last step."""
    now: tuple[int, int] = (0, 0)
    """The same as the last scan saw them."""
    more: bool = True
    error: str = ""
    left_at: float = 0.0
    lines: int = 0
    ledger: checkpoint.Ledger = dataclasses.field(default_factory=lambda: checkpoint.Ledger(0, ""))
    file_id: str = ""
    generation: int = 0
    first: bytes = b""
    cuts: tuple[tuple[str, int], ...] = ()
    waiting: collections.deque[tuple[float, int]] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=_MARKS)
    )
    """When the file was seen to reach which size: the age of what is not stored yet."""

    def take_over(self) -> None:
        """Copy the source's identity after a step, for the checkpoint, which is written while other steps run."""
        self.source.prune(self.source.ledger.committed[0])
        self.ledger = self.source.ledger
        self.file_id, self.generation, self.first = self.source.file_id, self.source.generation, self.source.first
        self.cuts = tuple(self.source.cuts)

    @property
    def paths(self) -> tuple[str, str]:
        """Where it is: as its pattern leads to it, and without links on the way."""
        return self.source.tail.path, self.real

    @property
    def size(self) -> int:
        """The file's size as far as known."""
        return max(self.source.tail.size, self.now[0] if self.present else 0)

    @property
    def lag_bytes(self) -> int:
        """Bytes that are not stored yet."""
        return max(self.size - self.ledger.committed[0], 0)

    def lag_seconds(self, now: float) -> float:
        """Age of the oldest byte that is not stored yet."""
        committed = self.ledger.committed[0]
        while self.waiting and self.waiting[0][1] <= committed:
            self.waiting.popleft()
        return max(now - self.waiting[0][0], 0.0) if self.waiting and self.lag_bytes else 0.0

    def entry(self, gone_at: float = 0.0) -> checkpoint.Entry:
        """For the checkpoint."""
        known = self.source.entry
        if known is not None:  # not looked into yet
            return dataclasses.replace(known, path=self.source.path, real=self.real, gone_at=gone_at)
        offset, mark = self.ledger.committed
        return checkpoint.Entry(
            self.source.key,
            self.source.path,
            self.real,
            self.file_id,
            self.generation,
            len(self.first),
            files.digest(self.first),
            offset,
            mark,
            self.size,
            self.cuts,
            gone_at,
        )


class Roster:
    """Every file that is followed, by identity."""

    def __init__(
        self,
        folder: str,
        host: str,
        config: settings.Logs,
        entries: Mapping[files.Key, checkpoint.Entry],
        *,
        fresh: bool,
    ) -> None:
        self.watched: dict[files.Key, Watched] = {}
        self.remembered: dict[files.Key, checkpoint.Entry] = dict(entries)
        """Files that were followed once and are not now."""
        self.before: dict[str, checkpoint.Entry] = {}
        """By path, what was in a file before it last began anew."""
        self._postponed: dict[files.Key, float] = {}
        self._folder = folder
        self._host = host
        self._config = config
        self._fresh = fresh

    def take(self, found: Mapping[files.Key, files.Found], inputs: Sequence[settings.LogInput], now: float) -> set[str]:
        """Bring the roster in line with a scan of these inputs; the paths where a rotation seems to have happened."""
        turned: set[str] = set()
        paths = {watched.source.path: watched for watched in self.watched.values()}
        for key, file in found.items():
            watched = self.watched.get(key)
            if watched is not None and watched.abandoned and file.path not in watched.paths:
                self.let_go(watched, now)  # its place on the disk was given to a new file
                watched = None
            if watched is None:
                if key not in self.remembered and self._is_copy(file, paths, now):
                    continue
                watched = self.watched[key] = self._new(file.path, key, file.input)
                if file.path in paths:
                    turned.add(file.path)
            self._update(watched, file, now)
        for key, watched in self.watched.items():
            if key not in found and watched.present:
                watched.present = False
                watched.left_at = now
                claimed = any(files.claims(each, self._folder, watched.source.path) for each in inputs)
                watched.wanted = claimed and not watched.abandoned
                turned.add(watched.source.path)
        self._fresh = False
        return turned

    def missing(self) -> list[checkpoint.Entry]:
        """Files of the checkpoint that the scan did not find: renamed or deleted while nobody looked."""
        return [entry for entry in self.remembered.values() if not entry.gone_at]

    def adopt(
        self, renamed: Iterable[tuple[checkpoint.Entry, str]], inputs: Sequence[settings.LogInput], now: float
    ) -> int:
        """Follow files found again under a new name; the bytes that are lost with those not found (empty name)."""
        lost = 0
        for entry, path in renamed:
            input_ = next((each for each in inputs if files.claims(each, self._folder, entry.path)), None)
            if not path:
                self.remembered[entry.key] = dataclasses.replace(entry, gone_at=now)
                lost += max(entry.size - entry.offset, 0)
            elif input_ is not None:
                watched = self.watched[entry.key] = self._new(entry.path, entry.key, input_)
                watched.source.tail.path, watched.real = path, path
                watched.present, watched.left_at = False, now
        return lost

    def knows(self) -> set[files.Key]:
        """Every identity that is followed or remembered."""
        return set(self.watched) | set(self.remembered)

    def contents(self, path: str) -> list[checkpoint.Entry]:
        """What is known of a path's content, now and before it last began anew."""
        now = [each.entry() for each in self.watched.values() if each.source.path == path]
        gone = [each for each in self.remembered.values() if each.path == path]
        return [*now, *gone, *([self.before[path]] if path in self.before else [])]

    def follow(
        self,
        rotated: rotations.Rotated,
        path: str,
        inputs: Sequence[settings.LogInput],
        now: float,
        before: checkpoint.Entry | None = None,
    ) -> bool:
        """Follow a file that a rotation of `path` left, from where its original was read (`before`) if it is a copy."""
        input_ = next((each for each in inputs if files.claims(each, self._folder, path)), None)
        if input_ is None or rotated.key in self.watched:
            return False
        if before is not None:
            self.remembered[rotated.key] = dataclasses.replace(before, key=rotated.key, real=rotated.path, gone_at=0.0)
        watched = self.watched[rotated.key] = self._new(path, rotated.key, input_)
        watched.source.tail.path, watched.real = rotated.path, rotated.path
        watched.source.tail.size = rotated.size
        watched.source.tail.notice(rotated.size)
        watched.present, watched.left_at = False, now
        return True

    def due(self, now: float) -> list[Watched]:
        """Files with something to do, those that waited longest first."""
        return [watched for watched in self.watched.values() if self._is_due(watched, now)]

    def abandon(self, path: str, first_digest: str) -> Watched | None:
        """Read no more of the file at a path that begins so, or that was not looked into yet."""
        for watched in self.watched.values():
            known = watched.entry() if path in watched.paths else None
            if known and (known.first_digest == first_digest or not known.first_length):
                watched.abandoned, watched.wanted = True, False
                return watched
        return None

    def let_go(self, watched: Watched, now: float) -> None:
        """Stop following a file, and remember it."""
        key = watched.source.key
        watched.source.tail.close()
        self.remembered[key] = watched.entry(now if not watched.wanted or not watched.present else 0.0)
        del self.watched[key]

    def finished(self, watched: Watched, now: float) -> bool:
        """Whether a file that left can be let go, after a last step."""
        if watched.present or not watched.ledger.idle:
            return False
        if watched.more or not watched.wanted:
            return not watched.wanted
        quiet = now - max(watched.left_at, watched.source.read_at)
        return quiet >= (LINGER_DELETED if watched.source.tail.links == 0 else LINGER_RENAMED)

    @property
    def opened(self) -> int:
        """How many files are held open."""
        return sum(each.source.tail.opened for each in self.watched.values())

    def unopened(self, most: int) -> list[Watched]:
        """At most so many files that have something unread and are not held open."""
        found = (each for each in self.watched.values() if each.present and each.wanted and not each.source.tail.opened)
        return list(itertools.islice((each for each in found if each.lag_bytes), max(most, 0)))

    def close_some(self, limit: int) -> None:
        """Close the descriptors of files that can be opened again, until few enough are open.

        A deleted file cannot; a renamed one can, as long as its new name is known.
        """
        opened = [watched for watched in self.watched.values() if watched.source.tail.opened]
        kept = (each for each in opened if each.present or each.source.tail.links)
        spare = sorted(kept, key=lambda each: (each.present, each.source.read_at))
        for watched in spare[: max(len(opened) - limit, 0)]:
            if not watched.present:
                watched.source.tail.path = files.named(watched.source.tail.fd) or watched.source.tail.path
            watched.source.tail.close()

    def entries(self, now: float) -> list[checkpoint.Entry]:
        """Everything for the checkpoint. Old memories of files that are gone are forgotten."""
        gone = [entry for entry in self.remembered.values() if entry.gone_at]
        if any(now - entry.gone_at > TOMBSTONE for entry in gone) or len(gone) > TOMBSTONES:
            gone.sort(key=lambda entry: entry.gone_at)
            kept = [entry for entry in gone[-TOMBSTONES:] if now - entry.gone_at <= TOMBSTONE]
            for entry in set(gone) - set(kept):
                del self.remembered[entry.key]
        return [*(watched.entry() for watched in self.watched.values()), *self.remembered.values()]

    def dismiss(self, now: float) -> dict[files.Key, checkpoint.Entry]:
        """Close every file; what is known of them, to begin again from."""
        for watched in self.watched.values():
            watched.source.tail.close()
        return {entry.key: entry for entry in self.entries(now)}

    def statuses(self, now: float) -> Iterator[ports.StreamStatus]:
        """One status for each file."""
        for watched in self.watched.values():
            yield ports.StreamStatus(
                watched.source.path,
                "file",
                watched.lag_bytes,
                watched.lag_seconds(now),
                watched.lines,
                watched.error,
            )

    def _new(self, path: str, key: files.Key, input_: settings.LogInput) -> Watched:
        entry = self.remembered.pop(key, None)
        if entry is not None and entry.gone_at == 0.0:
            path = entry.path  # the name that its lines carry stays
        made = source.Source(path, key, input_, host=self._host, longest=self._config.max_line_bytes, entry=entry)
        if entry is None and self._fresh and input_.start_at == "end":
            made.start_at_end()
        watched = Watched(made, path)
        watched.ledger = made.ledger
        return watched

    def _is_copy(self, file: files.Found, paths: Mapping[str, Watched], now: float) -> bool:
        """Deal with a new file that is a copy of one we read, as copytruncate makes them; whether to leave it for now.

        A finished copy goes on where the original was read, under the original's document ids. One that is still
        being written is left for later.
        """
        folder, name = os.path.split(file.path)
        names = [os.path.join(folder, base) for base in rotations.bases(name)]  # noqa: PTH118 - see files.scan
        originals = [paths[path].source.known() for path in names if path in paths]
        originals += [self.before[path] for path in names if path in self.before]
        rotated = rotations.at(file.path) if originals else None
        alike = [each for each in originals if rotated and rotations.begins_like(rotated, each)]
        for original in alike:
            if rotated and rotations.continues(rotated, original):
                self.remembered[file.key] = dataclasses.replace(original, key=file.key, real=file.path, path=file.path)
                return False
        if not alike or now - self._postponed.setdefault(file.key, now) > PATIENCE:
            self._postponed.pop(file.key, None)
            return False
        return True

    def _update(self, watched: Watched, file: files.Found, now: float) -> None:
        watched.present, watched.wanted = True, not watched.abandoned
        tail = watched.source.tail
        if file.path != tail.path or not watched.real:
            tail.path = file.path
        watched.source.found = file.path
        if watched.seen is None or file.path != watched.real:
            watched.real = os.path.realpath(file.path)
        if file.input is not watched.source.input and file.input != watched.source.input:
            watched.source.use(file.input)
        watched.now = (file.size, file.changed)
        watched.source.tail.notice(file.size)
        committed = watched.ledger.committed[0]
        if file.size > committed and (not watched.waiting or watched.waiting[-1][1] < file.size):
            if len(watched.waiting) == _MARKS:
                kept = list(watched.waiting)[::2]
                watched.waiting.clear()
                watched.waiting.extend(kept)
            watched.waiting.append((now, file.size))

    def _is_due(self, watched: Watched, now: float) -> bool:
        if not watched.wanted:
            return False
        if watched.more or not watched.present or watched.now != watched.seen:
            return True
        made = watched.source
        return made.holding and now - made.read_at >= made.input.multiline.flush_after
