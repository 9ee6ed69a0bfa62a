"""`tidegate replay`: what rules would have done over a time that is past."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import sys
from collections.abc import Callable, Sequence

import click
import orjson

from tidegate import rehearsal
from tidegate.cli import client, gate, history, options, replayed, ruletests
from tidegate.kit import config as config_
from tidegate.kit import virtual
from tidegate.logs import kql
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine as engine_
from tidegate.metrics.promql import outline
from tidegate.model import labels as labels_
from tidegate.model import outline as outline_
from tidegate.model import problems, rules
from tidegate.rules import audience, load
from tidegate.rules import replay as replay_


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    """What to replay."""

    span: replay_.Span
    source: replay_.Source
    interval: float
    settings: config_.Loaded | None


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path))
@click.option("--from", "start", required=True, help="Unix seconds or an RFC 3339 time.")
@click.option("--to", "end", required=True, help="Unix seconds or an RFC 3339 time.")
@click.option(
    "--data",
    default=options.DEFAULT_SERVER,
    show_default=True,
    help="A Tidegate, a Prometheus, a data directory, or a file of samples.",
)
@click.option(
    "--config",
    "-c",
    type=click.Path(exists=True, path_type=pathlib.Path, dir_okay=False),
    help="Settings: say too what their receivers would have been sent, and when their gates would have been shut.",
)
@click.option("--texts", is_flag=True, help="Show what the messages say, not only their titles.")
@click.option(
    "--against",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="Rule files to compare with: says what FILES do otherwise.",
)
@click.option(
    "--interval", default="", help="Evaluation interval of groups that give none; default that of --config, else 1m."
)
@click.option(
    "--warmup",
    default="1h",
    show_default=True,
    help="How long before --from rules are evaluated at most because they look back at what rules record.",
)
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
    config: pathlib.Path | None,
    texts: bool,
    against: tuple[pathlib.Path, ...],
    interval: str,
    warmup: str,
    chunk: str,
    token_file: pathlib.Path | None,
    form: str,
) -> None:
    """Run rules over history: which alerts would have fired, what would have been sent, what would have been blocked.

    Exit code 0: it ran; 1: a rule failed or a file cannot be used; 4: not authorised; 5: the server does not answer.

    \b
    Examples:
      tidegate replay rules/*.yaml --from 2024-05-01T00:00:00Z --to 2024-05-02T00:00:00Z --data http://prometheus:9090
      tidegate replay new.yaml --against old.yaml --from 1714521600 --to 1714608000 --data samples.txt
      tidegate replay rules/*.yaml --config tidegate.yaml --texts --from 1714521600 --to 1714608000 --data data
    """
    size, before = max(gate.seconds(chunk, "--chunk"), 60.0), gate.seconds(warmup, "--warmup")
    span = replay_.Span(_time(start, "--from"), _time(end, "--to"), size, before)
    if span.end <= span.start:
        raise click.UsageError("--to has to be after --from")
    settings = options.load(config) if config else None
    default = settings.settings.rules.evaluation_interval if settings else 60.0
    source, clean = history.source(data, options.token(token_file))
    asked = _Asked(span, source, gate.seconds(interval, "--interval") if interval else default, settings)
    try:
        mine = _run(files, asked)
        other = _run(against, asked) if against else None
    except problems.ConfigError as error:
        options.show(error)
        sys.exit(1)
    except problems.QueryError as error:
        client.fail(1, str(error))
    except client.Unreachable as error:
        client.fail(client.UNREACHABLE, str(error))
    finally:
        clean()
    if form == "json":
        click.echo(orjson.dumps(replayed.body(mine, other)).decode())
    else:
        for line in replayed.lines(mine, other, texts=texts):
            click.echo(line)
    sys.exit(1 if mine.outcome.failures else 0)


def _run(files: Sequence[pathlib.Path], asked: _Asked) -> replayed.Result:
    checks = load.Checks(engine_.Engine(nothing.Nothing()), kql.check, asked.interval)
    ruleset = load.load([(path, str(path)) for path in files], checks)
    stages = rehearsal.Rehearsal(asked.settings) if asked.settings else None
    listening: audience.Audience = stages or audience.Nobody()
    work = replay_.run(
        ruleset,
        _selectors(ruleset),
        asked.span,
        asked.source,
        ruletests.world,
        listening,
        _progress(),
        steady(ruleset),
    )
    outcome = virtual.run(work)
    if not stages:
        return replayed.Result(outcome)
    start, end = asked.span.start, asked.span.end
    sent = [one for one in stages.sent if start <= one.at <= end]
    shut = [dataclasses.replace(one, start=max(one.start, start)) for one in stages.shut(end) if one.end >= start]
    return replayed.Result(outcome, rehearsed=True, sent=sent, shut=shut)


def _selectors(ruleset: rules.RuleSet) -> dict[str, float]:
    """What the rules read and do not make themselves, and how far back."""
    own = replay_.made(ruleset)
    engine = engine_.Engine(nothing.Nothing())
    found: dict[str, float] = {}
    for expr in [expr for group in ruleset.groups for rule in group.rules for expr in rules.expressions(rule)]:
        lookback = engine.prepare(expr).lookback
        for one in outline.read(expr).selectors:
            if _named(one) not in own:
                text = history.selector([(matcher.name, matcher.op, matcher.value) for matcher in one.matchers])
                found[text] = max(found.get(text, 0.0), lookback)
    return found


def steady(ruleset: rules.RuleSet) -> frozenset[str]:
    """The expressions whose selectors all name metrics that the rules do not make."""
    own = replay_.made(ruleset)
    every = {expr for group in ruleset.groups for rule in group.rules for expr in rules.expressions(rule)}
    return frozenset(
        expr for expr in every if all(_named(one) not in {"", *own} for one in outline.read(expr).selectors)
    )


def _named(one: outline_.Selector) -> str:
    return next((each.value for each in one.matchers if each.name == labels_.NAME and each.op == "="), "")


def _progress() -> Callable[[float], None]:
    """Shows each further percent on a terminal."""
    if not sys.stderr.isatty():
        return lambda share: None  # noqa: ARG005
    shown = -1

    def show(share: float) -> None:
        nonlocal shown
        if int(share * 100) != shown:
            shown = int(share * 100)
            click.echo(f"\r{share:4.0%}" + ("\r    \r" if share >= 1 else ""), nl=False, err=True)

    return show


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
