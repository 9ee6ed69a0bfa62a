"""`tidegate logs`: search the lines that a server can see, and follow them."""

from __future__ import annotations

import datetime
import pathlib
import time
from typing import Any

import click
import orjson

from tidegate.cli import client, gate, options

COLOURS = {
    "error": "red",
    "critical": "red",
    "fatal": "red",
    "warning": "yellow",
    "warn": "yellow",
    "debug": "bright_black",
}
POLL = 1.0


@click.command()
@click.argument("query", default="")
@click.option("--since", default="1h", show_default=True, help="How far back.")
@click.option(
    "--limit", "-n", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most this many lines."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines, until Ctrl-C.")
@options.output("text", "json")
@options.server
def logs(
    query: str, since: str, limit: int, follow: bool, form: str, server: str, token_file: pathlib.Path | None
) -> None:
    """Search log lines with KQL, oldest first.

    \b
    Examples:
      tidegate logs 'level:error and message:refused'
      tidegate logs 'service:shop' --since 10m -f
    """
    token = options.token(token_file)
    start = time.time() - gate.seconds(since, "--since")
    page = _search(server, token, query, start, limit)
    shown = list(reversed(page["lines"]))
    _print(shown, form)
    if not follow:
        if form == "text":
            more = "at least " if page["at_least"] else ""
            click.echo(f"{len(shown)} of {more}{page['total']} lines", err=True)
        return
    _follow(server, token, query, form, shown, start)


def _follow(server: str, token: str, query: str, form: str, shown: list[dict[str, Any]], start: float) -> None:
    """Ask again and again for lines since a little before the last one, and print those not printed yet."""
    seen = {_key(line) for line in shown}
    while True:
        newest = max((line["at"] for line in shown), default=start)
        time.sleep(POLL)
        lines = list(reversed(_search(server, token, query, newest - 5, 1000)["lines"]))
        _print([line for line in lines if _key(line) not in seen], form)
        if lines:
            shown, seen = lines, {_key(line) for line in lines}


def _key(line: dict[str, Any]) -> bytes:
    return orjson.dumps(line, option=orjson.OPT_SORT_KEYS)


def _search(server: str, token: str, query: str, start: float, limit: int) -> dict[str, Any]:
    params = {"query": query, "start": start, "limit": limit}
    found: dict[str, Any] = client.get(server, "/v1/logs", params=params, token=token)
    return found


def _print(lines: list[dict[str, Any]], form: str) -> None:
    for line in lines:
        if form == "json":
            click.echo(orjson.dumps(line).decode())
            continue
        at = datetime.datetime.fromtimestamp(line["at"]).astimezone().isoformat(" ", "milliseconds")
        level = line["level"] or "-"
        click.echo(f"{at} {click.style(f'{level:8}', fg=COLOURS.get(level))} {line['service']}: {line['message']}")
