"""What Prometheus has behind flags: the query's own times as numbers, `limitk`, `limit_ratio`, `sort_by_label`.

Semantics are those of Prometheus 3 with its feature flags on; `limit_ratio` keeps the series that Prometheus keeps.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Literal

import numpy as np

from tidegate.kit import xxhash
from tidegate.metrics.promql import gotext
from tidegate.metrics.promql.aggregate import Grouping, extremes, group
from tidegate.metrics.promql.ranking import sizes
from tidegate.metrics.promql.values import Context, Floats, ScalarNode, Vec, VectorNode, fail
from tidegate.model import labels as labels_

_PIECES = re.compile(r"\d+|\D+")


class QueryTime(ScalarNode):
    """`start()`, `end()`, `range()` and `step()`: seconds, the same at every step."""

    def __init__(self, which: Literal["start", "end", "range", "step"]) -> None:
        self.which = which

    def scalar(self, ctx: Context) -> Floats:
        values = {
            "start": ctx.query_start,
            "end": ctx.query_end,
            "range": ctx.query_end - ctx.query_start,
            "step": ctx.query_step,
        }
        return np.full(ctx.steps, values[self.which] / 1000.0)


class Extreme(ScalarNode):
    """`min_of` and `max_of`."""

    def __init__(self, choose: Callable[[Floats, Floats], Floats], left: ScalarNode, right: ScalarNode) -> None:
        self.choose = choose
        self.children = (left, right)
        self.left, self.right = left, right

    def scalar(self, ctx: Context) -> Floats:
        return self.choose(self.left.scalar(ctx), self.right.scalar(ctx))


class LimitK(VectorNode):
    """`limitk(k, x)`: of each group the first k series that are there."""

    def __init__(self, k: ScalarNode, operand: VectorNode, grouping: Grouping) -> None:
        self.k, self.operand, self.grouping = k, operand, grouping
        self.children = (k, operand)

    def vector(self, ctx: Context) -> Vec:
        k, vec = sizes(self.k, ctx), self.operand.vector(ctx)
        if k is None or not len(vec):
            return ctx.nothing()
        groups = group(vec.labels, self.grouping)
        present = vec.mask()
        ordered = present[:, groups.order]
        seen = np.cumsum(ordered, axis=1)
        before = np.concatenate([np.zeros((ctx.steps, 1), seen.dtype), seen], axis=1)[:, groups.starts]
        rank = seen - 1 - before[:, groups.ids[groups.order]]
        chosen = np.zeros_like(present)
        chosen[:, groups.order] = ordered & (rank < k[:, None])
        return Vec(vec.labels, vec.values, chosen, vec.drop)


class LimitRatio(VectorNode):
    """`limit_ratio(r, x)`: a share of the series, chosen by a hash of their labels."""

    def __init__(self, ratio: ScalarNode, operand: VectorNode) -> None:
        self.ratio, self.operand = ratio, operand
        self.children = (ratio, operand)

    def vector(self, ctx: Context) -> Vec:
        ratio, vec = self._ratios(ctx), self.operand.vector(ctx)
        if ratio is None or not len(vec):
            return ctx.nothing()
        at = np.array([_place(of) for of in ctx.texts.labels(vec.labels)])
        wanted = ratio[:, None]
        chosen = np.where(wanted >= 0, at < wanted, at >= 1.0 + wanted)
        return Vec(vec.labels, vec.values, vec.mask() & chosen, vec.drop)

    def _ratios(self, ctx: Context) -> Floats | None:
        ratio = self.ratio.scalar(ctx)
        if not np.isnan(ratio).any() and not ratio.any():
            return None
        if np.isnan(ratio).any():
            raise fail("Ratio value is NaN")
        for value in np.unique(extremes(ratio)).tolist():
            if abs(value) <= 1:
                continue
            bound = 1 if value > 0 else -1
            ctx.notes.warn(f"ratio value should be between -1 and 1, got {gotext.shortest(value)}, capping to {bound}")
        return np.clip(ratio, -1.0, 1.0)


@functools.lru_cache(maxsize=65536)
def _place(of: labels_.Labels) -> float:
    """Where a label set lies between 0 and 1: Prometheus' hash of its labels, so that both choose the same series."""
    texts = (text.encode() for pair in of for text in pair)
    return xxhash.xxh64(b"".join(_sized(text) for text in texts)) / 2**64


def _sized(text: bytes) -> bytes:
    size = len(text)
    return (bytes((size,)) if size < 255 else b"\xff" + size.to_bytes(3, "little")) + text


class SortByLabel(VectorNode):
    """`sort_by_label` and `sort_by_label_desc`: in natural order (`10` after `9`); range queries are not sorted."""

    def __init__(self, operand: VectorNode, names: tuple[str, ...], *, descending: bool) -> None:
        self.operand, self.names, self.descending = operand, names, descending
        self.children = (operand,)

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        if not ctx.single or ctx.steps != 1:
            if not ctx.still:
                ctx.notes.warn("sort is ineffective for range queries since results are always ordered by labels")
            return vec
        sets = ctx.texts.labels(vec.labels)
        order = sorted(range(len(vec)), key=lambda row: self._key(sets[row]), reverse=self.descending)
        return vec.take(np.array(order, np.int64))

    def _key(self, of: labels_.Labels) -> tuple[object, ...]:
        return (*(natural(labels_.get(of, name)) for name in self.names), of)


@functools.lru_cache(maxsize=4096)
def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that orders numbers inside texts by their size."""
    return tuple((0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in _PIECES.findall(text))
