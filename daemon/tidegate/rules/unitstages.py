"""What our rule unit tests can look at beside promtool's: messages and gates, made by the stages after the rules.

The stages are handed in. Each test gives a title and a difference, as those of alerts and queries do.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from tidegate.model import gate, ports, rules, settings
from tidegate.rules import audience, unitfiles

AFTER = 0.001
"""Seconds after a test's time at which it looks: what is due at that very time is done."""


class Stages(audience.Audience, Protocol):
    """The audience of a test."""

    @property
    def sent(self) -> Sequence[audience.Sent]:
        """Every message so far."""

    @property
    def integrations(self) -> Mapping[str, Sequence[str]]:
        """The names of every receiver's integrations."""

    def ask(self, environment: str, service: str, version: str = "") -> gate.Verdict:
        """The gate's answer now. Raises `KeyError` for an unknown environment."""


class Lines(ports.LogReader, Protocol):
    """Takes log lines and counts them."""

    def take(self, raw: str, source: settings.LogInput, at: float) -> None:
        """A line is written at a time, not earlier than the last one."""

    def finish(self, at: float) -> None:
        """Store every count that is due by a time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """Makes the stages of one test."""

    stages: Callable[[pathlib.Path | None, ports.LogReader | None], Stages]
    """For the settings file that a test file names. Raises `ConfigError`."""
    lines: Callable[[rules.RuleSet, ports.SampleStore, float], Lines]


Found: TypeAlias = tuple[str, str]
"""A title and a difference."""


class Written:
    """The log lines of a test, in order of time."""

    def __init__(self, test: unitfiles.Test, lines: Lines, start: float) -> None:
        sources = [_source(one) for one in test.input_logs]
        given = [
            (start + one.at + number * one.every, place, text, sources[place])
            for place, one in enumerate(test.input_logs)
            for number, text in enumerate(text for _ in range(one.repeat) for text in one.lines)
        ]
        self._due = sorted(given, key=lambda line: line[:2])
        self._lines = lines

    def until(self, at: float) -> None:
        """Write what is due by a time."""
        due = list(itertools.takewhile(lambda line: line[0] <= at, self._due))
        for when, _, text, source in due:
            self._lines.take(text, source, when)
        del self._due[: len(due)]
        self._lines.finish(at)


def _source(one: unitfiles.InputLogs) -> settings.LogInput:
    return settings.LogInput(
        paths=(one.path,),
        format=one.format,
        service=one.service,
        environment=one.environment,
        version=one.version,
        labels=one.labels,
        redact=one.redact,
        redact_patterns=one.redact_patterns,
    )


class Looks:
    """The tests of messages and gates of one scenario."""

    def __init__(self, test: unitfiles.Test, stages: Stages, start: float) -> None:
        both: list[unitfiles.NotificationTest | unitfiles.GateTest] = [*test.notification_test, *test.gate_test]
        self._due = sorted(both, key=lambda one: one.eval_time)
        self._stages, self._start = stages, start
        self._told: dict[tuple[str, str], int] = {}

    async def before(self, offset: float) -> list[tuple[float, Found]]:
        """Look at everything whose time is before an offset (seconds since the start); with their times."""
        found = []
        while self._due and self._due[0].eval_time < offset:
            one = self._due.pop(0)
            await self._stages.until(self._start + one.eval_time + AFTER)
            look = self._messages(one) if isinstance(one, unitfiles.NotificationTest) else self._gate(one)
            found.append((one.eval_time, look))
        return found

    def _messages(self, test: unitfiles.NotificationTest) -> Found:
        """Compare what was sent since the test before this one of the same integration."""
        known = self._stages.integrations
        if test.receiver not in known:
            return f"messages to {test.receiver}", f"  there is no receiver `{test.receiver}`: {_names(known)}"
        name = test.integration or next(iter(known[test.receiver]), "")
        title = f"messages to {test.receiver} {name}"
        if name not in known[test.receiver]:
            return title, f"  `{test.receiver}` has no integration `{name}`: {_names(known[test.receiver])}"
        every = [one for one in self._stages.sent if (one.receiver, one.integration) == (test.receiver, name)]
        fresh = every[self._told.get((test.receiver, name), 0) :]
        self._told[test.receiver, name] = len(every)
        return title, "\n".join(_compared(test.exp_notifications, fresh, self._start))

    def _gate(self, test: unitfiles.GateTest) -> Found:
        title = f"gate of {test.environment}/{test.service}"
        try:
            verdict = self._stages.ask(test.environment, test.service, test.version)
        except KeyError:
            return title, f"  there is no environment `{test.environment}` in the settings"
        lines = []
        if verdict.verdict != test.exp_verdict:
            lines += [f"  - {test.exp_verdict}", f"  + {verdict.verdict}: {verdict.message}"]
        blocking = sorted({reason.rule for reason in verdict.reasons if reason.blocking})
        if test.exp_reasons is not None and blocking != sorted(set(test.exp_reasons)):
            lines += [f"  - because of {_names(sorted(set(test.exp_reasons)))}", f"  + because of {_names(blocking)}"]
        return title, "\n".join(lines)


def _compared(
    wanted: Sequence[unitfiles.ExpectedNotification], got: Sequence[audience.Sent], start: float
) -> Iterator[str]:
    """Message by message: what is missing, what differs, what is too much."""
    for one, sent in zip(wanted, got, strict=False):
        yield from _difference(one, sent)
    for one in wanted[len(got) :]:
        yield f"  - {one.title or one.text or ' / '.join(one.lines) or 'a message'}"
    for sent in got[len(wanted) :]:
        yield f"  + {sent.title} (at {sent.at - start:g} s)"
        yield from (f"  +   {line}" for line in sent.text.splitlines())


def _difference(one: unitfiles.ExpectedNotification, sent: audience.Sent) -> Iterator[str]:
    if one.title and one.title != sent.title:
        yield from (f"  - {one.title}", f"  + {sent.title}")
    if one.text:
        wanted, got = one.text.strip("\n").split("\n"), sent.text.strip("\n").split("\n")
        if wanted != got:
            yield from (f"  {line.rstrip()}" for line in difflib.ndiff(wanted, got) if line[0] in "-+ ")
    there = {line.strip() for line in sent.text.splitlines()}
    missing = [line for line in one.lines if line.strip() not in there]
    yield from (f"  - {line}" for line in missing)
    if missing:
        yield "    is missing in:"
        yield from (f"  + {line}" for line in sent.text.splitlines())


def _names(of: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(of) or "nothing"
