"""`tidegate setup`: prepares the services that Tidegate writes to."""

from __future__ import annotations

import asyncio
import pathlib
import sys

import click

from tidegate.cli import options
from tidegate.logs.elasticsearch import templates
from tidegate.model import problems


@click.group()
def setup() -> None:
    """Prepare the services that Tidegate writes to."""


@setup.command()
@options.config
@click.option("--dry-run", is_flag=True, help="Print the requests, send none.")
def elasticsearch(config: pathlib.Path | None, dry_run: bool) -> None:
    """Install component and index templates with retention. Safe to repeat.

    \b
    Example:
      tidegate setup elasticsearch --config tidegate.yaml --dry-run
    """
    loaded = options.load(config)
    if not loaded.settings.logs.elasticsearch.urls:
        raise click.UsageError("logs.elasticsearch.urls is empty: there is nothing to prepare")
    try:
        done = asyncio.run(templates.install(loaded.settings.logs.elasticsearch, dry_run=dry_run))
    except problems.TidegateError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    for line in done:
        click.echo(line)
