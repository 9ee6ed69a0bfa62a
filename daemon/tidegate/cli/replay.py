"""`tidegate replay`: what rules would have done over a time that is past."""

from __future__ import annotations

import asyncio
import collections
import datetime
import functools
import math
import pathlib
import sys
from collections.abc import Iterator, Sequence

import click
import orjson

from tidegate.cli import client, gate, options, ruletests
from tidegate.logs import kql
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine as engine_
from tidegate.metrics.promql import outline
from tidegate.model import labels as labels_
from tidegate.model import problems, rules
from tidegate.rules import load, unitfiles
from tidegate.rules import replay as replay_


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--from", "start", required=True, help="Unix seconds or an RFC 3339 time.")
@click.option("--to", "end", required=True, help="Unix seconds or an RFC 3339 time.")
@click.option(
    "--data", default=options.DEFAULT_SERVER, show_default=True, help="A Tidegate, a Prometheus, or a file of samples."
)
@click.option(
    "--against",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="Rule files to compare with: says what FILES do otherwise.",
)
@click.option("--interval", default="1m", show_default=True, help="Evaluation interval of groups that give none.")
@click.option("--chunk", default="1h", show_default=True, help="Time whose samples are loaded at once.")
@click.option(
    "--token-file",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    envvar="TIDEGATE_TOKEN_FILE",
    help="File with the bearer token; or the token itself in TIDEGATE_TOKEN.",
)
@options.output("text", "json")
def replay(
    files: tuple[pathlib.Path, ...],
    start: str,
    end: str,
    data: str,
    against: tuple[pathlib.Path, ...],
    interval: str,
    chunk: str,
    token_file: pathlib.Path | None,
    form: str,
) -> None:
    """Run rules over history and print which alerts would have fired. Exit code 1 when a rule failed.

    \b
    Examples:
      tidegate replay rules/*.yaml --from 2024-05-01T00:00:00Z --to 2024-05-02T00:00:00Z --data http://prometheus:9090
      tidegate replay new.yaml --against old.yaml --from 1714521600 --to 1714608000 --data samples.txt
    """
    span = replay_.Span(_time(start, "--from"), _time(end, "--to"), max(gate.seconds(chunk, "--chunk"), 60.0))
    if span.end <= span.start:
        raise click.UsageError("--to has to be after --from")
    source = _source(data, options.token(token_file))
    try:
        mine = _run(files, span, source, gate.seconds(interval, "--interval"))
        other = _run(against, span, source, gate.seconds(interval, "--interval")) if against else None
    except problems.ConfigError as error:
        options.show(error)
        sys.exit(1)
    except problems.QueryError as error:
        client.fail(1, str(error))
    except client.Unreachable as error:
        client.fail(client.UNREACHABLE, str(error))
    _show(form, mine, other)
    sys.exit(1 if mine.failures else 0)


def _run(files: Sequence[pathlib.Path], span: replay_.Span, source: replay_.Source, interval: float) -> replay_.Outcome:
    checks = load.Checks(engine_.Engine(nothing.Nothing()), kql.check, interval)
    ruleset = load.load([(path, str(path)) for path in files], checks)
    return asyncio.run(replay_.run(ruleset, _selectors(ruleset), span, source, ruletests.world, _progress))


def _selectors(ruleset: rules.RuleSet) -> list[str]:
    """What the rules read and do not make themselves."""
    every = [rule for group in ruleset.groups for rule in group.rules]
    made = {rule.record for rule in every if isinstance(rule, rules.RecordingRule)} | {"ALERTS", "ALERTS_FOR_STATE"}
    found = {}
    for rule in every:
        for one in (one for expr in rules.expressions(rule) for one in outline.read(expr).selectors):
            name = next((each.value for each in one.matchers if each.name == labels_.NAME and each.op == "="), "")
            if name not in made:
                found["{" + ",".join(f"{m.name}{m.op}{orjson.dumps(m.value).decode()}" for m in one.matchers) + "}"] = 1
    return list(found)


