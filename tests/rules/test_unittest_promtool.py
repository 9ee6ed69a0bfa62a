"""The verdict on rule unit tests is promtool's, on files that hold and on files that do not."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from tests.services import cache, prometheus
from tidegate.cli import ruletests
from tidegate.logs import kql
from tidegate.model import problems
from tidegate.rules import unittest

RULES = """
groups:
  - name: g
    interval: 5m
    rules:
      - {record: job:x:sum, expr: sum by (job) (x)}
      - {alert: High, expr: "x > 5", for: 2m, labels: {severity: page},
         annotations: {summary: "{{ $value }} on {{ $labels.job }}"}}
      - {alert: Late, expr: "job:x:sum > 5"}
  - name: broken
    rules:
      - {record: twice, expr: "a * on (job) b"}
"""
HEAD = "rule_files: [r.yaml]\nevaluation_interval: 1m\n"
X = """- {series: 'x{job="a"}', values: '1 6 6 6 6 6'}"""
CLASH = """- {series: 'a{job="a"}', values: '1'}
      - {series: 'b{job="a",i="1"}', values: '1 _ _ stale'}
      - {series: 'b{job="a",i="2"}', values: '1 stale'}"""


def body(series: str, rest: str, interval: str = "interval: 1m") -> str:
    return f"{HEAD}tests:\n  - {interval}\n    input_series:\n      {series}\n{rest}"


HIGH = "exp_alerts: [{exp_labels: {severity: page, job: a}, exp_annotations: {summary: 6 on a}}]"
FILES = {
    "fires": (body(X, f"    alert_rule_test: [{{eval_time: 3m, alertname: High, {HIGH}}}]\n"), True),
    "fires between evaluations": (
        body(X, f"    alert_rule_test: [{{eval_time: 3m30s, alertname: High, {HIGH}}}]\n"),
        True,
    ),
    "still pending": (body(X, f"    alert_rule_test: [{{eval_time: 2m, alertname: High, {HIGH}}}]\n"), False),
    "nothing expected but firing": (body(X, "    alert_rule_test: [{eval_time: 4m, alertname: High}]\n"), False),
    "a group's own interval does not count": (
        body(X, "    alert_rule_test: [{eval_time: 1m, alertname: Late, exp_alerts: [{exp_labels: {job: a}}]}]\n"),
        True,
    ),
    "a recording rule fails, nothing is expected": (
        body(CLASH, "    promql_expr_test: [{expr: nothing, eval_time: 1m, exp_samples: []}]\n"),
        False,
    ),
    "an error that cleared before the test": (
        body(CLASH, "    promql_expr_test: [{expr: nothing, eval_time: 20m, exp_samples: []}]\n"),
        False,
    ),
    "the interval is the evaluation's": (
        body(
            X,
            "    promql_expr_test: [{expr: x, eval_time: 1m, exp_samples: [{labels: 'x{job=\"a\"}', value: 6}]}]\n",
            "name: plain",
        ),
        True,
    ),
    "wrong value": (
        body(
            X, "    promql_expr_test: [{expr: x, eval_time: 1m, exp_samples: [{labels: 'x{job=\"a\"}', value: 7}]}]\n"
        ),
        False,
    ),
    "unknown field": (body(X, "    alert_rule_tests: []\n"), False),
    "nothing to test": (body(X, "    alert_rule_test: []\n"), False),
    "bad query": (body(X, "    promql_expr_test: [{expr: 'sum(', eval_time: 1m}]\n"), False),
    "unknown alert": (body(X, "    alert_rule_test: [{eval_time: 4m, alertname: Typo}]\n"), True),
}
FILES["nothing to test"] = (FILES["nothing to test"][0].replace(X, "- {series: x, values: '1'}"), True)


@pytest.fixture(scope="module")
def promtool() -> str:
    try:
        return str(prometheus.promtool())
    except cache.UnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


async def verdict(path: pathlib.Path) -> bool:
    try:
        cases = await unittest.run([path], ruletests.world, kql.check)
    except problems.ConfigError:
        return False
    return all(case.passed for case in cases)


@pytest.mark.parametrize("name", FILES)
async def test_verdict(name: str, tmp_path: pathlib.Path) -> None:
    text, holds = FILES[name]
    (tmp_path / "r.yaml").write_text(RULES)
    (tmp_path / "t.yaml").write_text(text)
    assert await verdict(tmp_path / "t.yaml") == holds


@pytest.mark.parametrize("name", FILES)
def test_promtool_says_the_same(name: str, tmp_path: pathlib.Path, promtool: str) -> None:
    text, holds = FILES[name]
    (tmp_path / "r.yaml").write_text(RULES)
    (tmp_path / "t.yaml").write_text(text)
    judged = subprocess.run(
        [promtool, "test", "rules", "t.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (judged.returncode == 0) == holds, judged.stdout + judged.stderr
