"""The command line: one file per command group, loaded when it is called.

Exit codes: 0 done (or `allow`), 1 something is wrong (or `deny`), 2 usage, 3 `unknown`, 4 not authorised, 5 the server
cannot be reached, 8 still waiting. Nothing here decides anything: commands call the stages, or the server over HTTP.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import os
import sys
from typing import Final

import click

import tidegate

# name: (module, function, one line of help) - so that `--help` and completion load no command.
COMMANDS: Final = {
    "run": ("serve", "run", "Server and agent in one process, on embedded storage."),
    "server": ("serve", "server", "Scraping, rules, alerts, notifications, gate, APIs and page."),
    "agent": ("agent", "agent", "Tail this machine's logs and ship them."),
    "check": ("check", "check", "Check settings and rule files; say what is wrong and what was found."),
    "test": ("ruletests", "test", "Run rule unit tests (promtool's files)."),
    "rules": ("rulefiles", "rules", "Rewrite rule files for any Prometheus."),
    "import": ("importing", "import_", "Turn the rules of other tools into rule files."),
    "replay": ("replay", "replay", "Run rules over history: what would have fired."),
    "gate": ("gate", "gate", "Ask the gate: may this version be promoted now?"),
    "query": ("query", "query", "Evaluate PromQL on a server."),
    "logs": ("logs", "logs", "Search log lines with KQL, and follow them."),
    "silence": ("silence", "silence", "Make, list and end silences."),
    "deploy": ("deploy", "deploy", "Record a deploy."),
    "setup": ("setup", "setup", "Prepare the services that Tidegate writes to."),
    "completion": ("completion", "completion", "Print shell completion."),
}


class Lazy(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, function, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"tidegate.cli.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(f"{error.message}" + (f" Did you mean `{near[0]}`?" if near else ""), ctx) from None


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(tidegate.__version__, prog_name="tidegate")
def cli() -> None:
    """Tidegate, the watch between staging and production.

    \b
    Try:
      tidegate run --config tidegate.yaml
      tidegate check --config tidegate.yaml
      tidegate gate check --env production --service shop
    """


def main() -> None:
    """The console script."""
    # Threads and plug-ins that nobody here uses cost a quarter of the start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # A start makes many objects and throws few away: looking through them again and again costs a fifth of it.
    gc.set_threshold(400_000, 20, 50)
    cli.main(prog_name="tidegate", args=sys.argv[1:])
