"""What each function of a log metric gives: against plain arithmetic over the same lines, and as Prometheus reads it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from tests.support import ticks
from tidegate.logs.count import counters, distinct, tallies
from tidegate.model import labels as labels_
from tidegate.model import rules


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


class Rig:
    """Counters without a store, as of an agent."""

    def __init__(self, *wanted: rules.LogMetric) -> None:
        self.clock, self.registry = Clock(), CollectorRegistry()
        self.counters = counters.LogCounters(None, ticks.ManualSchedule(), self.clock, self.registry)  # type: ignore[arg-type]
        self.counters.set_metrics(wanted)

    def see(self, *values: Any, **labels: str) -> None:
        """A line for each value of `took`."""
        for value in values:
            took = {} if value is None else {"took": value}
            self.counters.observe_documents([{"message": "served", "labels": {**took, **labels}}])

    def series(self) -> dict[str, float]:
        return {labels_.text(labels): value for labels, value in self.counters.series().items()}

    def own(self, name: str) -> float:
        return self.registry.get_sample_value(f"tidegate_log_metric_{name}_total", {"metric": "took"}) or 0.0


def metric(function: str, **more: Any) -> rules.LogMetric:
    return rules.LogMetric("took", "message:served", function=function, field="labels.took", **more)  # type: ignore[arg-type]


NUMBERS = st.lists(st.floats(-1e9, 1e9).map(lambda value: round(value, 6)), min_size=1, max_size=30)


@given(values=NUMBERS, written=st.booleans())
def test_sums_and_averages(values: list[float], written: bool) -> None:
    rig = Rig(metric("sum"))
    rig.see(*(str(value) if written and "e" not in str(value) else value for value in values))
    found = rig.series()
    assert found["took_count"] == len(values)
    assert math.isclose(found["took_sum"], math.fsum(values), rel_tol=1e-9, abs_tol=1e-3)
    average = Rig(metric("avg"))
    average.see(*values)
    assert math.isclose(
        average.series()["took_sum"] / len(values), statistics.fmean(values), rel_tol=1e-9, abs_tol=1e-3
    )


@given(values=NUMBERS, bounds=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=8, unique=True))
def test_a_histogram_counts_what_is_at_most_each_bound(values: list[float], bounds: list[float]) -> None:
    bounds.sort()
    rig = Rig(metric("percentile", bounds=tuple(bounds)))
    rig.see(*values)
    found = rig.series()
    for bound in bounds:
        assert found[f'took_bucket{{le="{bound!r}"}}'] == sum(value <= bound for value in values)
    assert found['took_bucket{le="+Inf"}'] == found["took_count"] == len(values)


@given(
    lines=st.lists(st.tuples(st.integers(0, 100), st.integers(-50, 50)), min_size=1, max_size=30),
    later=st.integers(0, 200),
)
def test_a_window_is_of_its_last_six_steps(lines: list[tuple[int, int]], later: int) -> None:
    rig = Rig(metric("min", window=60.0))
    lines.sort(key=lambda line: line[0])
    for at, value in lines:
        rig.clock.at = 1000.0 + at
        rig.see(value)
    rig.clock.at = 1000.0 + lines[-1][0] + later
    step = int(rig.clock.at // 10)
    wanted = [value for at, value in lines if int((1000 + at) // 10) > step - tallies.PARTS]
    assert rig.series() == ({"took": float(min(wanted))} if wanted else {})


def test_largest_and_different_values() -> None:
    rig = Rig(metric("max"))
    rig.see(3, 9, "7")
    assert rig.series() == {"took": 9.0}
    rig = Rig(metric("distinct", by=(("app", "app"),)))
    rig.see("a", "b", "a", 1, app="x")
    rig.see("c", app="y")
    assert rig.series() == {'took{app="x"}': 3.0, 'took{app="y"}': 1.0}
    rig.clock.at += 61
    assert rig.series() == {}  # unknown is not 0


@pytest.mark.parametrize("count", [1, 511, 512, 513, 3000, 20_000, 100_000])
def test_many_different_values_are_estimated_within_four_standard_errors(count: int) -> None:
    memory = None
    for start in range(0, count, 100):
        memory = distinct.put(memory, [f"user-{number}" for number in range(start, min(start + 100, count))] * 2)
    assert memory is not None
    found = distinct.number([memory])
    assert found == count if count <= distinct.EXACT else abs(found - count) <= 4 * 0.0163 * count


@given(
    groups=st.lists(st.sets(st.integers(0, 3000), max_size=700), min_size=1, max_size=4),
)
def test_joined_memories_are_those_of_all_values(groups: list[set[int]]) -> None:
    memories = [distinct.put(None, [str(value) for value in group]) for group in groups]
    whole = distinct.put(None, [str(value) for group in groups for value in group])
    joined = distinct.number(memories)
    if all(isinstance(each, set) for each in memories):
        assert joined == len({value for group in groups for value in group})
    else:
        assert joined == distinct.number([whole])


def test_a_line_without_a_usable_value_is_counted_as_such() -> None:
    rig = Rig(metric("sum"))
    unusable: Sequence[Any] = ("abc", None, True, "1e999", "NaN", "", float("inf"), {"a": 1})
    rig.see(*unusable)
    rig.see("1.5e2", "-3", ".5")
    assert rig.series() == {"took_sum": 147.5, "took_count": 3.0}
    assert rig.own("unusable") == len(unusable)


def test_beyond_the_limit_values_are_taken_together() -> None:
    rig = Rig(metric("sum", by=(("id", "id"),), series_limit=1))
    rig.see(1, id="a")
    rig.see(2, id="b")
    rig.see(4, id="c")
    assert rig.series() == {
        'took_sum{id="a"}': 1.0,
        'took_count{id="a"}': 1.0,
        'took_sum{overflow="true"}': 6.0,
        'took_count{overflow="true"}': 2.0,
    }
    assert rig.own("overflow") == 2.0


def test_an_agent_exposes_them_as_their_kinds() -> None:
    text = {}
    for function, kind in (("sum", "summary"), ("percentile", "histogram"), ("max", "gauge"), ("distinct", "gauge")):
        rig = Rig(metric(function, bounds=(1.0, 5.0), help="How long."))
        rig.see(2, 7)
        text[function] = rig.counters.exposition().decode()
        (family,) = text_string_to_metric_families(text[function])
        assert (family.name, family.type, family.documentation) == ("took", kind, "How long.")
    assert 'took_bucket{le="5.0"} 1.0' in text["percentile"]
    assert "took_sum 9.0" in text["sum"]
