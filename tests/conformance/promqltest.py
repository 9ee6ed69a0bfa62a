"""Runs Prometheus' PromQL test scripts against our engine: `python -m tests.conformance.promqltest PATH...`.

Every eval is compared as Prometheus' own runner compares it: relative error 1e-6, order only where asked for. Instant
evals run again as the middle step of a range query, and again with `@` pinned to their time at other times. What needs
native histograms, start timestamps or a form that the engine refuses by name counts as refused, not as passed.
Annotations are compared without their positions, which our parser does not give.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import sys
from collections.abc import Sequence

import numpy as np

from tests.conformance import promqlscript
from tests.support import memory_series
from tidegate.metrics import columns
from tidegate.metrics.promql import engine, extended, invariance, selectors, syntax
from tidegate.metrics.promql.notes import Notes
from tidegate.metrics.promql.values import Node
from tidegate.model import alerts, problems, series
from tidegate.model import labels as labels_

_TOLERANCE = 1e-6
_TINY = 2.2250738585072014e-308


class RefusedError(Exception):
    """The eval needs something that the engine does not have, and says so."""


class Store(memory_series.MemorySeries):
    """A memory store that remembers which series could not be loaded, and notices when a query wants one."""

    def __init__(self) -> None:
        super().__init__()
        self.unloadable: list[labels_.Labels] = []
        self.wanted = False

    def select(
        self, matchers: Sequence[alerts.Matcher], start_ms: int, end_ms: int, most: int | None = None
    ) -> columns.Selection:
        tests = [memory_series.test(matcher) for matcher in matchers]
        self.wanted |= any(all(test(labels) for test in tests) for labels in self.unloadable)
        return super().select(matchers, start_ms, end_ms)

    def run(self, load: promqlscript.Load) -> None:
        """One `load` command."""
        for labels, points in load.series:
            if "native" in points or labels in load.start_times:
                self.unloadable.append(labels)
                continue
            name = labels_.get(labels, labels_.NAME)
            if load.with_native:
                base = re.sub("_(bucket|count|sum)$", "", name)
                self.unloadable.append(labels_.merge(labels_.without(labels, "le"), {labels_.NAME: base}))
            samples = [
                (index * load.step, None if point == "stale" else float(point))
                for index, point in enumerate(points)
                if point is not None and point != "native"
            ]
            self.add(labels, samples)


def almost_equal(a: float, b: float) -> bool:
    """Prometheus' `almost.Equal` with its test tolerance."""
    if (np.isnan(a) and np.isnan(b)) or a == b:
        return True
    size, distance = abs(a) + abs(b), abs(a - b)
    if a == 0 or b == 0 or size < _TINY:
        return distance < _TOLERANCE * _TINY
    return bool(distance / min(size, sys.float_info.max) < _TOLERANCE)


@dataclasses.dataclass
class Report:
    """The outcome of one file."""

    path: pathlib.Path
    passed: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    refusals: list[str] = dataclasses.field(default_factory=list)

    @property
    def total(self) -> int:
        """All evals."""
        return self.passed + len(self.failures) + len(self.refusals)

    def summary(self) -> str:
        """One line."""
        return (
            f"{self.path.name}: passed {self.passed} of {self.total} "
            f"({len(self.refusals)} refused, {len(self.failures)} failed)"
        )


def _show(labels: labels_.Labels) -> str:
    return labels_.text(labels) or "{}"


def _compare_vector(command: promqlscript.Eval, got: series.Vector, *, ordered: bool) -> None:
    expected = {labels: points[0] for labels, points in command.series}
    for labels, value in zip(got.labels, got.values.tolist(), strict=True):
        want = expected.get(labels)
        if want is None or isinstance(want, str):
            raise AssertionError(f"unexpected {_show(labels)} with {value}")
        if not almost_equal(want, value):
            raise AssertionError(f"{_show(labels)}: expected {want}, got {value}")
    if len(set(got.labels)) != len(got.labels):
        raise AssertionError(f"a label set twice: {got.labels}")
    for labels in expected:
        if labels not in got.labels:
            raise AssertionError(f"{_show(labels)} is missing (got {[_show(each) for each in got.labels]})")
    if ordered and [labels for labels, _ in command.series] != list(got.labels):
        raise AssertionError(f"wrong order: {[_show(each) for each in got.labels]}")


