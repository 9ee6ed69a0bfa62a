"""`tidegate query`: PromQL on a server, instant or over a range."""

from __future__ import annotations

import pathlib
import time
from typing import Any

import click
import orjson

from tidegate.cli import client, gate, options


@click.command()
@click.argument("expr")
@click.option("--at", "at", type=float, help="Unix seconds; default now.")
@click.option("--range", "span", help="Evaluate over this long back, e.g. 30m.")
@click.option("--step", default="15s", show_default=True, help="Step of a range.")
@options.output("text", "json")
@options.server
def query(
    expr: str, at: float | None, span: str | None, step: str, form: str, server: str, token_file: pathlib.Path | None
) -> None:
    """Evaluate PromQL on a server.

    \b
    Examples:
      tidegate query 'up'
      tidegate query 'sum by (path) (rate(http_requests_total[1m]))' --range 10m
    """
    end = at if at is not None else time.time()
    token = options.token(token_file)
    params: dict[str, Any] = {"query": expr}
    if span:
        params |= {"start": end - gate.seconds(span, "--range"), "end": end, "step": gate.seconds(step, "--step")}
    elif at is not None:
        params["time"] = at
    path = "/api/v1/query_range" if span else "/api/v1/query"
    body = client.get(server, path, params=params, token=token)
    if form == "json":
        click.echo(orjson.dumps(body).decode())
        return
    for warning in body.get("warnings", []):
        click.echo(f"warning: {warning}", err=True)
    for line in lines(body["data"]):
        click.echo(line)


def lines(data: dict[str, Any]) -> list[str]:
    """A result as promtool prints it."""
    kind, result = data["resultType"], data["result"]
    if kind in ("scalar", "string"):
        return [f"{result[1]}"]
    if kind == "vector":
        return [f"{_series(item['metric'])} {item['value'][1]}" for item in result] or ["(no series)"]
    out = []
    for item in result:
        out.append(_series(item["metric"]))
        out += [f"  {value} @ {stamp}" for stamp, value in item["values"]]
    return out or ["(no series)"]


def _series(metric: dict[str, str]) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in sorted(metric.items()) if name != "__name__")
    return f"{metric.get('__name__', '')}{{{inner}}}"
