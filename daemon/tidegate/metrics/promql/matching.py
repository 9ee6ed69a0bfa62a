"""Operators between two vectors: which series belong together, what the result is called, and the set operators.

Both sides' labels are codes of one pool, so a match group is an integer: the group number of the rows' matching labels.
Errors and their texts are Prometheus' (promql/engine.go, `VectorBinop`).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tidegate.metrics import columns
from tidegate.metrics.promql import frames, tree
from tidegate.metrics.promql.operators import ARITHMETIC, COMPARISON
from tidegate.metrics.promql.values import METADATA, Context, Flags, Floats, Vec, VectorNode, fail, merge
from tidegate.model import labels as labels_


def match_groups(
    matching: tree.Matching, left: columns.LabelFrame, right: columns.LabelFrame
) -> tuple[frames.Ids, frames.Ids, int]:
    """The match group of each series of both sides, and how many groups there are."""
    names: tuple[str, ...] = matching.labels
    if not matching.on:
        ignored = {labels_.NAME, *matching.labels}
        names = tuple(sorted({*left.names, *right.names} - ignored))
    ids, count = frames.group_rows(np.concatenate([frames.project(left, names), frames.project(right, names)]))
    return ids[: len(left)], ids[len(left) :], count


def _any_of_group(present: Flags, ids: frames.Ids, count: int) -> Flags:
    """[steps, groups]: whether any series of the group is present."""
    found = np.zeros((present.shape[0], count), np.bool_)
    if not len(ids):
        return found
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    found[:, ordered[starts]] = np.logical_or.reduceat(present[:, order], starts, axis=1)
    return found


class SetOperator(VectorNode):
    """`and`, `or`, `unless`."""

    def __init__(self, op: str, left: VectorNode, right: VectorNode, matching: tree.Matching) -> None:
        self.op = op
        self.left = left
        self.right = right
        self.matching = matching
        self.children = (left, right)

    def vector(self, ctx: Context) -> Vec:
        left, right = self.left.vector(ctx), self.right.vector(ctx)
        left_ids, right_ids, count = match_groups(self.matching, left.labels, right.labels)
        if self.op == "or":
            there = _any_of_group(left.mask(), left_ids, count)[:, right_ids]
            return _union(left, dataclasses.replace(right, present=right.mask() & ~there))
        there = _any_of_group(right.mask(), right_ids, count)[:, left_ids]
        return dataclasses.replace(left, present=left.mask() & (there if self.op == "and" else ~there))


def _union(left: Vec, right: Vec) -> Vec:
    kept = np.flatnonzero(right.mask().any(axis=0))
    if not len(kept):
        return left
    right = right.take(kept)
    drop = None
    if left.drop is not None or right.drop is not None:
        drop = np.concatenate([_drops(left), _drops(right)])
    return merge(
        Vec(
            frames.stack([left.labels, right.labels]),
            np.concatenate([left.values, right.values], axis=1),
            np.concatenate([left.mask(), right.mask()], axis=1),
            drop,
        )
    )


def _drops(vec: Vec) -> Flags:
    return np.zeros(len(vec), np.bool_) if vec.drop is None else vec.drop


def _crowded(present: Flags, keys: frames.Ids) -> Flags:
    """[steps]: whether two series with the same key are present."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    if len(keys) < 2 or bool(fresh.all()):
        return np.zeros(len(present), np.bool_)
    sizes = np.add.reduceat(present[:, order].astype(np.int64), np.flatnonzero(fresh), axis=1)
    crowded: Flags = np.logical_or.reduce(sizes > 1, axis=1)
    return crowded


@dataclasses.dataclass(frozen=True, slots=True)
class _Pairs:
    """Which series of the many side meets which one of the one side."""

    many: frames.Ids
    one: frames.Ids
    group: frames.Ids


