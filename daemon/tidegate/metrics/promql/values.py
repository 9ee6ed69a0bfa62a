"""What evaluators hand to each other: vectors over all steps at once, and the context of one evaluation.

An instant vector over S steps is a `Vec`: label codes, values [steps, series], and a mask of the cells that exist.
Scalars are plain float arrays [steps]. Nothing here knows an operator or a function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.metrics import columns
from tidegate.metrics.promql import frames, limits, notes
from tidegate.model import labels as labels_
from tidegate.model import problems

if TYPE_CHECKING:
    from tidegate.metrics.promql import panels

Floats: TypeAlias = npt.NDArray[np.float64]
Times: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

METADATA = (labels_.NAME, "__type__", "__unit__")
"""The labels that go when a result is no longer the metric: Prometheus' `schema.IsMetadataLabel`."""
SAME_LABELS = "vector cannot contain metrics with the same labelset"


def fail(message: str, *, kind: str = "execution") -> problems.QueryError:
    """The error of an evaluation that cannot go on."""
    return problems.QueryError(message, kind=kind)


@dataclasses.dataclass(frozen=True, slots=True)
class Vec:
    """An instant vector at every step. Label sets are unique among the series that are present at one step."""

    labels: columns.LabelFrame
    values: Floats
    """[steps, series]; cells that are not present hold anything."""
    present: Flags | None = None
    """[steps, series]; None means that every cell is."""
    drop: Flags | None = None
    """[series]: series whose name is to be dropped at the end of the query (delayed name removal)."""

    def __len__(self) -> int:
        return len(self.labels)

    def mask(self) -> Flags:
        """The presence of every cell."""
        return np.ones(self.values.shape, np.bool_) if self.present is None else self.present

    def take(self, series: frames.Ids) -> Vec:
        """Some series, in this order."""
        return Vec(
            frames.take(self.labels, series),
            self.values.take(series, axis=1),
            None if self.present is None else self.present.take(series, axis=1),
            None if self.drop is None else self.drop[series],
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """One evaluation: at which steps, over what data, under which options."""

    reader: columns.SeriesReader
    texts: frames.Texts
    times: Times
    """[steps], milliseconds."""
    query_start: int
    query_end: int
    """What `start()` and `end()` of the `@` modifier stand for."""
    query_step: int
    """Milliseconds between the query's steps; 0 where it starts and ends at the same time."""
    lookback: int
    subquery_step: int
    delayed: bool
    """Whether names are dropped at the end of the query instead of at once."""
    single: bool
    """Whether the query is an instant one: its result keeps the order of `sort` and `topk`."""
    still: bool
    """Whether it starts and ends at the same time, so that ordering is no mistake."""
    budget: limits.Budget
    notes: notes.Notes
    sources: dict[int, panels.Source]
    """What each selector selected, by the selector's identity; filled by `Node.plan` before anything is evaluated."""
    generation: int = 0
    """Of the string pool, when the evaluation began."""
    copying: bool = False
    """Whether samples are copied before they are used: they were overwritten while an earlier try used them."""
    guards: list[Callable[[], bool]] = dataclasses.field(default_factory=list)
    """Each says whether what a selector selected is still what it was."""

    @property
    def steps(self) -> int:
        """How many steps."""
        return len(self.times)

    def at(self, times: Times) -> Context:
        """Some steps of the same evaluation."""
        return dataclasses.replace(self, times=times)

    def once(self) -> Context:
        """For what is the same at all steps: only the first."""
        return dataclasses.replace(self, times=self.times[:1], still=True)

    def inner(self, grid: Times, end: int) -> Context:
        """For a subquery: its own steps, and when it ends (milliseconds)."""
        return dataclasses.replace(self, times=grid, single=False, still=int(grid[0]) == end)

    def nothing(self) -> Vec:
        """The empty vector."""
        return Vec(frames.empty(self.reader.pool), np.zeros((self.steps, 0)))


def unnamed(ctx: Context, vec: Vec) -> Vec:
    """Without the metric name: marked when removal is delayed, else removed and checked for label sets that now clash."""
    if ctx.delayed:
        return dataclasses.replace(vec, drop=np.ones(len(vec), np.bool_))
    return nameless(vec)


def nameless(vec: Vec) -> Vec:
    """Remove the name now. Removing labels that all series share cannot make two of them equal."""
    if not any(name in vec.labels.names for name in METADATA):
        return vec
    without = dataclasses.replace(vec, labels=frames.drop(vec.labels, METADATA))
    gone = frames.project(vec.labels, METADATA)
    if len(gone) < 2 or bool((gone == gone[0]).all()):
        return without
    return merge(without)


def finish(vec: Vec) -> Vec:
    """The end of a query under delayed name removal."""
    if vec.drop is None or not bool(vec.drop.any()):
        return vec
    plain = dataclasses.replace(vec, drop=None)
    return (
        nameless(plain)
        if bool(vec.drop.all())
        else merge(dataclasses.replace(plain, labels=cleared(vec.labels, vec.drop)))
    )


def cleared(labels: columns.LabelFrame, drop: Flags) -> columns.LabelFrame:
    """The labels, without the metadata in the rows of `drop`."""
    for name in METADATA:
        if name in labels.names:
            labels = frames.put(labels, name, np.where(drop, np.int32(0), frames.column(labels, name)))
    return labels


def merge(vec: Vec) -> Vec:
    """Make one series of those with equal labels. Raises when two of them are present at the same step."""
    if not frames.has_duplicates(vec.labels.codes):
        return vec
    ids, count = frames.group_rows(vec.labels.codes)
    present = vec.mask()
    order = np.argsort(ids, kind="stable")
    starts = np.searchsorted(ids[order], np.arange(count))
    sizes = np.add.reduceat(present[:, order].astype(np.int64), starts, axis=1)
    if bool((sizes > 1).any()):
        raise fail(SAME_LABELS)
    values = np.zeros((vec.values.shape[0], count))
    step, series = np.nonzero(present)
    values[step, ids[series]] = vec.values[step, series]
    first = frames.first_rows(ids, count)
    ranked = np.argsort(first)
    return Vec(
        frames.take(vec.labels, first[ranked]),
        values[:, ranked],
        (sizes > 0)[:, ranked],
        None if vec.drop is None else vec.drop[first[ranked]],
    )


class Node:
    """One evaluator of the compiled tree."""

    children: Sequence[Node] = ()

    def plan(self, ctx: Context, first: int, last: int) -> None:
        """Select all data that evaluations at steps in [first, last] (milliseconds) will need."""
        for child in self.children:
            child.plan(ctx, first, last)


class VectorNode(Node):
    """Gives an instant vector."""

    def vector(self, ctx: Context) -> Vec:
        """Evaluate at all steps of the context."""
        raise NotImplementedError


class ScalarNode(Node):
    """Gives a number for each step."""

    def scalar(self, ctx: Context) -> Floats:
        """Evaluate at all steps: [steps]."""
        raise NotImplementedError


class RangeNode(Node):
    """Gives, for each step, a window of samples of each series."""

    span: int
    """The window's length in milliseconds."""

    def windows(self, ctx: Context) -> panels.Ranges:
        """The windows of all steps."""
        raise NotImplementedError


class StringNode(Node):
    """A string literal."""

    def __init__(self, value: str) -> None:
        self.value = value
