"""`tidegate test`: rule unit tests, offline."""

from __future__ import annotations

import asyncio
import pathlib
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import click
import orjson

from tidegate.cli import options
from tidegate.kit import clock, telemetry
from tidegate.logs import kql
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine as engine_
from tidegate.model import ports, problems
from tidegate.rules import unittest


@click.group()
def test() -> None:
    """Run tests of what you wrote."""


@test.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--junit", type=click.Path(dir_okay=False, path_type=pathlib.Path), help="Write a JUnit report here too.")
@click.option("--run", "only", default="", help="Only tests whose name this regular expression finds.")
@click.option("--diff/--no-diff", default=True, help="Show what differs, or only the names of what failed.")
@click.option("--verbose", "-v", is_flag=True, help="Name the cases that passed, too.")
@options.output("text", "json")
def rules(
    files: tuple[pathlib.Path, ...], junit: pathlib.Path | None, only: str, diff: bool, verbose: bool, form: str
) -> None:
    """Run rule unit tests (promtool's files). Exit code 1 when one does not hold.

    \b
    Example:
      tidegate test rules rules/tests/*.yaml --junit report.xml
    """
    _pattern(only)
    try:
        cases = asyncio.run(unittest.run(files, world, kql.check, only=only))
    except problems.ConfigError as error:
        options.show(error)
        sys.exit(1)
    failed = sum(not case.passed for case in cases)
    if form == "json":
        body = {"passed": len(cases) - failed, "failed": failed, "cases": cases}
        click.echo(orjson.dumps(body).decode())
    else:
        _show(cases, diff, verbose)
        click.echo(f"{len(cases) - failed} passed, {failed} failed")
    if junit:
        junit.write_text(report(cases), "utf-8")
    sys.exit(1 if failed else 0)


def _pattern(only: str) -> None:
    try:
        re.compile(only)
    except re.error as error:
        raise click.BadParameter(f"no regular expression: {error}", param_hint="--run") from None


def _show(cases: Sequence[unittest.Case], diff: bool, verbose: bool) -> None:
    for case in cases:
        if not case.passed:
            click.echo(click.style(f"✘ {case.file}: {case.name}", fg="red") + (f"\n{case.difference}" if diff else ""))
        elif verbose:
            click.echo(f"✔ {case.file}: {case.name}")


def world(seconds: float) -> tuple[ports.QueryEngine, ports.SampleStore, Callable[[], None]]:
    """A fresh store of its own, and an engine over it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-test-"))
    store = store_.Store(folder, clock.SystemClock(), telemetry.Registry(), retention=seconds)
    return engine_.Engine(store), store, lambda: shutil.rmtree(folder)


def report(cases: Sequence[unittest.Case]) -> str:
    """The cases as JUnit XML."""
    suites = ET.Element("testsuites")
    for file in dict.fromkeys(case.file for case in cases):
        mine = [case for case in cases if case.file == file]
        failures = sum(not case.passed for case in mine)
        suite = ET.SubElement(suites, "testsuite", name=file, tests=str(len(mine)), failures=str(failures))
        for case in mine:
            element = ET.SubElement(suite, "testcase", classname=file, name=case.name)
            if not case.passed:
                ET.SubElement(element, "failure", message="not as expected").text = case.difference
    return ET.tostring(suites, encoding="unicode")
