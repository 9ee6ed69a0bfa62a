"""The PromQL engine: prepares queries and runs them over a `columns.SeriesReader`.

A query is compiled once and evaluated at all its steps together, in chunks that bound memory. Engine and queries hold no
state that changes, so that the event loop and threads may use them at once. Semantics: Prometheus 3.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import numpy as np

from tidegate.metrics import columns
from tidegate.metrics.promql import compiler, durations, facts, frames, limits, notes, presence, results, syntax, tree
from tidegate.metrics.promql.values import (
    Context,
    Node,
    RangeNode,
    ScalarNode,
    StringNode,
    Times,
    Vec,
    VectorNode,
    fail,
    finish,
)
from tidegate.model import series

T = TypeVar("T")
CHUNK_CELLS = 2_000_000
"""About how many cells (steps x series of the widest selector) are evaluated at once."""
SAMPLE = 60.0
"""Seconds that `step()` and `range()` stand for while a query is only looked at."""
REMEMBERED = 4096
"""Expressions whose compiled form is kept."""
MAX_STEPS = 11_000
"""Prometheus' limit of points per series in a range query."""


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """How an engine evaluates."""

    lookback: float = 300.0
    """Seconds after which a sample is too old for an instant selector."""
    sample_limit: int = 50_000_000
    """Samples that one query may load or hold at once."""
    timeout: float = 120.0
    """Seconds of evaluation."""
    subquery_step: float = 60.0
    """Seconds between the steps of a subquery that names no step."""
    delayed_name_removal: bool = False
    """Prometheus' feature flag: drop metric names at the end of the query instead of in each function."""
    timer: Callable[[], float] = time.monotonic
    """What the timeout is measured with."""
    experimental: bool = False
    """Whether forms are allowed that Prometheus has behind flags."""


class Engine:
    """PromQL over a store (`ports.QueryEngine`)."""

    def __init__(
        self,
        reader: columns.SeriesReader,
        lookback: float = 300.0,
        sample_limit: int = 50_000_000,
        timeout: float = 120.0,
        *,
        subquery_step: float = 60.0,
        delayed_name_removal: bool = False,
        timer: Callable[[], float] = time.monotonic,
        experimental: bool = False,
    ) -> None:
        self._reader = reader
        self._options = Options(
            lookback, sample_limit, timeout, subquery_step, delayed_name_removal, timer, experimental
        )
        self._compiled: Compile = functools.lru_cache(REMEMBERED)(_compiled)

    @property
    def experimental(self) -> bool:
        """Whether forms are allowed that Prometheus has behind flags."""
        return self._options.experimental

    def allowing(self, *, experimental: bool) -> Engine:
        """See `ports.QueryEngine`."""
        return self._with({"experimental": experimental})

    def with_times(self, *, lookback: float = 0.0, timeout: float = 0.0) -> Engine:
        """The same engine with another look-back and timeout, in seconds; 0 leaves its own."""
        given = {"lookback": lookback, "timeout": timeout}
        return self._with({name: value for name, value in given.items() if value})

    def prepare(self, expr: str) -> PreparedQuery:
        """Parse and compile. Raises `QueryError`: what cannot be parsed, or the name of a form that is not supported.

        What was compiled last is remembered: rules are prepared when they are checked, and again when they are loaded.
        """
        options = self._options
        with syntax.bounded():
            found = self._compiled(expr, experimental=options.experimental)
            return PreparedQuery(
                expr=expr,
                names=found.names,
                lookback=facts.lookback(found.parsed, _ms(options.lookback), _ms(options.subquery_step)) / 1000.0,
                lower_is_worse=found.op in {"<", "<="},
                threshold=f"{found.op} {found.number}" if found.number else "",
                _root=found.root,
                _parsed=found.parsed,
                _dynamic=found.parsed if found.dynamic else None,
                _reader=self._reader,
                _options=options,
            )

    def _with(self, other: dict[str, Any]) -> Engine:
        """Another engine that shares what was compiled."""
        made = Engine(self._reader, **(dataclasses.asdict(self._options) | other))
        made._compiled = self._compiled
        return made


@dataclasses.dataclass(frozen=True, slots=True)
class _Compiled:
    """What an expression is, whoever asks."""

    parsed: tree.Expr
    root: Node
    names: frozenset[str]
    op: str
    number: str
    dynamic: bool


class Compile(Protocol):
    """Parses and compiles an expression."""

    def __call__(self, expr: str, *, experimental: bool) -> _Compiled:
        """Raises `QueryError`."""


