"""How a problem looks."""

from __future__ import annotations

from tidegate.model import problems

EXPECTED = """\
error[rule-unknown-field]: unknown field `fro`
  --> rules/shop.yaml:36:5
36 |     fro: 10m
   |     ^^^ did you mean `for`?"""


def test_a_problem_with_a_place_shows_the_line_and_a_caret() -> None:
    hint = "did you mean `for`?"
    problem = problems.Problem(
        "rule-unknown-field", "unknown field `fro`", "rules/shop.yaml", 36, 5, 3, "    fro: 10m", hint
    )
    assert problem.render() == EXPECTED


def test_a_problem_without_a_place_keeps_its_hint() -> None:
    problem = problems.Problem("x", "bad", "environment", hint="say it better", severity="warning")
    assert problem.render() == "warning[x]: bad\n  --> environment\n  hint: say it better"


def test_a_config_error_carries_every_problem() -> None:
    error = problems.ConfigError([problems.Problem("a", "one"), problems.Problem("b", "two")])
    assert [problem.code for problem in error.problems] == ["a", "b"]
    assert "error[a]: one" in str(error)
    assert "error[b]: two" in str(error)
