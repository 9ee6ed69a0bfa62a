"""`tidegate import`: rules of other tools become rule files."""

from __future__ import annotations

import pathlib
import sys

import click

from tidegate.cli import options, rulefiles
from tidegate.logs import kql
from tidegate.logs.ecs import fields
from tidegate.model import problems
from tidegate.rules.elastalert import convert

UNREADABLE = 2


@click.group(name="import")
def import_() -> None:
    """Turn the rules of other tools into rule files."""


@import_.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option(
    "--to",
    type=click.Path(path_type=pathlib.Path),
    help="Write to this file, or into this folder under the files' own names; without it to standard output.",
)
@click.option("--strict", is_flag=True, help="Write nothing when a rule or a field has no counterpart.")
def elastalert(files: tuple[pathlib.Path, ...], to: pathlib.Path | None, strict: bool) -> None:
    """Convert rules of ElastAlert2.

    Each field that has no counterpart is shown on standard error with its place, and so is each rule that was left out.
    Exit code 0 when everything was converted, 1 when something was not, 2 when a file cannot be read.

    \b
    Examples:
      tidegate import elastalert rules/frequency.yaml > shop.yaml
      tidegate import elastalert rules/*.yaml --to converted/
      tidegate import elastalert rules/*.yaml --to converted/ --strict
    """
    targets = rulefiles.targets(files, to)
    found: dict[pathlib.Path, convert.Converted] = {}
    readable = True
    checks = convert.Checks(_kind, kql.check)
    for path in files:
        try:
            found[path] = convert.convert(path, str(path), checks)
        except problems.ConfigError as error:
            options.show(error)
            readable = False
    for one in found.values():
        for problem in one.problems:
            click.echo(problem.render() + "\n", err=True)
    whole = all(one.whole for one in found.values())
    if not strict or (whole and readable):
        for path, one in found.items():
            if one.content:
                rulefiles.write(targets.get(path), convert.written([one], path.stem))
    click.echo(_summary(found, len(files)), err=True)
    if not (whole and readable):
        sys.exit(1 if readable else UNREADABLE)


def _summary(found: dict[pathlib.Path, convert.Converted], files: int) -> str:
    written = sum(bool(one.content) for one in found.values())
    return f"{written} of {files} rules converted, {sum(one.whole for one in found.values())} of them whole"


def _kind(name: str) -> str:
    return fields.kind(fields.resolve(name.removesuffix(".keyword").removesuffix(".raw")))
