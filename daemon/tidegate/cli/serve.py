"""`tidegate run` and `tidegate server`. They print where to look, then log to standard error."""

from __future__ import annotations

import os
import pathlib

import click

from tidegate import app
from tidegate.cli import options, running


@click.command()
@options.config
@running.log_level
def run(config: pathlib.Path | None, log_level: str | None) -> None:
    """Server and agent in one process, on embedded storage: a laptop, one VM, a demo.

    \b
    Example:
      tidegate run --config tidegate.yaml
    """
    path = options.find(config)
    running.serve(path, log_level, lambda stop, started: app.run(path, os.environ, stop, started, embedded=True))


@click.command()
@options.config
@running.log_level
def server(config: pathlib.Path | None, log_level: str | None) -> None:
    """Scraping, rules, alerts, notifications, gate, APIs and page. Tails no logs: agents do.

    \b
    Example:
      tidegate server --config /etc/tidegate/tidegate.yaml
    """
    path = options.find(config)
    running.serve(path, log_level, lambda stop, started: app.run(path, os.environ, stop, started, embedded=False))
