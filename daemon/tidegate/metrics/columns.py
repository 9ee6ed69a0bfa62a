"""What the sample store hands to the PromQL engine: label codes and blocks of samples, as arrays.

A block holds the samples of some series of one table (one target, one rule group): they share their timestamps, so a
window is a slice of rows, computed once for all its series. Nothing here stores or evaluates.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tidegate.model import alerts, series
from tidegate.model import labels as labels_

LEAVING, GONE, FORGOTTEN = 5, 10, 100
"""Sweeps after which an unused text is not found any more, and its code stands for another; what counting ends at."""


class StringPool:
    """Every label name and value once, as a small integer. Code 0 is the empty string: "no such label".

    Texts that no series has any more are given up in two steps: first nobody finds them, and later their codes stand for
    other texts. Who looked codes up before the first step has the time between the two; `generation` tells of it.
    """

    __slots__ = ("_free", "_idle", "_lock", "codes", "generation", "texts")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.texts: list[str] = [""]
        self.codes: dict[str, int] = {"": 0}
        self.generation = 0
        """Changes when texts were given up: a text may have another code since."""
        self._idle = np.zeros(0, np.uint8)
        """For how many sweeps nothing had the text."""
        self._free: list[int] = []

    def code(self, text: str) -> int:
        """The text's code, made when new. Queries in threads make some too."""
        code = self.codes.get(text)
        return self._new(text) if code is None else code

    def sweep(self, used: npt.NDArray[np.bool_]) -> bool:
        """Give up texts whose codes were not `used` for some sweeps; whether codes may stand for other texts now."""
        with self._lock:
            size = len(self.texts)
            idle, there = np.zeros(size, np.uint8), np.zeros(size, np.bool_)
            idle[: self._idle.size] = self._idle
            there[: used.size] = used[:size]
            self._idle = idle = np.where(there, 0, np.minimum(idle + 1, FORGOTTEN)).astype(np.uint8)
            idle[0] = 0
            idle[self._free] = FORGOTTEN
            leaving, gone = np.flatnonzero(idle == LEAVING), np.flatnonzero(idle == GONE)
            for code in leaving.tolist():
                del self.codes[self.texts[code]]
            for code in gone.tolist():
                self.texts[code] = ""
            self._free += gone.tolist()
            self.generation += bool(leaving.size)
            return bool(gone.size)

    def _new(self, text: str) -> int:
        with self._lock:
            code = self.codes.get(text)
            if code is None:
                code = self._place(text)
                self.codes[text] = code  # last: whoever finds the code finds its text
            return code

    def _place(self, text: str) -> int:
        if not self._free:
            self.texts.append(text)
            return len(self.texts) - 1
        code = self._free.pop()
        self.texts[code], self._idle[code] = text, 0
        return code


@dataclasses.dataclass(frozen=True, slots=True)
class LabelFrame:
    """The label sets of some series: `codes[i, j]` is the pool code of series i's value of label `names[j]`."""

    pool: StringPool
    names: tuple[str, ...]
    """Sorted; `__name__` among them where the series have names."""
    codes: npt.NDArray[np.int32]
    """[series, names]; 0 where a series lacks the label."""

    def __len__(self) -> int:
        return int(self.codes.shape[0])

    def labels(self, row: int) -> labels_.Labels:
        """One series' label set."""
        texts = self.pool.texts
        return tuple(
            (name, texts[code]) for name, code in zip(self.names, self.codes[row].tolist(), strict=True) if code
        )


def frame(pool: StringPool, sets: Sequence[labels_.Labels]) -> LabelFrame:
    """A frame from label sets."""
    names = tuple(sorted({name for labels in sets for name, _ in labels}))
    column = {name: index for index, name in enumerate(names)}
    codes = np.zeros((len(sets), len(names)), np.int32)
    for row, labels in enumerate(sets):
        for name, value in labels:
            codes[row, column[name]] = pool.code(value)
    return LabelFrame(pool, names, codes)


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Samples of some series with common timestamps. Read-only."""

    times: series.Times
    """[slots], ascending, milliseconds."""
    values: series.Values
    """[slots, series]; cells may hold the STALE and ABSENT bit patterns of `model.series`."""
    gaps: bool
    """Whether any cell is STALE or ABSENT; without gaps, window functions need no masks."""


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """The answer of a selector: label sets of all series, and their samples block after block in the same order."""

    labels: LabelFrame
    blocks: tuple[Block, ...]
    intact: Callable[[], bool] = lambda: True
    """Whether the arrays still hold what they held: they may be views of rows that are overwritten in time."""

    def copied(self) -> Selection:
        """The same in arrays of its own; as good as this one is intact afterwards."""
        blocks = tuple(
            dataclasses.replace(one, times=one.times.copy(), values=one.values.copy()) for one in self.blocks
        )
        return Selection(self.labels, blocks)


class TooManyError(Exception):
    """A selection has more samples than whoever asked can take."""

    def __init__(self, samples: int) -> None:
        self.samples = samples
        super().__init__(f"{samples} samples")


class SeriesReader(Protocol):
    """What the PromQL engine needs of a store."""

    @property
    def pool(self) -> StringPool:
        """The string pool of everything it selects."""

    def select(
        self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int, most: int | None = None
    ) -> Selection:
        """Series that match all matchers and have a sample or marker in (start_ms, end_ms], with those samples.

        Matchers on `__name__` are ordinary matchers. Called from any thread. May raise `TooManyError` before it
        copies more than `most` samples.
        """
