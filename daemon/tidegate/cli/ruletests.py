"""`tidegate test`: rule unit tests, offline."""

from __future__ import annotations

import datetime
import functools
import os
import pathlib
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence

import click
import orjson

from tidegate import rehearsal
from tidegate.cli import options
from tidegate.kit import clock, telemetry, virtual
from tidegate.kit import config as config_
from tidegate.logs import kql, rehearsed
from tidegate.metrics import store as store_
from tidegate.metrics.promql import engine as engine_
from tidegate.model import ports, problems
from tidegate.rules import unitcases, unitstages, unittest


@click.group()
def test() -> None:
    """Run tests of what you wrote."""


@test.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--junit", type=click.Path(dir_okay=False, path_type=pathlib.Path), help="Write a JUnit report here too.")
@click.option(
    "--config",
    "-c",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="Settings for tests of messages and gates, where the test file names none.",
)
@click.option("--run", "only", default="", help="Only tests whose name this regular expression finds.")
@click.option("--diff/--no-diff", default=True, help="Show what differs, or only the names of what failed.")
@click.option("--verbose", "-v", is_flag=True, help="Name the cases that passed, too.")
@options.output("text", "json")
def rules(
    files: tuple[pathlib.Path, ...],
    junit: pathlib.Path | None,
    config: pathlib.Path | None,
    only: str,
    diff: bool,
    verbose: bool,
    form: str,
) -> None:
    """Run rule unit tests: promtool's files, with log lines, messages and gates too.

    Exit code 0: all hold; 1: one does not, or a file cannot be used.

    \b
    Examples:
      tidegate test rules rules/tests/*.yaml --junit report.xml
      tidegate test rules tests.yaml --config tidegate.yaml --run 'errors in the log'
    """
    _pattern(only)
    try:
        made = unitstages.Made(functools.partial(_stages, config), rehearsed.Lines)
        cases = virtual.run(unittest.run(files, world, kql.check, only=only, made=made))
    except problems.ConfigError as error:
        options.show(error)
        if junit:
            junit.write_text(unusable(error), "utf-8")
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


def _stages(
    given: pathlib.Path | None, named: pathlib.Path | None, logs: ports.LogReader | None
) -> rehearsal.Rehearsal:
    """The stages after the rules, by the settings that the test file names or the command line gives."""
    path = named or given
    if path is None:
        hint = "write `config: tidegate.yaml` into the test file, or give --config"
        text = "tests of messages and gates need settings with routes, receivers and gates"
        raise problems.ConfigError([problems.Problem("test-no-config", text, hint=hint)])
    return rehearsal.Rehearsal(config_.load(path, os.environ), logs)


def _pattern(only: str) -> None:
    try:
        re.compile(only)
    except re.error as error:
        raise click.BadParameter(f"no regular expression: {error}", param_hint="--run") from None


def _show(cases: Sequence[unitcases.Case], diff: bool, verbose: bool) -> None:
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


def unusable(error: problems.ConfigError) -> str:
    """A report of files that cannot be used, so that a CI system shows an error and not the report of an earlier run."""
    suites = ET.Element("testsuites")
    for file in dict.fromkeys(one.file for one in error.problems):
        mine = [one for one in error.problems if one.file == file]
        suite = ET.SubElement(suites, "testsuite", name=file, tests="1", failures="0", errors="1", skipped="0")
        case = ET.SubElement(suite, "testcase", name="the file can be used")
        message = "; ".join(one.summary for one in mine)
        ET.SubElement(case, "error", message=message).text = "\n".join(one.render() for one in mine)
    return ET.tostring(suites, encoding="unicode")


def report(cases: Sequence[unitcases.Case]) -> str:
    """The cases as JUnit XML, as promtool writes it: a `testcase` for each test of a file, with all its failures."""
    suites = ET.Element("testsuites")
    for file in dict.fromkeys(case.file for case in cases):
        mine = [case for case in cases if case.file == file]
        tests = list(dict.fromkeys((case.number, case.test) for case in mine))
        counts = {"tests": len(tests), "failures": sum(not case.passed for case in mine), "errors": 0, "skipped": 0}
        now = datetime.datetime.now().astimezone().strftime("%Y-%m-%dT%H:%M:%S")
        numbers = {name: str(count) for name, count in counts.items()}
        suite = ET.SubElement(suites, "testsuite", {"name": file, **numbers, "timestamp": now})
        for number, test in tests:
            element = ET.SubElement(suite, "testcase", name=test)
            for case in mine:
                if case.number == number and not case.passed:
                    ET.SubElement(element, "failure", message=case.name).text = case.difference
    return ET.tostring(suites, encoding="unicode")
