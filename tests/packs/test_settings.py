"""`rules.packs`: shipped packs by name."""

from __future__ import annotations

import pathlib

import pytest

from tidegate import packs, plan
from tidegate.kit import clock
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine
from tidegate.model import problems


def made(folder: pathlib.Path, text: str) -> plan.Plan:
    path = folder / "tidegate.yaml"
    path.write_text(text)
    return plan.make(path, {}, engine.Engine(nothing.Nothing()), clock.SystemClock())


def test_every_pack_loads_by_its_name(tmp_path: pathlib.Path) -> None:
    found = made(tmp_path, f"rules: {{packs: [{', '.join(packs.NAMES)}]}}").rules
    assert [pathlib.Path(name).name for name in found.files] == [f"{name}.yaml" for name in packs.NAMES]
    assert len({group.name for group in found.groups}) == len(found.groups)


def test_a_pack_named_twice_is_loaded_once(tmp_path: pathlib.Path) -> None:
    found = made(tmp_path, f"rules: {{packs: [node, node], files: [{packs.rules('node')}]}}").rules
    assert len(found.files) == 1


def test_a_name_that_is_no_pack_is_a_problem_with_its_place(tmp_path: pathlib.Path) -> None:
    with pytest.raises(problems.ConfigError) as caught:
        made(tmp_path, "rules:\n  packs: [node, ndoe]\n")
    (problem,) = caught.value.problems
    assert (problem.code, problem.line, problem.column) == ("rules-no-pack", 2, 17)
    assert "node" in problem.hint