def _compiled(expr: str, *, experimental: bool) -> _Compiled:
    parsed = syntax.parse(expr, experimental=experimental)
    root = compiler.compiled(durations.resolved(parsed, SAMPLE, SAMPLE))
    op, number = facts.comparison(parsed)
    return _Compiled(parsed, root, facts.names(parsed), op, number, durations.dynamic(parsed))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PreparedQuery:
    """A compiled query (`ports.Query`)."""

    expr: str
    names: frozenset[str]
    lookback: float
    lower_is_worse: bool
    threshold: str
    waits: bool = False
    _root: Node
    _parsed: tree.Expr
    _dynamic: tree.Expr | None
    """The tree, where durations depend on the query's step and range: it is compiled again for each."""
    _reader: columns.SeriesReader
    _options: Options

    @property
    def presence(self) -> str:
        """See `ports.Query`."""
        return presence.query(self._parsed)

    @property
    def operand(self) -> str:
        """See `ports.Query`."""
        return presence.operand(self._parsed)

    def instant(self, at: float) -> series.Result:
        """Evaluate at one time (unix seconds). Raises `QueryError`."""
        return self.instant_annotated(at)[0]

    def range(self, start: float, end: float, step: float) -> series.Matrix:
        """Evaluate at each step. Raises `QueryError`."""
        return self.range_annotated(start, end, step)[0]

    def instant_annotated(self, at: float) -> tuple[series.Result, notes.Notes]:
        """Like `instant`, with Prometheus' warnings and infos."""
        at_ms = _ms(at)
        root = self._resolved(0.0, 0.0)

        def work(copying: bool) -> tuple[series.Result, Context]:
            ctx = self._context(np.array([at_ms], np.int64), at_ms, 0, single=True, copying=copying)
            root.plan(ctx, at_ms, at_ms)
            return _instant(root, ctx), ctx

        return _whole(work)

    def range_annotated(self, start: float, end: float, step: float) -> tuple[series.Matrix, notes.Notes]:
        """Like `range`, with Prometheus' warnings and infos."""
        interval = _ms(step)
        if interval <= 0:
            raise fail("zero or negative query resolution step widths are not accepted", kind="bad_data")
        times = np.arange(_ms(start), _ms(end) + 1, interval, dtype=np.int64)
        if len(times) > MAX_STEPS:
            raise fail(f"exceeded maximum resolution of {MAX_STEPS} points per series", kind="bad_data")
        if isinstance(self._root, (RangeNode, StringNode)):
            raise fail("invalid expression type for range query, must be Scalar or instant Vector", kind="bad_data")
        if not len(times):
            return series.Matrix(()), notes.Notes()
        root = self._resolved(step, end - start)

        def work(copying: bool) -> tuple[series.Matrix, Context]:
            ctx = self._context(times, _ms(end), interval, single=False, copying=copying)
            root.plan(ctx, int(times[0]), int(times[-1]))
            return results.matrix(ctx, list(self._chunks(root, ctx))), ctx

        return _whole(work)

    def _resolved(self, step: float, span: float) -> Node:
        if self._dynamic is None:
            return self._root
        return compiler.compiled(durations.resolved(self._dynamic, step, span))

    def _context(self, times: Times, end: int, interval: int, *, single: bool, copying: bool) -> Context:
        options, first = self._options, int(times[0])
        return Context(
            reader=self._reader,
            texts=frames.Texts(self._reader.pool),
            times=times,
            query_start=first,
            query_end=end,
            query_step=interval if end > first else 0,
            lookback=_ms(options.lookback),
            subquery_step=_ms(options.subquery_step),
            delayed=options.delayed_name_removal,
            single=single,
            still=end == first,
            budget=limits.Budget(options.sample_limit, options.timeout, options.timer),
            notes=notes.Notes(),
            sources={},
            generation=self._reader.pool.generation,
            copying=copying,
        )

    def _chunks(self, root: Node, ctx: Context) -> Iterator[tuple[Times, Vec]]:
        widest = max((len(source.labels) for source in ctx.sources.values()), default=1)
        size = max(CHUNK_CELLS // max(widest, 1), 1)
        for begin in range(0, ctx.steps, size):
            ctx.budget.check()
            part = ctx.at(ctx.times[begin : begin + size])
            yield part.times, _vector(root, part)


def _whole(work: Callable[[bool], tuple[T, Context]]) -> tuple[T, notes.Notes]:
    """A result whose samples were not overwritten while it was made: a second try copies them first."""
    with np.errstate(all="ignore"):
        for copying in (False, True, True):
            found, ctx = work(copying)
            if ctx.generation == ctx.reader.pool.generation and all(guard() for guard in ctx.guards):
                return found, ctx.notes
    raise fail("the samples are overwritten faster than the query can read them", kind="execution")


def _vector(root: Node, ctx: Context) -> Vec:
    if isinstance(root, ScalarNode):
        return Vec(frames.empty(ctx.reader.pool, 1), root.scalar(ctx)[:, None])
    if isinstance(root, VectorNode):
        return finish(root.vector(ctx))
    raise TypeError(type(root).__name__)


def _instant(root: Node, ctx: Context) -> series.Result:
    at_ms = int(ctx.times[0])
    if isinstance(root, StringNode):
        return series.String(root.value, at_ms)
    if isinstance(root, ScalarNode):
        return series.Scalar(float(root.scalar(ctx)[0]), at_ms)
    if isinstance(root, RangeNode):
        return results.windows(ctx, root.windows(ctx))
    return results.vector(ctx, _vector(root, ctx), at_ms)
