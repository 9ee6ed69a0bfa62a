"""`tidegate silence`: make, list and end silences on a server."""

from __future__ import annotations

import datetime
import getpass
import pathlib
from typing import Any

import click
import orjson

from tidegate.cli import client, gate, options
from tidegate.kit import matchers as matchers_
from tidegate.model import problems


@click.group()
def silence() -> None:
    """Make, list and end silences."""


@silence.command()
@click.argument("matchers", nargs=-1, required=True)
@click.option("--for", "duration", default="1h", show_default=True, help="How long.")
@click.option("--comment", "-m", required=True, help="Why; the next one on call reads it.")
@click.option("--author", default=getpass.getuser, show_default="your user name", help="Who.")
@options.server
def add(
    matchers: tuple[str, ...],
    duration: str,
    comment: str,
    author: str,
    server: str,
    token_file: pathlib.Path | None,
) -> None:
    """Silence alerts that match all of MATCHERS; prints the silence's id.

    \b
    Example:
      tidegate silence add alertname=ShopSlow 'severity=~"warning|info"' --for 2h -m 'load test'
    """
    now = datetime.datetime.now(datetime.UTC)
    body = {
        "matchers": [_matcher(text) for text in matchers],
        "startsAt": now.isoformat(),
        "endsAt": (now + datetime.timedelta(seconds=gate.seconds(duration, "--for"))).isoformat(),
        "createdBy": author,
        "comment": comment,
    }
    answer = client.answer("POST", server, "/api/v2/silences", json=body, token=options.token(token_file))
    click.echo(answer["silenceID"])


@silence.command("list")
@click.option("--expired", is_flag=True, help="Ended ones too.")
@options.output("text", "json")
@options.server
def list_(expired: bool, form: str, server: str, token_file: pathlib.Path | None) -> None:
    """List silences.

    \b
    Example:
      tidegate silence list --expired -o json
    """
    found = client.get(server, "/api/v2/silences", token=options.token(token_file))
    shown = [item for item in found if expired or item["status"]["state"] != "expired"]
    if form == "json":
        click.echo(orjson.dumps(shown).decode())
        return
    for item in shown:
        conditions = " ".join(_text(matcher) for matcher in item["matchers"])
        click.echo(f"{item['id']}  {item['status']['state']:7}  until {item['endsAt']}  {conditions}")
        click.echo(f"    {item['createdBy']}: {item['comment']}")
    if not shown:
        click.echo("no silences")


@silence.command()
@click.argument("ids", nargs=-1, required=True)
@options.server
def expire(ids: tuple[str, ...], server: str, token_file: pathlib.Path | None) -> None:
    """End silences now.

    \b
    Example:
      tidegate silence expire 5f0c7a52-8a0a-4a8e-9d8b-0a4f8f1e2d3c
    """
    for silence_id in ids:
        client.answer("DELETE", server, f"/api/v2/silence/{silence_id}", token=options.token(token_file))
        click.echo(f"{silence_id} ended")


def _matcher(text: str) -> dict[str, Any]:
    try:
        matcher = matchers_.parse(text)
    except problems.TidegateError as error:
        raise click.UsageError(str(error)) from None
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": matcher.op in ("=~", "!~"),
        "isEqual": matcher.op in ("=", "=~"),
    }


def _text(matcher: dict[str, Any]) -> str:
    op = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
    return f'{matcher["name"]}{op[matcher["isRegex"], matcher.get("isEqual", True)]}"{matcher["value"]}"'
