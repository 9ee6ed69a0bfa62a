"""Checks of rules: each has a page, whose bad example it finds and whose good one it leaves alone."""

from __future__ import annotations

import os
import pathlib
import re
import time
from collections.abc import Iterator, Sequence

import numpy as np
import orjson
import pytest
from click import testing

from tests.services import cache, prometheus
from tidegate import cli
from tidegate.cli import ruletests
from tidegate.logs import kql
from tidegate.metrics.promql import outline
from tidegate.model import labels as labels_
from tidegate.model import ports, problems
from tidegate.rules import evaluate, load, unitfiles
from tidegate.rules.lint import run, subject

PAGES = pathlib.Path(__file__).parents[2] / "docs/checks"
WITH_PAGE = sorted(run.CODES - {"lint-no-answer"})
NOW = 1200.0


@pytest.fixture
def world() -> Iterator[tuple[ports.QueryEngine, ports.SampleStore]]:
    engine, store, clean = ruletests.world(7200)
    yield engine, store
    clean()


def asker(engine: ports.QueryEngine) -> subject.Ask:
    def ask(expr: str) -> Sequence[tuple[labels_.Labels, float]]:
        return evaluate.vector(engine.prepare(expr).instant(NOW))

    return ask


def fill(store: ports.SampleStore, lines: str) -> None:
    table = store.table("input", 60)
    rows = [line.rsplit(" ", 1) for line in lines.splitlines()]
    found = [(table.column(unitfiles.series_labels(one)), unitfiles.values(values)) for one, values in rows]
    for number in range(max((len(values) for _, values in found), default=0)):
        due = {column: values[number] for column, values in found}
        table.append(number * 60_000, np.array([*due], np.int32), np.array([*due.values()], np.float64))


def block(page: str, kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)
    return found[1] if found else ""


def checked(text: str, folder: pathlib.Path, engine: ports.QueryEngine, *, live: bool) -> list[problems.Problem]:
    path = folder / "r.yaml"
    path.write_text(text)
    checks = load.Checks(engine, kql.check, 60.0)
    return list(run.run([(path, "r.yaml")], checks, outline.read, asker(engine) if live else None).problems)


@pytest.mark.parametrize("code", WITH_PAGE)
def test_pages(code: str, tmp_path: pathlib.Path, world: tuple[ports.QueryEngine, ports.SampleStore]) -> None:
    page = (PAGES / f"{code}.md").read_text()
    series = block(page, "series")
    fill(world[1], series)
    found = checked(block(page, "yaml bad"), tmp_path, world[0], live=bool(series))
    assert [one.code for one in found] == [code]
    assert found[0].severity == "warning"
    assert found[0].line
    assert found[0].excerpt
    assert checked(block(page, "yaml good"), tmp_path, world[0], live=bool(series)) == []


def test_every_page_is_a_check() -> None:
    assert {path.stem for path in PAGES.glob("lint-*.md")} == set(WITH_PAGE)


@pytest.mark.parametrize(
    ("selector", "blame"),
    [
        ("nothing", "there is no metric nothing"),
        ('up{host="a"}', "its series have no label 'host'"),
        ('up{job="c"}', """the label 'job' has no value that is = "c\""""),
        ('up{job="a",instance="2"}', "each condition holds for some series, but not all for one"),
    ],
)
def test_what_is_to_blame(
    selector: str, blame: str, tmp_path: pathlib.Path, world: tuple[ports.QueryEngine, ports.SampleStore]
) -> None:
    fill(world[1], 'up{job="a",instance="1"} 1x20\nup{job="b",instance="2"} 1x20')
    text = f"groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: |\n          sum(\n            {selector}) > 1\n"
    (found,) = checked(text, tmp_path, world[0], live=True)
    assert found.summary.endswith(blame)
    assert (found.line, found.column, found.length) == (7, 13, len(selector))


OURS = """\
groups:
  - name: g
    interval: 1m
    rules:
      - {alert: A, expr: up, severities: {low: "< 1", high: "< 0"}}
      - {alert: B, expr: 'up{job="a"} == 0', resolve_expr: nothing > 0, for: 2 of 3}
      - {alert: C, expr: up}
"""


def test_our_fields(tmp_path: pathlib.Path, world: tuple[ports.QueryEngine, ports.SampleStore]) -> None:
    fill(world[1], 'up{job="a",instance="1"} 1x20')
    found = checked(OURS, tmp_path, world[0], live=True)
    assert [(one.code, one.line, one.column) for one in found] == [
        ("lint-no-series", 6, OURS.splitlines()[5].index("nothing") + 1),
        ("lint-no-condition", 7, OURS.splitlines()[6].index("up") + 1),
    ]


def test_comments(tmp_path: pathlib.Path, world: tuple[ports.QueryEngine, ports.SampleStore]) -> None:
    text = (
        "groups:\n  - name: g\n    rules:\n      # tidegate: ignore[lint-no-condition]\n      - alert: A\n        expr: x\n"
        "      - alert: B\n        expr: x  # tidegate: ignore[lint-no-condition, lint-nothing]\n"
    )
    found = checked(text, tmp_path, world[0], live=False)
    assert [(one.code, one.line) for one in found] == [("lint-unknown-check", 8)]


def test_no_answer_is_a_finding(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]")
    done = testing.CliRunner().invoke(cli.cli, ["check", "rules", str(path), "--url", "http://127.0.0.1:1", "--strict"])
    assert done.exit_code == 1
    assert "lint-no-answer" in done.output
    quiet = testing.CliRunner().invoke(
        cli.cli, ["check", "rules", str(path), "--url", "http://127.0.0.1:1", "--offline"]
    )
    assert (quiet.exit_code, quiet.output) == (0, "all good: 1 rule files, 1 groups, 1 rules\n")


def test_what_does_not_load_is_an_error(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("groups: [{name: g, rules: [{alert: A, expr: 'sum(x'}]}]")
    done = testing.CliRunner().invoke(cli.cli, ["check", "rules", str(path), "-o", "github"])
    assert done.exit_code == 1
    assert done.output.startswith("::error file=")


def test_against_a_prometheus(tmp_path: pathlib.Path) -> None:
    now = int(time.time()) // 60 * 60
    samples = "\n".join(f'requests_total{{job="shop"}} {number} {now - 60 * (60 - number)}' for number in range(61))
    (tmp_path / "samples.txt").write_text(f"# TYPE requests counter\n{samples}\n# EOF\n")
    (tmp_path / "r.yaml").write_text(
        "groups:\n  - name: g\n    rules:\n      - {alert: A, expr: 'rate(requests_total{job=\"shopp\"}[5m]) > 1'}\n"
        "      - {alert: B, expr: 'rate(requests_total{job=\"shop\"}[2m]) > 1'}\n"
    )
    try:
        prometheus.backfill(tmp_path / "samples.txt", tmp_path / "data")
        with prometheus.running(data=tmp_path / "data") as server:
            arguments = ["check", "rules", str(tmp_path / "r.yaml"), "--url", server.url, "-o", "json"]
            done = testing.CliRunner().invoke(cli.cli, arguments)
    except cache.UnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    body = orjson.loads(done.output)
    assert (done.exit_code, body["ok"]) == (0, True)
    found = [(one["code"], one["line"]) for one in body["problems"]]
    assert found == [("lint-no-series", 4), ("lint-short-window", 5)]
