"""`tidegate setup`: prepares the services that Tidegate writes to."""

from __future__ import annotations

import asyncio
import pathlib
import sys

import click

from tidegate.cli import options
from tidegate.logs.elasticsearch import administration, templates
from tidegate.logs.elasticsearch import keys as keys_
from tidegate.model import problems, settings


@click.group()
def setup() -> None:
    """Prepare the services that Tidegate writes to."""


@setup.command()
@options.config
@click.option("--dry-run", is_flag=True, help="Print the requests, send none.")
@click.option(
    "--keys",
    type=click.Path(file_okay=False, path_type=pathlib.Path),
    help="Make API keys with the fewest rights, too: ship.key and read.key in this folder.",
)
def elasticsearch(config: pathlib.Path | None, dry_run: bool, keys: pathlib.Path | None) -> None:
    """Install the ingest pipeline and the templates with retention. Safe to repeat.

    \b
    Examples:
      tidegate setup elasticsearch --config tidegate.yaml --dry-run
      tidegate setup elasticsearch --config admin.yaml --keys /run/secrets/tidegate
    """
    loaded = options.load(config)
    if not loaded.settings.logs.elasticsearch.urls:
        raise click.UsageError("logs.elasticsearch.urls is empty: there is nothing to prepare")
    try:
        done = asyncio.run(_install(loaded.settings.logs.elasticsearch, keys, dry_run=dry_run))
    except problems.TidegateError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    for line in done:
        click.echo(line)


async def _install(given: settings.Elasticsearch, folder: pathlib.Path | None, *, dry_run: bool) -> list[str]:
    done = await templates.install(given, dry_run=dry_run)
    if folder and dry_run:
        return done + [administration.shown("POST", keys_.PATH, body) for body in keys_.bodies().values()]
    return done + (await keys_.make(given, folder) if folder else [])
