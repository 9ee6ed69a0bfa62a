"""YAML: values as expected, and places that are right."""

from __future__ import annotations

import pathlib

import pytest

from tidegate.kit import yamlfile
from tidegate.model import problems

TEXT = """\
groups:
  - name: shop
    rules:
      - alert: Down
        expr: up == 0
        fro: 5m
"""


def test_places_of_values_and_keys() -> None:
    document = yamlfile.Document(TEXT, "rules.yaml")
    value = document.problem("x", "bad", ("groups", 0, "rules", 0, "expr"))
    assert (value.line, value.column, value.length, value.excerpt) == (5, 15, 7, "        expr: up == 0")
    key = document.problem("x", "bad", ("groups", 0, "rules", 0, "fro"), key=True)
    assert (key.line, key.column, key.length) == (6, 9, 3)


def test_a_missing_part_is_shown_at_its_parent() -> None:
    document = yamlfile.Document(TEXT, "rules.yaml")
    assert document.position(("groups", 0, "rules", 0, "labels")) == (4, 9)


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("a: 1\nb: [1\n", "expected", 3),
        ("a: 1\na: 2\n", "duplicate key 'a'", 2),
        ("a: !!python/object:os.system {}\n", "constructor", 1),
    ],
)
def test_what_is_not_good_yaml_has_a_place(text: str, says: str, line: int) -> None:
    with pytest.raises(problems.ConfigError) as caught:
        yamlfile.Document(text, "x.yaml")
    problem = caught.value.problems[0]
    assert says in problem.summary
    assert (problem.code, problem.line) == ("yaml-syntax", line)


def test_timestamps_stay_text() -> None:
    assert yamlfile.Document("at: 2024-01-01\n", "x").value == {"at": "2024-01-01"}


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: pathlib.Path) -> None:
    with pytest.raises(problems.ConfigError) as caught:
        yamlfile.read(tmp_path / "none.yaml", "none.yaml")
    assert (
        caught.value.problems[0].render().splitlines()[0]
        == "error[file-unreadable]: cannot read: No such file or directory"
    )


@pytest.mark.parametrize(("text", "value"), [("0x20", 32), ("007", 7), ("1.10", 1.1), ("1_000", 1000)])
def test_a_number_remembers_how_it_was_written(text: str, value: float) -> None:
    found = yamlfile.Document(f"a: {text}", "x.yaml").value["a"]
    assert found == value
    assert found.written == text
    assert type(yamlfile.Document("a: 5", "x.yaml").value["a"]) is int


@pytest.mark.parametrize("text", ["yes", "no", "on", "off", "True", "FALSE"])
def test_only_true_and_false_are_truths(text: str) -> None:
    assert yamlfile.Document(f"a: {text}", "x.yaml").value == {"a": text}
    assert yamlfile.Document("a: true", "x.yaml").value == {"a": True}
