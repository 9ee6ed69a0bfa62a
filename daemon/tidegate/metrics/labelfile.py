"""The label file of one table: which series each column belongs to, as they came and went.

Lines of JSON, each behind its checksum. The first says whose table it is; a further one gives columns to series that have
the same label names, or takes columns back. A line stands for a whole batch and writes each text once, so that a hundred
thousand series are read back as a few arrays. A torn last line is a batch whose first row was never written: it is cut off.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import pathlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from tidegate.metrics import columns as columns_
from tidegate.metrics import ring
from tidegate.model import labels as labels_

T = TypeVar("T")
VERSION = 2
_CHECK = 9
"""Characters in front of a line: eight hexadecimal digits and a space."""
Owned = tuple[int, labels_.Labels]
"""A column and its series."""


@dataclasses.dataclass(frozen=True, slots=True)
class Came:
    """Columns that were given to series with the same label names."""

    columns: npt.NDArray[np.int64]
    names: tuple[str, ...]
    codes: npt.NDArray[np.int32]
    """[columns, names] codes of the values in the string pool."""

    def keys(self, pool: columns_.StringPool) -> list[bytes]:
        """For each series what `key` makes of its label set."""
        pairs = np.empty((self.columns.size, 2 * len(self.names)), np.int32)
        pairs[:, 0::2] = [pool.code(name) for name in self.names]
        pairs[:, 1::2] = self.codes
        raw, width = pairs.tobytes(), 8 * len(self.names)
        return [raw[start : start + width] for start in range(0, len(raw), width)] if width else [b""]


@dataclasses.dataclass(frozen=True, slots=True)
class Went:
    """Columns that were given back."""

    columns: npt.NDArray[np.int64]


class LabelFile:
    """One file, open for writing by one process."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._pending: list[bytes] = []
        self._came: list[Owned] = []
        self._whole: int | None = None
        """Bytes that are good, after a write that failed half way."""

    @staticmethod
    def create(path: pathlib.Path, key: str, interval: float, owned: Iterable[Owned] = ()) -> None:
        """Write a new file."""
        path.write_bytes(b"".join((_head(key, interval), *_batches(owned))))

    def came(self, column: int, labels: labels_.Labels) -> None:
        """A column belongs to a series from now on."""
        self._came.append((column, labels))

    def went(self, columns: Sequence[int]) -> None:
        """Columns belong to nobody any more."""
        self._settle()
        self._pending.append(_line({"free": list(columns)}))

    def write(self) -> None:
        """Write what is pending. Raises `OSError`; then it is pending still."""
        self._settle()
        if not self._pending:
            return
        with self.path.open("r+b") as file:
            self._whole = file.seek(0, 2) if self._whole is None else self._whole
            file.truncate(self._whole)
            file.seek(self._whole)
            file.write(b"".join(self._pending))
        self._whole = None
        self._pending.clear()

    def rewrite(self, key: str, interval: float, owned: Iterable[Owned]) -> None:
        """Replace the file by one that speaks of the living only. Raises `OSError`, with the old one as it was."""
        fresh = self.path.with_suffix(".new")
        self.create(fresh, key, interval, owned)
        fresh.replace(self.path)

    def read(self, pool: columns_.StringPool) -> tuple[str, float, Iterator[Came | Went]]:
        """Whose table it is, its interval, and what happened, in order. Raises `ring.TornError` or `OSError`."""
        lines = self._lines()
        if not lines:
            raise ring.TornError("the labels are empty")
        key, interval = _read(lines[0], _owner)
        return key, interval, (_read(line, lambda entry: _event(entry, pool)) for line in lines[1:])

    def _lines(self) -> list[bytes]:
        lines = self.path.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            torn = lines.pop()
            with self.path.open("r+b") as file:
                file.truncate(self.path.stat().st_size - len(torn))
        return lines

    def _settle(self) -> None:
        if self._came:
            self._pending += _batches(self._came)
            self._came = []


def _event(entry: dict[str, Any], pool: columns_.StringPool) -> Came | Went:
    if "free" in entry:
        return Went(np.array(entry["free"], np.int64))
    texts = np.array([pool.code(text) for text in entry["texts"]], np.int32)
    given, names = np.array(entry["columns"], np.int64), tuple(entry["names"])
    values = np.array(entry["values"], np.int64).reshape(given.size, len(names))
    return Came(given, names, texts[values])


def _owner(head: dict[str, Any]) -> tuple[str, float]:
    if head["version"] != VERSION:
        raise ValueError(f"version {head['version']}, and this program reads {VERSION}")
    return str(head["key"]), float(head["interval"])


def _read(line: bytes, work: Callable[[dict[str, Any]], T]) -> T:
    """What a line says. Raises `ring.TornError`."""
    try:
        text = line[_CHECK:].rstrip(b"\n")
        if int(line[: _CHECK - 1], 16) != zlib.crc32(text):
            raise ValueError("a line does not have its checksum")
        return work(orjson.loads(text))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ring.TornError(f"the labels are damaged: {error}") from None


def _batches(owned: Iterable[Owned]) -> list[bytes]:
    """A line for each set of label names."""
    groups: dict[tuple[str, ...], list[Owned]] = collections.defaultdict(list)
    for one in owned:
        groups[tuple(name for name, _ in one[1])].append(one)
    return [_batch(names, group) for names, group in groups.items()]


def _batch(names: tuple[str, ...], owned: Sequence[Owned]) -> bytes:
    numbers: dict[str, int] = {}
    counted = itertools.count()
    values = [
        numbers[text] if text in numbers else numbers.setdefault(text, next(counted))
        for _, labels in owned
        for _, text in labels
    ]
    columns = [column for column, _ in owned]
    return _line({"names": names, "columns": columns, "texts": list(numbers), "values": values})


def _head(key: str, interval: float) -> bytes:
    return _line({"version": VERSION, "key": key, "interval": interval})


def _line(entry: object) -> bytes:
    text = orjson.dumps(entry)
    return b"%08x %b\n" % (zlib.crc32(text), text)
