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
from tidegate.cli import gate, options, rulesdata
from tidegate.kit import clock
from tidegate.logs import kql
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine as engine_
from tidegate.metrics.promql import outline
from tidegate.model import problems
from tidegate.model import rules as rules_
from tidegate.rules import load
from tidegate.rules.lint import run as lint


@click.group(invoke_without_command=True)
@options.config
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="Form of the output.",
)
@click.pass_context
def check(context: click.Context, config: pathlib.Path | None, form: str) -> None:
    """Check settings and rule files: say every problem with its place, and what was found.

    \b
    Examples:
      tidegate check --config tidegate.yaml
      tidegate check --format github
    """
    if context.invoked_subcommand:
        return
    try:
        plan = plan_.make(options.find(config), os.environ, engine_.Engine(nothing.Nothing()), clock.SystemClock())
    except problems.ConfigError as error:
        _show(form, error.problems, {})
        sys.exit(1)
    _show(form, plan.loaded.notices, found(plan))


@check.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--url", help="A Tidegate or Prometheus whose data the rules are held against.")
@click.option("--offline", is_flag=True, help="Ask no data, even with --url.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@click.option("--interval", default="1m", show_default=True, help="Evaluation interval of groups that give none.")
@click.option(
    "--token-file",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    envvar="TIDEGATE_TOKEN_FILE",
    help="File with the bearer token; or the token itself in TIDEGATE_TOKEN.",
)
@options.output("text", "json", "github")
def rules(
    files: tuple[pathlib.Path, ...],
    url: str | None,
    offline: bool,
    strict: bool,
    interval: str,
    token_file: pathlib.Path | None,
    form: str,
) -> None:
    """Check rule files, and hold them against live data. Exit code 1 for errors; with --strict for warnings, too.

    \b
    Examples:
      tidegate check rules rules/*.yaml
      tidegate check rules rules/*.yaml --url http://prometheus:9090 --strict
    """
    checks = load.Checks(engine_.Engine(nothing.Nothing()), kql.check, gate.seconds(interval, "--interval"))
    ask = None if offline or not url else rulesdata.asker(url, options.token(token_file))
    try:
        report = lint.run([(path, str(path)) for path in files], checks, outline.read, ask, _progress)
    except problems.ConfigError as error:
        _show(form, error.problems, {})
        sys.exit(1)
    every = [rule for group in report.ruleset.groups for rule in group.rules]
    _show(form, report.problems, {"rule files": len(files), "groups": len(report.ruleset.groups), "rules": len(every)})
    sys.exit(1 if _errors(report.problems) or (strict and report.problems) else 0)


def _progress(done: int, of: int) -> None:
    """On a terminal only, so that nothing of it gets into a file."""
    if sys.stderr.isatty():
        click.echo(f"\r{done} of {of} rules" + ("\n" if done == of else ""), nl=False, err=True)


def found(plan: plan_.Plan) -> dict[str, int]:
    """How many of each thing the configuration has."""
    every = [rule for group in plan.rules.groups for rule in group.rules]
    return {
        "rule files": len(plan.rules.files),
        "groups": len(plan.rules.groups),
        "alerting rules": sum(isinstance(rule, rules_.AlertingRule) for rule in every),
        "recording rules": sum(isinstance(rule, rules_.RecordingRule) for rule in every),
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
    start = f"{len(wrong)} warning{'s' if len(wrong) != 1 else ''}; found: " if wrong else "all good: "
    return start + ", ".join(f"{number} {name}" for name, number in good.items() if number)
