"""Label sets as columns of integer codes: grouping rows, comparing rows, dropping and setting labels.

Everything here works on whole code arrays; strings appear only where a new label value has to be named (`Texts`).
It knows nothing of samples. Codes of the shared pool are positive, codes of one query's own texts are negative.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.metrics import columns
from tidegate.model import labels as labels_

Codes: TypeAlias = npt.NDArray[np.int32]
Ids: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

_HASH = np.int64(-7046029254386353131)


class Texts:
    """The strings behind codes: the store's pool, plus the texts that this one query made up (negative codes).

    A query never adds to the shared pool: other threads write to it, and ad-hoc queries must not make it grow.
    """

    __slots__ = ("_codes", "_own", "pool")

    def __init__(self, pool: columns.StringPool) -> None:
        self.pool = pool
        self._own: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        """The text's code; the query's own codes win, so that a text has one code during a query."""
        own = self._codes.get(text)
        if own is not None:
            return own
        shared = self.pool.codes.get(text)
        if shared is not None:
            return shared
        self._own.append(text)
        code = self._codes[text] = -len(self._own)
        return code

    def text(self, code: int) -> str:
        """The string of a code."""
        return self.pool.texts[code] if code >= 0 else self._own[-code - 1]

    def map(self, codes: Codes, change: Callable[[str], str]) -> Codes:
        """Codes of `change(text)` for each code; `change` runs once for each distinct text."""
        distinct, inverse = np.unique(codes, return_inverse=True)
        mapped = np.array([self.code(change(self.text(code))) for code in distinct.tolist()], np.int32)
        return mapped[inverse] if len(distinct) else codes

    def labels(self, frame: columns.LabelFrame) -> list[labels_.Labels]:
        """The label sets of all rows."""
        names, text = frame.names, self.text
        return [
            tuple((name, text(code)) for name, code in zip(names, row, strict=True) if code)
            for row in frame.codes.tolist()
        ]


def _densify(keys: Ids, bound: int) -> tuple[Ids, int]:
    if bound <= 8 * len(keys) + 65536:
        seen = np.zeros(bound, np.bool_)
        seen[keys] = True
        ids = np.cumsum(seen, dtype=np.int64)
        count = int(ids[-1])
        ids -= 1
        return ids[keys], count
    distinct, inverse = np.unique(keys, return_inverse=True)
    return inverse.astype(np.int64, copy=False), len(distinct)


def group_rows(codes: Codes) -> tuple[Ids, int]:
    """For each row the number of its group of equal rows, and how many groups there are."""
    rows = codes.shape[0]
    ids: Ids = np.zeros(rows, np.int64)
    if rows == 0:
        return ids, 0
    count = 1
    for index in range(codes.shape[1]):
        column = codes[:, index].astype(np.int64)
        low, high = int(column.min()), int(column.max())
        if low == high:
            continue
        column -= low
        keys, distinct = _densify(column, high - low + 1)
        if count == 1:
            ids, count = keys, distinct
        else:
            ids, count = _densify(ids * distinct + keys, count * distinct)
        if count == rows:
            break
    return ids, count


def first_rows(ids: Ids, count: int) -> Ids:
    """The first row of each group."""
    first = np.empty(count, np.int64)
    first[ids[::-1]] = np.arange(len(ids) - 1, -1, -1)
    return first


def has_duplicates(codes: Codes) -> bool:
    """Whether two rows are equal. A hash decides the usual case."""
    rows = codes.shape[0]
    if rows < 2:
        return False
    hashes = np.zeros(rows, np.int64)
    for index in range(codes.shape[1]):
        hashes *= _HASH
        hashes += codes[:, index]
        hashes ^= hashes >> 29
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any()) and group_rows(codes)[1] < rows


def column(frame: columns.LabelFrame, name: str) -> Codes:
    """One label's codes; zeros where no series has it."""
    if name in frame.names:
        result: Codes = frame.codes[:, frame.names.index(name)]
        return result
    return np.zeros(len(frame), np.int32)


def project(frame: columns.LabelFrame, names: Sequence[str]) -> Codes:
    """[rows, names] codes of these labels, missing ones as zeros."""
    return np.stack([column(frame, name) for name in names], axis=1) if names else np.zeros((len(frame), 0), np.int32)


def keep(frame: columns.LabelFrame, names: Collection[str]) -> columns.LabelFrame:
    """The frame with only these labels."""
    return _select(frame, [index for index, name in enumerate(frame.names) if name in names])


def drop(frame: columns.LabelFrame, names: Collection[str]) -> columns.LabelFrame:
    """The frame without these labels."""
    if not any(name in names for name in frame.names):
        return frame
    return _select(frame, [index for index, name in enumerate(frame.names) if name not in names])


def _select(frame: columns.LabelFrame, chosen: list[int]) -> columns.LabelFrame:
    names = tuple(frame.names[index] for index in chosen)
    if chosen and chosen[-1] - chosen[0] == len(chosen) - 1:
        return columns.LabelFrame(frame.pool, names, frame.codes[:, chosen[0] : chosen[-1] + 1])
    return columns.LabelFrame(frame.pool, names, frame.codes[:, chosen])


def put(frame: columns.LabelFrame, name: str, codes: Codes) -> columns.LabelFrame:
    """The frame with one label set in all rows (code 0 removes it)."""
    names = tuple(sorted({*frame.names, name}))
    result = project(frame, names)
    result[:, names.index(name)] = codes
    return columns.LabelFrame(frame.pool, names, result)


def take(frame: columns.LabelFrame, rows: Ids) -> columns.LabelFrame:
    """Some rows, in this order."""
    return columns.LabelFrame(frame.pool, frame.names, frame.codes[rows])


def stack(frames: Sequence[columns.LabelFrame]) -> columns.LabelFrame:
    """All rows of several frames of one pool."""
    names = tuple(sorted({name for frame in frames for name in frame.names}))
    return columns.LabelFrame(frames[0].pool, names, np.concatenate([project(frame, names) for frame in frames]))


def empty(pool: columns.StringPool, rows: int = 0) -> columns.LabelFrame:
    """Rows without any label."""
    return columns.LabelFrame(pool, (), np.zeros((rows, 0), np.int32))