def _compare_matrix(command: promqlscript.Eval, got: series.Matrix, start: int, step: int) -> None:
    expected = {
        labels: [(start + index * step, point) for index, point in enumerate(points) if point is not None]
        for labels, points in command.series
    }
    for each in got.series:
        want = expected.get(each.labels)
        have = list(zip(each.times.tolist(), each.values.tolist(), strict=True))
        if want is None:
            raise AssertionError(f"unexpected {_show(each.labels)} with {have}")
        same = [at for at, _ in want] == [at for at, _ in have] and all(
            not isinstance(a, str) and almost_equal(a, b) for (_, a), (_, b) in zip(want, have, strict=True)
        )
        if not same:
            raise AssertionError(f"{_show(each.labels)}: expected {want}, got {have}")
    for labels in expected:
        if labels not in {each.labels for each in got.series}:
            raise AssertionError(f"{_show(labels)} is missing")


def _compare(command: promqlscript.Eval, got: series.Result, *, ordered: bool) -> None:
    if isinstance(got, series.String):
        if got.value != command.string:
            raise AssertionError(f"expected string {command.string!r}, got {got.value!r}")
    elif isinstance(got, series.Scalar):
        if command.scalar is None or not almost_equal(command.scalar, got.value):
            raise AssertionError(f"expected scalar {command.scalar}, got {got.value}")
    elif isinstance(got, series.Matrix):
        start, _, step = command.window or (command.start, command.end, command.step)
        _compare_matrix(command, got, start, step)
    elif command.scalar is not None:
        raise AssertionError(f"expected scalar {command.scalar}, got a vector")
    else:
        _compare_vector(command, got, ordered=ordered)


def _compare_notes(command: promqlscript.Eval, kind: str, got: Sequence[str]) -> None:
    wanted = [(how, text) for each, how, text in command.notes if each == kind]
    if any(each == f"no_{kind}" for each, _, _ in command.notes) and got:
        raise AssertionError(f"expected no {kind}, got {got}")
    patterns = [_note_pattern(how, text) for how, text in wanted]
    for pattern in patterns:
        if not any(re.search(pattern, text) for text in got):
            raise AssertionError(f"expected {kind} like {pattern}, got {got}")
    for text in got if wanted else ():
        if not any(re.search(pattern, text) for pattern in patterns):
            raise AssertionError(f"unexpected {kind}: {text}")


def _note_pattern(how: str, text: str) -> str:
    if how == "regex":
        return re.sub(r"( \.\*)? \\\(\S+\\\)$", "", text)
    return re.escape(re.sub(r" \(\d+:\d+\)$", "", text)) + ("$" if how else "")


def _pin(node: Node, at: int) -> None:
    """Put `@ at` on every selector that has none, and not inside subqueries that have one."""
    if isinstance(node, selectors.InstantSelector | selectors.RangeSelector | selectors.Subquery | extended.Extended):
        if node.when.at is None:
            node.when = dataclasses.replace(node.when, at=at)
        return
    for child in node.children:
        _pin(child, at)


