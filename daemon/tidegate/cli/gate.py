"""`tidegate gate`: ask the gate once, or wait until it opens. Made for pipelines: the exit code is the answer."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
import time
from typing import Any

import click
import orjson

from tidegate.cli import client, options
from tidegate.model import settings

CODES = {"allow": 0, "deny": 1, "unknown": 3, "wait": 8}
MARKS = {"allow": "✔", "deny": "✘", "unknown": "?", "wait": "…"}
COLOURS = {"allow": "green", "deny": "red", "unknown": "yellow", "wait": "yellow"}
HEARTBEAT = 60.0
LONG_POLL = 20.0


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and of whom."""

    server: str
    environment: str
    service: str
    version: str
    token: str

    def ask(self, wait: float = 0.0) -> dict[str, Any]:
        """The verdict's JSON. Raises `client.Unreachable`; exits with 2 when the question itself is wrong."""
        params: dict[str, Any] = {"version": self.version, "code": "200"}
        if wait:
            params["wait"] = f"{wait:.0f}s"
        path = f"/v1/gate/{self.environment}/{self.service}"
        response = client.request("GET", self.server, path, params=params, token=self.token, timeout=wait + 10)
        body = client.parse(response)
        if response.status_code >= 400:
            client.fail(2, client.detail(response))
        if not isinstance(body, dict) or body.get("verdict") not in CODES:
            raise client.Unreachable(f"{self.server} gave no verdict: is it a Tidegate server?")
        return body


def _question(function: Any) -> Any:
    for option in (
        click.option("--env", "-e", "environment", required=True, help="Environment to promote to."),
        click.option("--service", required=True, help="The service."),
        click.option("--version", "version", default="", help="The version to be promoted."),
        options.output("text", "json", "github"),
        options.server,
    ):
        function = option(function)
    return function


@click.group()
def gate() -> None:
    """Ask the gate: may this version be promoted now, and if not, why?

    Exit codes: 0 allow, 1 deny, 2 usage, 3 unknown, 4 not authorised, 5 unreachable, 8 wait.
    """


@gate.command()
@_question
def check(
    environment: str, service: str, version: str, form: str, server: str, token_file: pathlib.Path | None
) -> None:
    """Ask once.

    \b
    Example:
      tidegate gate check --env production --service shop --version 1.4.0
    """
    question = Question(server, environment, service, version, options.token(token_file))
    try:
        verdict = question.ask()
    except client.Unreachable as error:
        client.fail(client.UNREACHABLE, str(error))
    show(verdict, form)
    sys.exit(CODES[verdict["verdict"]])


@gate.command()
@_question
@click.option("--timeout", default="10m", show_default=True, help="Give up after this long; 0 is never.")
@click.option("--min-stable", default="0", show_default=True, help="Ask for `allow` without a break for this long.")
@click.option("--fail-fast", is_flag=True, help="Give up at the first `deny`.")
def wait(
    environment: str,
    service: str,
    version: str,
    form: str,
    server: str,
    token_file: pathlib.Path | None,
    timeout: str,
    min_stable: str,
    fail_fast: bool,
) -> None:
    """Wait until the gate opens. Prints a line at each change, and a sign of life each minute.

    \b
    Example:
      tidegate gate wait --env production --service shop --version 1.4.0 --timeout 30m --min-stable 2m
    """
    question = Question(server, environment, service, version, options.token(token_file))
    waiter = Waiter(question, seconds(timeout, "--timeout"), seconds(min_stable, "--min-stable"), fail_fast, form)
    sys.exit(waiter.run())


class Waiter:
    """Asks again and again, and tells only what changed."""

    def __init__(self, question: Question, timeout: float, stable: float, fail_fast: bool, form: str) -> None:
        self._question, self._timeout, self._stable = question, timeout, stable
        self._fail_fast, self._form = fail_fast, form
        self._started = self._spoke = time.monotonic()
        self._open_since: float | None = None
        self._said: object = None

    def run(self) -> int:
        """The exit code: 0 when it opened, 1 on `deny` with fail-fast; at the timeout 5 or 8 by the last answer."""
        while True:
            verdict, code = self._ask()
            now = time.monotonic()
            self._tell(verdict, now)
            if verdict["verdict"] != "allow":
                self._open_since = None
            elif self._open_since is None:
                self._open_since = now
            if self._open_since is not None and now - self._open_since >= self._stable:
                return 0
            if self._fail_fast and verdict["verdict"] == "deny":
                return 1
            if self._timeout and now - self._started >= self._timeout:
                click.echo(f"gave up after {self._timeout:.0f} s: still {verdict['verdict']}", err=True)
                return code
            time.sleep(self._pause(now))

    def _ask(self) -> tuple[dict[str, Any], int]:
        try:
            return self._question.ask(), 8
        except client.Unreachable as error:
            return {"verdict": "unreachable", "message": str(error), "reasons": []}, client.UNREACHABLE

    def _pause(self, now: float) -> float:
        left = self._timeout - (now - self._started) if self._timeout else 5.0
        return max(min(2.0, left), 0.05)

    def _tell(self, verdict: dict[str, Any], now: float) -> None:
        key = (verdict["verdict"], verdict["message"])
        if key != self._said:
            show(verdict, self._form)
        elif now - self._spoke >= HEARTBEAT:
            click.echo(f"still {verdict['verdict']} after {now - self._started:.0f} s: {verdict['message']}")
        else:
            return
        self._said, self._spoke = key, now


def show(verdict: dict[str, Any], form: str) -> None:
    """Print a verdict."""
    name = verdict["verdict"]
    if form == "json":
        click.echo(orjson.dumps(verdict).decode())
        return
    head = f"{MARKS.get(name, '!')} {name}: {verdict['message']}"
    click.secho(head, fg=COLOURS.get(name, "yellow"), bold=True)
    for reason in verdict["reasons"]:
        mark = "-" if reason["blocking"] else "·"
        click.echo(f"  {mark} [{reason['kind']}] {reason['rule']}: {reason.get('message') or reason['state']}")
    if verdict.get("url"):
        click.echo(f"  {verdict['url']}")
    if form == "github":
        _github(verdict, head)


def _github(verdict: dict[str, Any], head: str) -> None:
    """An annotation on the run, and the reasons in the step's summary."""
    kind = "notice" if verdict["verdict"] == "allow" else "error"
    click.echo(f"::{kind} title=Tidegate::{head}")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        rows = "".join(
            f"| {r['kind']} | {r['rule']} | {r.get('message') or r['state']} |\n" for r in verdict["reasons"]
        )
        table = f"| kind | rule | what |\n|---|---|---|\n{rows}" if rows else ""
        with pathlib.Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"### {head}\n\n{table}\n")


def seconds(text: str, option: str) -> float:
    """A duration option's seconds."""

    try:
        value = settings.seconds(text)
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise click.UsageError(f"{option}: {text!r} is not a duration such as 30s, 5m or 1h30m") from None
