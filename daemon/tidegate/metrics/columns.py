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


class StringPool:
    """Every label name and value once, as a small integer. Code 0 is the empty string: "no such label"."""

    __slots__ = ("_lock", "codes", "texts")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.texts: list[str] = [""]
        self.codes: dict[str, int] = {"": 0}

    def code(self, text: str) -> int:
        """The text's code, made when new. Queries in threads make some too."""
        code = self.codes.get(text)
        return self._new(text) if code is None else code

    def _new(self, text: str) -> int:
        with self._lock:
            code = self.codes.get(text)
            if code is None:
                code = len(self.texts)
                self.texts.append(text)
                self.codes[text] = code  # last: whoever finds the code finds its text
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