def _join(many_ids: frames.Ids, one_ids: frames.Ids, count: int) -> _Pairs:
    sizes = np.bincount(one_ids, minlength=count)
    order = np.argsort(one_ids, kind="stable")
    starts = np.cumsum(sizes) - sizes
    matches = sizes[many_ids]
    many = np.repeat(np.arange(len(many_ids)), matches)
    nth = np.arange(len(many)) - np.repeat(np.cumsum(matches) - matches, matches)
    return _Pairs(many, order[starts[many_ids[many]] + nth], many_ids[many])


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """Some pairs of the result: both sides' values, where both are there, and their match groups."""

    labels: columns.LabelFrame
    many: Floats
    one: Floats
    present: Flags
    group: frames.Ids
    drop: Flags | None


class VectorVector(VectorNode):
    """Arithmetic and comparison of two vectors."""

    def __init__(self, op: str, left: VectorNode, right: VectorNode, matching: tree.Matching, *, as_bool: bool) -> None:
        self.op = op
        self.left = left
        self.right = right
        self.matching = matching
        self.as_bool = as_bool
        self.children = (left, right)

    def vector(self, ctx: Context) -> Vec:
        left, right = self.left.vector(ctx), self.right.vector(ctx)
        if self._hopeless(left, right):
            return ctx.nothing()
        many, one = (right, left) if self._swapped else (left, right)
        many_ids, one_ids, count = match_groups(self.matching, many.labels, one.labels)
        self._check_one_side(ctx, many, one, one_ids, count)
        parts = self._parts(ctx, many, one, many_ids, one_ids, count)
        present = np.concatenate([part.present for part in parts], axis=1)
        labels = frames.stack([part.labels for part in parts]) if len(parts) > 1 else parts[0].labels
        self._check_many_side(labels, np.concatenate([part.group for part in parts]), present, count)
        a = np.concatenate([part.many for part in parts], axis=1)
        b = np.concatenate([part.one for part in parts], axis=1)
        drops = [part.drop for part in parts]
        kept = None if any(drop is None for drop in drops) else np.concatenate([d for d in drops if d is not None])
        return self._result(ctx, labels, a, b, present, kept)

    @property
    def _swapped(self) -> bool:
        return self.matching.card == "one-to-many"

    def _hopeless(self, left: Vec, right: Vec) -> bool:
        """Nothing can match, and nothing is filled in."""
        fills = self.matching.fill_left is not None or self.matching.fill_right is not None
        return not len(left) + len(right) if fills else not (len(left) and len(right))

    def _parts(
        self, ctx: Context, many: Vec, one: Vec, many_ids: frames.Ids, one_ids: frames.Ids, count: int
    ) -> list[_Part]:
        """What matches, and where a side is filled in, what has no match."""
        # Prometheus looks at them from the many side, also with group_right.
        fill_many, fill_one = self.matching.fill_left, self.matching.fill_right
        parts = [self._matched(ctx, many, one, many_ids, one_ids, count)]
        if fill_one is not None and len(many):
            lonely = many.mask() & ~_any_of_group(one.mask(), one_ids, count)[:, many_ids]
            labels = self._labels(ctx, many.labels, self._match_labels(many.labels))
            filled = np.full(many.values.shape, fill_one)
            parts.append(_Part(labels, many.values, filled, lonely, many_ids, many.drop))
        if fill_many is not None and len(one):
            lonely = one.mask() & ~_any_of_group(many.mask(), many_ids, count)[:, one_ids]
            labels = self._labels(ctx, self._match_labels(one.labels), one.labels)
            filled = np.full(one.values.shape, fill_many)
            parts.append(_Part(labels, filled, one.values, lonely, one_ids, np.zeros(len(one), np.bool_)))
        return parts

    def _matched(
        self, ctx: Context, many: Vec, one: Vec, many_ids: frames.Ids, one_ids: frames.Ids, count: int
    ) -> _Part:
        pairs = _join(many_ids, one_ids, count)
        ctx.budget.hold(ctx.steps * len(pairs.many))
        present = many.mask()[:, pairs.many] & one.mask()[:, pairs.one]
        labels = self._labels(ctx, frames.take(many.labels, pairs.many), frames.take(one.labels, pairs.one))
        drop = None if many.drop is None else many.drop[pairs.many]
        return _Part(labels, many.values[:, pairs.many], one.values[:, pairs.one], present, pairs.group, drop)

    def _match_labels(self, frame: columns.LabelFrame) -> columns.LabelFrame:
        """Only the labels that decide which series belong together."""
        names = self.matching.labels
        return frames.keep(frame, names) if self.matching.on else frames.drop(frame, (labels_.NAME, *names))

    def _result(
        self, ctx: Context, labels: columns.LabelFrame, many: Floats, one: Floats, present: Flags, kept: Flags | None
    ) -> Vec:
        a, b = (one, many) if self._swapped else (many, one)
        drop = None
        if self.op in ARITHMETIC:
            values = ARITHMETIC[self.op](a, b)
        else:
            holds = COMPARISON[self.op](a, b)
            values = holds.astype(np.float64) if self.as_bool else a
            present = present if self.as_bool else present & holds
            drop = kept
            if self.as_bool:
                drop = np.ones(len(labels), np.bool_) if ctx.delayed else None
        return merge(Vec(labels, values, None if bool(present.all()) else present, drop))

    def _labels(self, ctx: Context, frame: columns.LabelFrame, one: columns.LabelFrame) -> columns.LabelFrame:
        """What the result is called; `frame` is the many side's labels, row by row beside `one`."""
        if self.op in ARITHMETIC or (self.as_bool and not ctx.delayed):
            frame = frames.drop(frame, METADATA)
        if self.matching.card == "one-to-one":
            frame = (frames.keep if self.matching.on else frames.drop)(frame, self.matching.labels)
        for name in self.matching.include:
            frame = frames.put(frame, name, frames.column(one, name))
        return frame

    def _check_one_side(self, ctx: Context, many: Vec, one: Vec, ids: frames.Ids, count: int) -> None:
        """The one side must have at most one series of each group at each step."""
        if not len(one) or int(np.bincount(ids, minlength=count).max()) < 2:
            return
        seen = one.mask() & np.logical_or.reduce(many.mask(), axis=1, keepdims=True)
        for step in np.flatnonzero(_crowded(seen, ids)).tolist():
            shown = np.flatnonzero(seen[step])
            shown = shown[np.argsort(ids[shown], kind="stable")]
            clash = np.flatnonzero(ids[shown[1:]] == ids[shown[:-1]])
            raise self._duplicate(ctx, one, int(shown[clash[0]]), int(shown[clash[0] + 1]))

    def _duplicate(self, ctx: Context, one: Vec, first: int, second: int) -> Exception:
        names = self.matching.labels
        frame = one.labels
        matched = frames.keep(frame, names) if self.matching.on else frames.drop(frame, (labels_.NAME, *names))
        rows = np.array([first, second])
        group = labels_.text(ctx.texts.labels(frames.take(matched, rows))[0])
        pair = ", ".join(sorted(labels_.text(each) for each in ctx.texts.labels(frames.take(frame, rows))))
        side = "left" if self.matching.card == "one-to-many" else "right"
        return fail(
            f"found duplicate series for the match group {group} on the {side} hand-side of the operation: [{pair}]"
            ";many-to-many matching not allowed: matching labels must be unique on one side"
        )

    def _check_many_side(self, labels: columns.LabelFrame, groups: frames.Ids, present: Flags, count: int) -> None:
        """One-to-one: one pair for each group and step. Otherwise no two equal label sets within a group."""
        keys = groups
        message = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        if self.matching.card != "one-to-one":
            keys = frames.group_rows(labels.codes)[0] * count + groups
            message = "multiple matches for labels: grouping labels must ensure unique matches"
        if bool(_crowded(present, keys).any()):
            raise fail(message)
