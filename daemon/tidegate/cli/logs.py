"""`tidegate logs`: search the lines that a server can see, and follow them.

Following asks the server for what arrived after a cursor that was taken before the first search, so that nothing falls
between; lines that come twice are known by their ids.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import pathlib
import time
import zoneinfo
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
REMEMBERED = 100_000
"""Ids of lines that were printed."""
AROUND = 32_768
"""Bytes of the file before and after a line that its context is taken from."""
NEAR = 900.0
"""Seconds before and after a line that its context is from."""
Line = dict[str, Any]


@click.command()
@click.argument("query", default="")
@click.option("--since", default="1h", show_default=True, help="How far back, or from when: 30m, 2024-05-01T10:00.")
@click.option("--until", default="", help="To how long ago, or to when; default now.")
@click.option(
    "--limit", "-n", default=50, show_default=True, type=click.IntRange(1, 1000), help="At most this many lines."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with new lines, until Ctrl-C.")
@click.option(
    "--context", "-C", "around", default=0, type=click.IntRange(0, 50), help="Lines of the same file before and after."
)
@click.option(
    "--tz", default="", help="Time zone of what is printed and given, e.g. UTC, Europe/Berlin; default local."
)
@options.output("text", "json")
@options.server
def logs(
    query: str,
    since: str,
    until: str,
    limit: int,
    follow: bool,
    around: int,
    tz: str,
    form: str,
    server: str,
    token_file: pathlib.Path | None,
) -> None:
    """Search log lines with KQL, oldest first.

    Exits with 0, also when nothing matches; with 1 when the query is wrong, 4 when not authorised, 5 without an answer.

    \b
    Examples:
      tidegate logs 'level:error and message:refused'
      tidegate logs 'service:shop' --since 10m -f
      tidegate logs 'trace.id:4bf92f3577b34da6' --context 3
      tidegate logs 'http.response.status_code >= 500' --since 2024-05-01T10:00 --until 2024-05-01T11:00 --tz UTC
      tidegate logs 'level:error' -o json | jq .message
    """
    if follow and (until or around):
        raise click.UsageError("--follow goes with neither --until nor --context")
    zone, now = _zone(tz), time.time()
    start, end = _moment(since, "--since", zone, now), _moment(until, "--until", zone, now) if until else now
    if end < start:
        raise click.UsageError("--until should not be before --since")
    search = _Search(server, options.token(token_file), _Printer(form, zone))
    cursor = search.arrivals(query, "")["cursor"] if follow else ""
    page = search.page(query, start, None if follow else end, limit)
    shown = list(reversed(page["lines"]))
    if around:
        search.print_around(shown, around)
    else:
        search.printer.lines(shown)
    if follow:
        search.follow(query, cursor)
    elif form == "text":
        more = "at least " if page["at_least"] else ""
        click.echo(f"{len(shown)} of {more}{page['total']} lines", err=True)


class _Search:
    """Asks one server."""

    def __init__(self, server: str, token: str, printer: _Printer) -> None:
        self._server, self._token = server, token
        self.printer = printer

    def page(self, query: str, start: float, end: float | None, limit: int, *, document: bool = True) -> Line:
        """Some lines, newest first."""
        params = {"query": query, "start": start, "limit": limit, "document": str(document).lower()}
        if end is not None:
            params["end"] = end
        found: Line = client.get(self._server, "/v1/logs", params=params, token=self._token)
        return found

    def arrivals(self, query: str, cursor: str) -> Line:
        """Lines that arrived since a cursor, and the next cursor."""
        params = {"query": query, "cursor": cursor, "document": "true"}
        found: Line = client.get(self._server, "/v1/logs/follow", params=params, token=self._token)
        return found

    def follow(self, query: str, cursor: str) -> None:
        """Print what arrives, until interrupted."""
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                found = self.arrivals(query, cursor)
                self.printer.lines(found["lines"])
                if found["cursor"] == cursor or not found["lines"]:
                    time.sleep(POLL)
                cursor = found["cursor"]

    def print_around(self, lines: list[Line], count: int) -> None:
        """Print lines, each with those before and after it in its file; `--` between what is apart."""
        for number, line in enumerate(lines):
            if number and self.printer.form == "text":
                click.echo("--")
            self.printer.lines(self._around(line, count))

    def _around(self, line: Line, count: int) -> list[Line]:
        log, host = line["document"].get("log") or {}, line["document"].get("host") or {}
        offset = log.get("offset")
        if not line["source"] or not isinstance(offset, int):
            return [line]
        query = f"log.file.path:{_quoted(line['source'])} and log.offset >= {offset - AROUND}"
        query += f" and log.offset <= {offset + AROUND}"
        if host.get("name"):
            query += f" and host.name:{_quoted(str(host['name']))}"
        near = self.page(query, line["at"] - NEAR, line["at"] + NEAR, 1000)["lines"]
        ordered = sorted((one for one in near if one["id"] != line["id"]), key=_offset)
        before = [one for one in ordered if _offset(one) < offset]
        after = [one for one in ordered if _offset(one) > offset]
        return [*before[-count:], line, *after[:count]]


class _Printer:
    """Prints each line once."""

    def __init__(self, form: str, zone: datetime.tzinfo | None) -> None:
        self.form, self._zone = form, zone
        self._printed: collections.OrderedDict[str, None] = collections.OrderedDict()

    def lines(self, lines: list[Line]) -> None:
        """Print those that were not printed yet."""
        for line in lines:
            if line["id"]:
                if line["id"] in self._printed:
                    continue
                self._printed[line["id"]] = None
                if len(self._printed) > REMEMBERED:
                    self._printed.popitem(last=False)
            self._print(line)

    def _print(self, line: Line) -> None:
        if self.form == "json":
            click.echo(orjson.dumps(line).decode())
            return
        at = datetime.datetime.fromtimestamp(line["at"], datetime.UTC).astimezone(self._zone)
        level = line["level"] or "-"
        shown = click.style(f"{level:8}", fg=COLOURS.get(level))
        click.echo(f"{at.isoformat(' ', 'milliseconds')} {shown} {line['service']}: {line['message']}")


def _offset(line: Line) -> int:
    return int((line["document"].get("log") or {}).get("offset") or 0)


def _quoted(text: str) -> str:
    """A KQL phrase."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _zone(name: str) -> datetime.tzinfo | None:
    """A time zone; None is the machine's."""
    if not name:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise click.UsageError(f"--tz: there is no time zone {name!r}") from None


def _moment(text: str, option: str, zone: datetime.tzinfo | None, now: float) -> float:
    """A time given as ISO 8601, or as a duration before now."""
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        return now - gate.seconds(text, option)
    return (at if at.tzinfo else at.replace(tzinfo=zone) if zone else at.astimezone()).timestamp()
