"""`tidegate agent`: the log shipper of a node. What only the server needs is not loaded for it."""

from __future__ import annotations

import os
import pathlib

import click

from tidegate import agent as agent_
from tidegate.cli import options, running


@click.command()
@options.config
@running.log_level
def agent(config: pathlib.Path | None, log_level: str | None) -> None:
    """Tail this machine's logs, count log metrics, and ship the lines.

    \b
    Example:
      tidegate agent --config /etc/tidegate/tidegate.yaml
    """
    path = options.find(config)
    running.serve(path, log_level, lambda stop, started: agent_.run(path, os.environ, stop, started))
