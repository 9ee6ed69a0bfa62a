"""`tidegate check`: every problem of settings and rule files, and what was found that is good."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import click
import orjson

from tidegate import plan as plan_
from tidegate.cli import options
from tidegate.kit import clock
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine as engine_
from tidegate.model import problems, rules


@click.command()
@options.config
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="Form of the output.",
)
def check(config: pathlib.Path | None, form: str) -> None:
    """Check settings and rule files: say every problem with its place, and what was found.

    \b
    Examples:
      tidegate check --config tidegate.yaml
      tidegate check --format github
    """
    try:
        plan = plan_.make(options.find(config), os.environ, engine_.Engine(nothing.Nothing()), clock.SystemClock())
    except problems.ConfigError as error:
        _show(form, error.problems, {})
        sys.exit(1)
    _show(form, plan.loaded.notices, found(plan))


def found(plan: plan_.Plan) -> dict[str, int]:
    """How many of each thing the configuration has."""
    every = [rule for group in plan.rules.groups for rule in group.rules]
    return {
        "rule files": len(plan.rules.files),
        "groups": len(plan.rules.groups),
        "alerting rules": sum(isinstance(rule, rules.AlertingRule) for rule in every),
        "recording rules": sum(isinstance(rule, rules.RecordingRule) for rule in every),
        "log metrics": len(plan.rules.log_metrics),
        "receivers": len(plan.integrations),
        "routes": len(plan.tree.routes()),
        "jobs": len(plan.settings.scrape.jobs),
        "targets": sum(len(group.targets) for job in plan.settings.scrape.jobs for group in job.static_configs),
        "log inputs": len(plan.settings.logs.inputs),
        "environments": len(plan.settings.gate.environments),
    }


def _show(form: str, wrong: Sequence[problems.Problem], good: dict[str, int]) -> None:
    if form == "json":
        body: dict[str, Any] = {"ok": not _errors(wrong), "problems": list(wrong), "found": good}
        click.echo(orjson.dumps(body).decode())
    elif form == "github":
        for problem in wrong:
            click.echo(_annotation(problem))
        click.echo(_summary(wrong, good))
    else:
        for problem in wrong:
            click.echo(problem.render() + "\n")
        click.echo(_summary(wrong, good))


def _errors(found: Sequence[problems.Problem]) -> int:
    return sum(one.severity == "error" for one in found)


def _annotation(problem: problems.Problem) -> str:
    """A GitHub workflow command; its data is escaped as GitHub asks."""
    place = f"file={problem.file},line={problem.line},col={problem.column}," if problem.line else ""
    text = problem.summary + (f" ({problem.hint})" if problem.hint else "")
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{problem.severity} {place}title={problem.code}::{escaped}"


def _summary(wrong: Sequence[problems.Problem], good: dict[str, int]) -> str:
    errors = _errors(wrong)
    if errors:
        return f"{errors} problem{'s' if errors != 1 else ''} found; nothing of this would be used"
    return "all good: " + ", ".join(f"{number} {name}" for name, number in good.items() if number)
