"""Problems of the log inputs' settings are found before anything starts, each at its place."""

from __future__ import annotations

import pathlib

import pytest

from tidegate import plan
from tidegate.kit import clock
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine
from tidegate.model import problems


def wrong(folder: pathlib.Path, *fields: str) -> problems.Problem:
    """The only problem of an input with these fields."""
    path = folder / "tidegate.yaml"
    path.write_text("logs:\n  inputs:\n    - paths: [x]\n" + "".join(f"      {field}\n" for field in fields))
    with pytest.raises(problems.ConfigError) as caught:
        plan.make(path, {}, engine.Engine(nothing.Nothing()), clock.SystemClock())
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("fields", "code", "place", "says"),
    [
        (["format: grok", "pattern: 'a %{NOSUCH:x}'"], "logs-pattern", (5, 16), "'NOSUCH' (at character 3)"),
        (["format: regex", "pattern: '(?P<a>x)\\1'"], "logs-pattern", (5, 16), "not an RE2 pattern"),
        (["format: regex"], "logs-pattern", (4, 15), "needs a `pattern`"),
        (["timezone: Mars/Base"], "logs-timezone", (4, 17), "no time zone 'Mars/Base'"),
        (["redact_patterns:", "  all: 'x*'"], "logs-redact-pattern", (5, 14), "matches the empty text"),
        (["pattern: x"], "logs-pattern-unused", (4, 16), "`format: auto`"),
        (["redact: [secrets, nosuch]"], "settings-wrong-value", (4, 25), ""),
        (["limits: {sample: {loud: 10}}"], "settings-wrong-value", (4, 31), ""),
        (["limits: {sample: {info: 0}}"], "settings-wrong-value", (4, 31), "greater than or equal to 1"),
    ],
)
def test_problems(tmp_path: pathlib.Path, fields: list[str], code: str, place: tuple[int, int], says: str) -> None:
    problem = wrong(tmp_path, *fields)
    assert (problem.code, (problem.line, problem.column)) == (code, place)
    assert says in problem.summary
