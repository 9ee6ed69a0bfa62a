"""Runs rule unit tests: promtool's files, by the very code that evaluates rules, on a clock of their own.

The engine and the store are handed in. A file that cannot be read is a `ConfigError`; a test that does not hold is a
case with what was expected and what came.
"""

from __future__ import annotations

import dataclasses
import datetime
import glob
import math
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from tidegate.kit import telemetry, validate, yamlfile
from tidegate.model import ports, problems, rules
from tidegate.rules import audience as audience_
from tidegate.rules import evaluate, evidence, load, unitcases, unitfiles, unitstages
from tidegate.rules import group as group_

World: TypeAlias = Callable[[float], tuple[ports.QueryEngine, ports.SampleStore, Callable[[], None]]]
"""Gives a fresh engine and store that keeps so many seconds, and how to clean up after them."""
MARGIN = 600.0
"""Seconds that the store keeps beyond the test: there is nothing before its start."""


async def run(
    paths: Sequence[pathlib.Path],
    world: World,
    kql: Callable[[str], object],
    *,
    only: str = "",
    made: unitstages.Made | None = None,
) -> list[unitcases.Case]:
    """Run files one after the other; `only` those scenarios whose name a regular expression finds.

    With tests of messages and gates it has to run on a `kit.virtual` loop, and needs `made`, which makes what they look
    at. Raises `ConfigError` for a file that cannot be used.
    """
    cases: list[unitcases.Case] = []
    for path in paths:
        document = yamlfile.read(path)
        given = validate.model(unitfiles.TestFile, document.value or {}, document, prefix="test-")
        for number, test in enumerate(given.tests):
            title = test.name or f"test {number + 1}"
            scenario = unitcases.Scenario(str(path), given, test, title, _start(test, document, number), number)
            if re.search(only, title):
                cases += await _Run(scenario, document, world, kql, made).cases()
    return cases