class Runner:
    """Runs the commands of one script."""

    def __init__(self, path: pathlib.Path) -> None:
        self.report = Report(path)
        self.store = Store()

    def run(self) -> Report:
        """All commands."""
        for command in promqlscript.read(self.report.path.read_text()):
            if isinstance(command, promqlscript.Clear):
                self.store = Store()
            elif isinstance(command, promqlscript.Load):
                self.store.run(command)
            else:
                self._judge(command)
        return self.report

    def _judge(self, command: promqlscript.Eval) -> None:
        place = f"{self.report.path.name}:{command.line}: {command.expr}"
        try:
            self._eval(command)
        except RefusedError as why:
            self.report.refusals.append(f"{place}: {why}")
        except AssertionError as why:
            self.report.failures.append(f"{place}: {why}")
        except Exception as error:  # noqa: BLE001 - a crash of the engine is a finding like any other
            self.report.failures.append(f"{place}: {type(error).__name__}: {error}")
        else:
            self.report.passed += 1

    def _engine(self) -> engine.Engine:
        return engine.Engine(self.store, delayed_name_removal=True, experimental=True)

    def _eval(self, command: promqlscript.Eval) -> None:
        if command.native:
            raise RefusedError("expects native histograms")
        self.store.wanted = False
        try:
            query = self._engine().prepare(command.expr)
            got, notes = self._first(command, query)
        except problems.QueryError as error:
            self._failed(command, error)
            return
        try:
            self._same(command, got, notes)
        except AssertionError:
            if self.store.wanted:
                raise RefusedError("reads series that could not be loaded") from None
            raise
        if not command.step and isinstance(got, series.Vector | series.Scalar):
            self._again_as_range(command, query, got)
            self._again_pinned(command)

    def _same(self, command: promqlscript.Eval, got: series.Result, notes: Notes) -> None:
        if command.fail:
            raise AssertionError(f"expected an error, got {got}")
        _compare_notes(command, "warn", notes.warnings)
        _compare_notes(command, "info", notes.infos)
        _compare(command, got, ordered=command.ordered)

    def _first(self, command: promqlscript.Eval, query: engine.PreparedQuery) -> tuple[series.Result, Notes]:
        if command.step:
            return query.range_annotated(command.start / 1000, command.end / 1000, command.step / 1000)
        return query.instant_annotated(command.start / 1000)

    def _failed(self, command: promqlscript.Eval, error: problems.QueryError) -> None:
        if str(error).startswith("not supported: "):
            raise RefusedError(str(error))
        if not command.fail:
            raise AssertionError(f"error: {error}")
        if self.store.wanted:
            raise RefusedError("reads series that could not be loaded")
        if command.fail_message and str(error) != command.fail_message:
            raise AssertionError(f"expected the error {command.fail_message!r}, got {str(error)!r}")
        if command.fail_pattern and not re.search(command.fail_pattern, str(error)):
            raise AssertionError(f"expected an error like {command.fail_pattern!r}, got {str(error)!r}")

    def _again_as_range(self, command: promqlscript.Eval, query: engine.PreparedQuery, got: series.Result) -> None:
        if re.search(r"\b(range|step|start|end)\s*\(", command.expr):
            return
        at = command.start
        matrix = query.range(at / 1000 - 60, at / 1000 + 60, 60)
        cells = [(each.labels, float(each.values[each.times == at][0])) for each in matrix.series if at in each.times]
        try:
            if isinstance(got, series.Scalar):
                _compare(command, series.Scalar(cells[0][1], at), ordered=False)
            else:
                found = tuple(labels for labels, _ in cells)
                _compare(command, series.Vector(found, np.array([value for _, value in cells]), at), ordered=False)
        except AssertionError as error:
            raise AssertionError(f"as a range query: {error}") from None

    def _again_pinned(self, command: promqlscript.Eval) -> None:
        if invariance.time_dependent(syntax.parse(command.expr, experimental=True)):
            return
        at = command.start
        for other in {-10 * at, 0, at // 5, at, 10 * at} if at else {-1000, 0, 1000}:
            query = self._engine().prepare(command.expr)
            query = dataclasses.replace(query, _root=query._resolved(0.0, 0.0), _dynamic=None)
            _pin(query._root, at)
            try:
                _compare(command, query.instant(other / 1000), ordered=command.ordered)
            except (AssertionError, problems.QueryError) as error:
                raise AssertionError(f"with @ {at} at {other}: {error}") from None


def run(path: pathlib.Path) -> Report:
    """Run one file."""
    return Runner(path).run()


def main(paths: Sequence[str]) -> int:
    """Run files and folders, print the outcome, and give the exit code."""
    files = [
        file for path in map(pathlib.Path, paths) for file in (sorted(path.glob("*.test")) if path.is_dir() else [path])
    ]
    reports = [run(file) for file in files]
    for report in reports:
        print(report.summary())
        for failure in report.failures:
            print(f"  FAILED {failure}")
    passed, total = sum(each.passed for each in reports), sum(each.total for each in reports)
    refused = sum(len(each.refusals) for each in reports)
    print(f"all: passed {passed} of {total} ({refused} refused)")
    return 1 if any(each.failures for each in reports) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
