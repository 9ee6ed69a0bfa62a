"""How the long-running commands run: log, start, wait for a signal, end. Not what they run."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Awaitable, Callable

import click

from tidegate.cli import options
from tidegate.kit import memory, telemetry
from tidegate.model import problems

LAST_RESORT = 28.0
"""Seconds after a signal at which a shutdown that hangs is cut off; below Kubernetes' 30 s."""

log_level = click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Of our own log."
)

Start = Callable[[asyncio.Event, Callable[[str], None]], Awaitable[None]]


def serve(path: pathlib.Path | None, log_level: str | None, start: Start) -> None:
    """Run until a signal; exit 1 on bad configuration, 70 when something that cannot be lived without is gone."""
    memory.sparing()
    settings = options.load(path).settings
    telemetry.configure(log_level or settings.log_level, settings.log_format)
    try:
        asyncio.run(_until_signal(start))
    except problems.ConfigError as error:
        options.show(error)
        sys.exit(1)
    except problems.FatalError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(70)


async def _until_signal(start: Start) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop, number)
    await start(stop, _say)


def _stop(stop: asyncio.Event, number: int) -> None:
    """The first signal asks, a second one insists; a timer has the last word."""
    if stop.is_set():
        os._exit(128 + number)
    stop.set()
    timer = threading.Timer(LAST_RESORT, os._exit, args=(70,))
    timer.daemon = True
    timer.start()


def _say(text: str) -> None:
    """Show that it has started; what is there now stays, so it is not looked through for garbage any more."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with contextlib.suppress(BrokenPipeError):
        click.echo(text)
        sys.stdout.flush()
