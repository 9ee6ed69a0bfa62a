"""Prometheus' own test scripts: what passed once must keep passing, and nothing may give a wrong answer."""

from __future__ import annotations

import pathlib

import pytest

from tests.conformance import promqltest

PASSED = {
    "aggregators": 83,
    "at_modifier": 49,
    "collision": 2,
    "duration_expression": 4,
    "extended_vectors": 23,
    "fill-modifier": 0,
    "functions": 209,
    "histograms": 65,
    "info": 0,
    "limit": 0,
    "literals": 11,
    "name_label_dropping": 19,
    "native_histograms": 1,
    "operators": 96,
    "range_queries": 11,
    "selectors": 22,
    "staleness": 9,
    "start_timestamps": 0,
    "subquery": 25,
    "trig_functions": 12,
    "type_and_unit": 40,
}
"""Evals that pass in each file. The rest needs native histograms, start timestamps or experimental forms."""


@pytest.mark.parametrize("name", PASSED)
def test_script(name: str, conformance: pathlib.Path) -> None:
    report = promqltest.run(conformance / "promqltest" / f"{name}.test")
    assert report.failures == []
    assert report.passed >= PASSED[name], report.summary()


def test_every_script_is_run(conformance: pathlib.Path) -> None:
    assert {path.stem for path in (conformance / "promqltest").glob("*.test")} == set(PASSED)


def test_the_runner_notices_a_wrong_answer(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "wrong.test"
    script.write_text(
        'load 1m\n  x{a="b"} 1 2 3\n\neval instant at 2m x\n  x{a="b"} 4\n\neval instant at 2m x + 1\n  {a="b"} 4\n'
    )
    report = promqltest.run(script)
    assert report.passed == 1
    assert report.failures == ['wrong.test:4: x: x{a="b"}: expected 4.0, got 3.0']
    assert report.summary() == "wrong.test: passed 1 of 2 (0 refused, 1 failed)"
