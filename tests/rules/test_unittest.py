"""promtool's unit-test files: ours hold, others' hold, and what does not hold is shown."""

from __future__ import annotations

import pathlib

import orjson
import pytest
from click import testing

from tidegate.cli import ruletests
from tidegate.logs import kql
from tidegate.model import problems
from tidegate.rules import unitdiff, unitfiles, unittest

ROOT = pathlib.Path(__file__).parents[2]


async def test_those_of_the_sample_shop_hold() -> None:
    cases = await unittest.run([ROOT / "rules/tests/shop_test.yaml"], ruletests.world, kql.check)
    assert len(cases) >= 8
    assert [(case.name, case.difference) for case in cases if not case.passed] == []


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "name", ["absent_alert-test", "apps_alerts-test", "resource_alerts-test", "rules-pod-owner-test"]
)
async def test_those_of_the_kubernetes_mixin_hold(conformance: pathlib.Path, name: str) -> None:
    path = conformance / f"kubernetes-mixin/tests/{name}.yaml"
    cases = await unittest.run([path], ruletests.world, kql.check)
    assert cases
    assert [(case.name, case.difference) for case in cases if not case.passed] == []


async def test_what_does_not_hold_is_shown(tmp_path: pathlib.Path) -> None:
    (tmp_path / "r.yaml").write_text("groups: [{name: g, rules: [{alert: A, expr: x > 1, labels: {s: a}}]}]")
    (tmp_path / "t.yaml").write_text(
        "rule_files: [r.yaml]\ntests:\n  - interval: 1m\n    input_series: [{series: 'x{i=\"1\"}', values: '1 2 3'}]\n"
        "    alert_rule_test: [{eval_time: 2m, alertname: A, exp_alerts: [{exp_labels: {i: '1', s: b}}]}]\n"
        "    promql_expr_test: [{expr: x, eval_time: 2m, exp_samples: [{labels: 'x{i=\"1\"}', value: 4}]}]\n"
    )
    cases = await unittest.run([tmp_path / "t.yaml"], ruletests.world, kql.check)
    assert [case.passed for case in cases] == [False, False]
    assert '- {alertname="A", i="1", s="b"}' in cases[0].difference
    assert '+ {alertname="A", i="1", s="a"}' in cases[0].difference
    assert cases[1].difference == '  - x{i="1"} 4.0\n  + x{i="1"} 3.0\n      expected 4.0, got 3.0'
    assert "<failure" in ruletests.report(cases)


def test_a_difference_pairs_what_is_most_alike() -> None:
    wanted = ['{i="1", job="a"} 1', '{i="2", job="a"} 1']
    got = ['{i="2", job="b"} 1', '{i="1", job="a"} 2', '{z="9"} 9']
    assert unitdiff.difference(wanted, got).splitlines() == [
        '  - {i="1", job="a"} 1',
        '  + {i="1", job="a"} 2',
        "      expected 1, got 2",
        '  - {i="2", job="a"} 1',
        '  + {i="2", job="b"} 1',
        '      expected job="a", got job="b"',
        '  + {z="9"} 9',
    ]


async def test_only_some_scenarios_are_run() -> None:
    path = ROOT / "rules/tests/shop_test.yaml"
    every = await unittest.run([path], ruletests.world, kql.check)
    assert await unittest.run([path], ruletests.world, kql.check, only="no such test") == []
    assert len(await unittest.run([path], ruletests.world, kql.check, only=".")) == len(every)


def test_output_as_json() -> None:
    done = testing.CliRunner().invoke(ruletests.rules, [str(ROOT / "rules/tests/shop_test.yaml"), "-o", "json"])
    body = orjson.loads(done.output)
    assert (done.exit_code, body["failed"]) == (0, 0)
    assert body["passed"] == len(body["cases"]) >= 8


async def test_a_bad_file_has_places(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("rule_files: []\ntests:\n  - intervall: 1m\n")
    with pytest.raises(problems.ConfigError) as caught:
        await unittest.run([path], ruletests.world, kql.check)
    assert [(one.code, one.line, one.hint) for one in caught.value.problems] == [
        ("test-unknown-field", 3, "did you mean `interval`?")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 2", [1, 2]),
        ("1+2x3", [1, 3, 5, 7]),
        ("5x2", [5, 5, 5]),
        ("10-3x2", [10, 7, 4]),
        ("_ 1 _x2", [None, 1, None, None]),
    ],
)
def test_values(text: str, expected: list[float | None]) -> None:
    assert unitfiles.values(text) == expected


@pytest.mark.parametrize("text", ["a", "1+x3", "{{schema:1}}", "1x"])
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unitfiles.values(text)


async def test_values_are_taken_as_written_where_a_text_is_wanted(tmp_path: pathlib.Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "groups: [{name: g, rules: [{alert: A, expr: x == 0, labels: {v: 1.10, page: yes}}]}]"
    )
    (tmp_path / "t.yaml").write_text(
        f"rule_files: [{tmp_path}/r*.yaml]\ntests:\n  - interval: 1m\n    input_series: [{{series: x, values: 0x20}}]\n"
        "    alert_rule_test: [{eval_time: 9m, alertname: A, exp_alerts: [{exp_labels: {v: '1.10', page: 'yes'}}]}]\n"
    )
    cases = await unittest.run([tmp_path / "t.yaml"], ruletests.world, kql.check)
    assert [case.difference for case in cases] == [""]