class _Run:
    """One scenario."""

    def __init__(
        self,
        scenario: unitcases.Scenario,
        document: yamlfile.Document,
        world: World,
        kql: Callable[[str], object],
        made: unitstages.Made | None,
    ) -> None:
        self._scenario, self._test, self._document = scenario, scenario.test, document
        self._world, self._kql, self._made = world, kql, made
        self._audience: audience_.Audience = audience_.Nobody()
        self._looks: unitstages.Looks | None = None
        self._written: unitstages.Written | None = None

    async def cases(self) -> list[unitcases.Case]:
        """Everything that was looked at."""
        test, scenario = self._test, self._scenario
        asked = (test.alert_rule_test, test.promql_expr_test, test.notification_test, test.gate_test)
        end = max((one.eval_time for tests in asked for one in tests), default=0.0)
        engine, store, clean = self._world(end + MARGIN)
        try:
            checks = load.Checks(engine, self._kql, scenario.given.evaluation_interval)
            ruleset = load.load(_rule_files(scenario), checks)
            rows = _Rows(store, scenario, self._document, scenario.number)
            self._listen(ruleset, store)
            await self._audience.begin(engine, scenario.start)
            groups = _groups(ruleset, scenario, engine, store, self._audience)
            cases, broken = await self._evaluate(groups, rows, end)
            if broken:
                return [*cases, broken]
            self._put(rows, end)
            return cases + [unitcases.query(scenario, query, engine) for query in test.promql_expr_test]
        finally:
            await self._audience.close()
            clean()

    def _listen(self, ruleset: rules.RuleSet, store: ports.SampleStore) -> None:
        """Make what our own tests need."""
        test, lines = self._test, None
        if test.input_logs and self._made:
            lines = self._made.lines(ruleset, store, self._scenario.start)
            self._written = unitstages.Written(test, lines, self._scenario.start)
        if (test.notification_test or test.gate_test) and self._made:
            config = self._scenario.given.config
            path = pathlib.Path(self._scenario.file).parent / config if config else None
            stages = self._made.stages(path, lines)
            self._audience = stages
            self._looks = unitstages.Looks(test, stages, self._scenario.start)

    def _put(self, rows: _Rows, offset: float) -> None:
        """Put in the samples and lines that are due by so many seconds after the start."""
        rows.until(offset)
        if self._written:
            self._written.until(self._scenario.start + offset)

    async def _evaluate(
        self, groups: list[group_.Group], rows: _Rows, end: float
    ) -> tuple[list[unitcases.Case], unitcases.Case | None]:
        """Evaluate at every interval up to the last test's time, and compare where a test falls into the interval.

        As in promtool every group is evaluated at every `evaluation_interval`, whatever its own, and the scenario ends with
        the first evaluation in which a rule failed: that is a case of its own, so that no failure goes unnoticed.
        """
        scenario = self._scenario
        step = scenario.given.evaluation_interval
        cases: list[unitcases.Case] = []
        for number in range(int(end // step) + 1):
            offset = number * step
            self._put(rows, offset)
            await self._audience.until(scenario.start + offset)
            for group in groups:
                await group.evaluate_at(scenario.start + offset)
            broken = [unitcases.failed(status) for group in groups for status in group.status.rules if status.error]
            if broken:
                name = f"{scenario.title}: evaluation at {unitcases.duration(offset)}"
                return cases, scenario.case(name, "\n".join(broken))
            await self._audience.evaluated(scenario.start + offset, [group.status for group in groups])
            due = [test for test in scenario.test.alert_rule_test if offset <= test.eval_time < offset + step]
            cases += [unitcases.alerts(scenario, test, groups) for test in due]
            cases += await self._look(offset + step)
        return cases, None

    async def _look(self, before: float) -> list[unitcases.Case]:
        """The tests of messages and gates that are due before an offset."""
        scenario = self._scenario
        found = await self._looks.before(before) if self._looks else []
        return [
            scenario.case(
                f"{scenario.title}: {title} at {unitcases.duration(at)}",
                difference,
            )
            for at, (title, difference) in found
        ]


class _Rows:
    """The input series, put into the store as time goes on."""

    def __init__(
        self, store: ports.SampleStore, scenario: unitcases.Scenario, document: yamlfile.Document, number: int
    ) -> None:
        self._interval = scenario.test.interval or scenario.given.evaluation_interval
        self._table = store.table("input", self._interval)
        self._start = scenario.start
        self._next = 0
        self._columns: list[tuple[int, list[float | None]]] = []
        for place, one in enumerate(scenario.test.input_series):
            at = ("tests", number, "input_series", place)
            try:
                self._columns.append(
                    (self._table.column(unitfiles.series_labels(one.series)), unitfiles.values(one.values))
                )
            except ValueError as error:
                raise problems.ConfigError([document.problem("test-series", str(error), (*at, "values"))]) from None
        self._rows = max((len(found) for _, found in self._columns), default=0)

    def until(self, offset: float) -> None:
        """Put in what is due by so many seconds after the start."""
        while self._next < self._rows and self._next * self._interval <= offset:
            number = self._next
            row = {
                column: value
                for column, found in self._columns
                if number < len(found) and (value := found[number]) is not None
            }
            at = round((self._start + number * self._interval) * evaluate.MILLISECONDS)
            columns = np.array([*row], np.int32)
            self._table.append(at, columns, np.array([*row.values()], np.float64), partial=True)
            self._next += 1


def _groups(
    ruleset: rules.RuleSet,
    scenario: unitcases.Scenario,
    engine: ports.QueryEngine,
    store: ports.SampleStore,
    audience: audience_.Audience,
) -> list[group_.Group]:
    world = evaluate.World(
        engine,
        store,
        scenario.test.external_url or audience.external_url,
        {**audience.external_labels, **scenario.test.external_labels},
        math.inf,
        evidence.Evidence(ruleset),
        lambda _: None,
        label_alerts=not isinstance(audience, audience_.Nobody),
        statuses=audience.statuses,
    )
    order = {name: place for place, name in enumerate(scenario.given.group_eval_order)}
    wanted = sorted(ruleset.groups, key=lambda one: order.get(one.name, len(order)))
    counted = group_.Instruments(telemetry.Registry())
    # What a group records is stored as often as it is evaluated here, whatever its own interval.
    step = scenario.given.evaluation_interval
    paced = [dataclasses.replace(one, interval=min(one.interval, step)) for one in wanted]
    return [group_.Group(one, world, audience.book, audience_.Still(), counted) for one in paced]


def _rule_files(scenario: unitcases.Scenario) -> list[tuple[pathlib.Path, str]]:
    folder = pathlib.Path(scenario.file).parent
    patterns = [str(folder / name) for name in scenario.given.rule_files]
    found = [name for pattern in patterns for name in (sorted(glob.glob(pattern)) or [pattern])]  # noqa: PTH207 - absolute
    return [(pathlib.Path(name), name) for name in found]


def _start(test: unitfiles.Test, document: yamlfile.Document, number: int) -> float:
    given = test.start_timestamp
    try:
        if isinstance(given, int | float):
            return float(given)
        return datetime.datetime.fromisoformat(str(given)).timestamp()
    except ValueError:
        at = ("tests", number, "start_timestamp")
        raise problems.ConfigError([document.problem("test-start", f"{given!r} is no time", at)]) from None