def _source(data: str, token: str) -> replay_.Source:
    if data.startswith(("http://", "https://")):
        return functools.partial(_asked, data, token)
    path = pathlib.Path(data)
    if not path.is_file():
        raise click.UsageError(f"--data: {data!r} is neither a URL nor a file")
    return functools.partial(_read, path)


def _asked(url: str, token: str, selectors: Sequence[str], start: float, end: float) -> Iterator[replay_.Sample]:
    """Raw samples over the HTTP API: a range selector gives them as they were scraped. A series is taken once."""
    seen: set[labels_.Labels] = set()
    for selector in selectors:
        expr = f"{selector}[{math.ceil((end - start) * 1000)}ms]"
        response = client.request("POST", url, "/api/v1/query", params={"query": expr, "time": end}, token=token)
        body = client.parse(response)
        if not response.is_success or not isinstance(body, dict):
            raise problems.QueryError(f"{url} answered: {client.detail(response)}")
        for item in body["data"]["result"]:
            labels = labels_.make(item["metric"])
            if labels not in seen:
                seen.add(labels)
                yield from ((round(at * 1000), labels, float(value)) for at, value in item.get("values", ()))


def _read(path: pathlib.Path, selectors: Sequence[str], start: float, end: float) -> Iterator[replay_.Sample]:  # noqa: ARG001
    """`series value unix-seconds` lines, as OpenMetrics writes them; every series is taken."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                series, value, at = line.rsplit(maxsplit=2)
                if start < float(at) <= end:
                    yield round(float(at) * 1000), unitfiles.series_labels(series), float(value)
            except ValueError:
                raise problems.QueryError(
                    f"{path}:{number}: expected `series value unix-seconds`, got {line.strip()!r}"
                ) from None


def _progress(share: float) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{share:4.0%}" + ("\n" if share >= 1 else ""), nl=False, err=True)


def _time(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        given = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option}: {text!r} is neither unix seconds nor an RFC 3339 time") from None
    return (given if given.tzinfo else given.replace(tzinfo=datetime.UTC)).timestamp()


def _show(form: str, mine: replay_.Outcome, other: replay_.Outcome | None) -> None:
    changes = _changes(mine, other) if other else []
    if form == "json":
        body = {
            "evaluations": mine.evaluations,
            "samples": mine.samples,
            "failures": mine.failures,
            "firings": [
                {"labels": dict(one.labels), "start": one.start, "end": one.end, "over": one.over, "peak": one.peak}
                for one in mine.firings
            ],
        } | ({"changes": changes} if other else {})
        click.echo(orjson.dumps(body).decode())
        return
    for line in changes if other else [_line(one) for one in mine.firings]:
        click.echo(line)
    for name, error in mine.failures.items():
        click.echo(f"✘ {name}: {error}")
    click.echo(
        f"{len(mine.firings)} firings, {mine.evaluations} evaluations, {len(mine.failures)} rules failed, "
        f"{mine.samples} samples" + (f"; before: {len(other.firings)} firings" if other else "")
    )


def _line(one: replay_.Firing) -> str:
    start, end = (
        datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (one.start, one.end)
    )
    return f"{start} .. {end if one.over else 'still firing'}  {labels_.text(one.labels)} peak {one.peak:g}"


def _changes(mine: replay_.Outcome, other: replay_.Outcome) -> list[str]:
    """A line for each alert that fires for another time than before."""
    now, before = _seconds(mine), _seconds(other)
    lines = []
    for labels in sorted({*now, *before}):
        new, old = now.get(labels, (0, 0.0)), before.get(labels, (0, 0.0))
        if new != old:
            sign = "+" if not old[0] else "-" if not new[0] else "~"
            lines.append(f"{sign} {labels_.text(labels)} fired {old[0]} -> {new[0]} times, {old[1]:g} -> {new[1]:g} s")
    return lines


def _seconds(outcome: replay_.Outcome) -> dict[labels_.Labels, tuple[int, float]]:
    found: dict[labels_.Labels, tuple[int, float]] = collections.defaultdict(lambda: (0, 0.0))
    for one in outcome.firings:
        count, seconds = found[one.labels]
        found[one.labels] = (count + 1, seconds + one.end - one.start)
    return dict(found)
