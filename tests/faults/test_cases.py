"""No case is only a name: each has a test that reports under it, and a row in the published table."""

from __future__ import annotations

import ast
import pathlib

from tests.faults import cases

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / "docs/delivery.md"
_OTHER = {"cases.py", "test_cases.py"}


def texts() -> set[str]:
    """Every text constant of the tests here."""
    paths = [*HERE.glob("test_*.py"), HERE.parent / "logs/inputs/test_spool.py"]
    trees = [ast.parse(path.read_text()) for path in paths if path.name not in _OTHER]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_case_has_a_test() -> None:
    assert sorted(set(cases.ALL) - texts()) == []
    assert len(cases.ALL) == len(set(cases.ALL)) > 60


def test_every_case_is_in_the_published_table() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert [name for name in cases.ALL if not any(row.startswith((f"| {name} |", f"| {name} (")) for row in rows)] == []


def test_what_was_lost_or_doubled_is_counted_in_the_published_table() -> None:
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[1].isdigit() and (cells[1], cells[3]) != ("0", "0"):
            assert "tidegate_logs_" in cells[4], line
