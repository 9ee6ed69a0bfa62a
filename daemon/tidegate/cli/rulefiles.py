"""`tidegate rules`: what is done with rule files themselves."""

from __future__ import annotations

import pathlib
import sys

import click

from tidegate.cli import gate, options
from tidegate.logs import kql
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine as engine_
from tidegate.model import problems
from tidegate.rules import export as export_
from tidegate.rules import load


@click.group()
def rules() -> None:
    """Work with rule files."""


@rules.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--prometheus", "form", flag_value="prometheus", required=True, help="As plain Prometheus rule files.")
@click.option(
    "--to",
    type=click.Path(path_type=pathlib.Path),
    help="Write to this file, or into this folder under the files' own names; without it to standard output.",
)
@click.option("--interval", default="1m", show_default=True, help="Evaluation interval of groups that give none.")
@click.option("--strict", is_flag=True, help="Write nothing and exit with 1 when something is not exactly the same.")
def export(files: tuple[pathlib.Path, ...], form: str, to: pathlib.Path | None, interval: str, strict: bool) -> None:  # noqa: ARG001 - the one form
    """Rewrite rule files for any Prometheus, and say what is not the same there.

    Rules with our fields (`for: 3 of 5`, `resolve_expr`, `no_data`, `severities`) become plain ones that fire at the same
    times. Warnings go to standard error. Exit code 1 when the files do not load, and with --strict for warnings.

    \b
    Examples:
      tidegate rules export --prometheus rules/shop.yaml > shop.rules.yaml
      tidegate rules export --prometheus rules/*.yaml --to plain/
      tidegate rules export --prometheus rules/*.yaml --to plain/ --strict
    """
    places = targets(files, to)
    checks = load.Checks(engine_.Engine(nothing.Nothing()), kql.check, gate.seconds(interval, "--interval"))
    try:
        found = export_.run([(path, str(path)) for path in files], checks)
    except problems.ConfigError as error:
        options.show(error)
        sys.exit(1)
    for notice in found.notices:
        click.echo(notice.render() + "\n", err=True)
    if strict and found.notices:
        sys.exit(1)
    for one in found.files:
        write(places.get(one.path), one.text)


def targets(files: tuple[pathlib.Path, ...], to: pathlib.Path | None) -> dict[pathlib.Path, pathlib.Path]:
    """Where each file goes; nothing for standard output."""
    folder = to is not None and (to.is_dir() or len(files) > 1 or not to.suffix)
    if to is None:
        if len(files) > 1:
            raise click.UsageError("several files need --to, a folder that they are written into")
        return {}
    places = {path: to / path.name if folder else to for path in files}
    if len(set(places.values())) < len(places):
        raise click.UsageError("two of the files have the same name")
    if {one.resolve() for one in places.values()} & {path.resolve() for path in files}:
        raise click.UsageError("--to would write over a file that is read")
    return places


def write(to: pathlib.Path | None, text: str) -> None:
    """Write a file; to standard output without one."""
    if to is None:
        click.echo(text, nl=False)
        return
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, "utf-8")
    except OSError as error:
        raise click.UsageError(f"cannot write {to}: {error.strerror}") from None
