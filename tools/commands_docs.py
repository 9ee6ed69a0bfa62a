"""Writes docs/commands.md from the commands' own help: `python -m tools.commands_docs [--check]`."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator

import click

from tidegate import cli

TARGET = pathlib.Path(__file__).parents[1] / "docs/commands.md"
HEAD = """\
# Commands

Every command has `--help` with examples. `tidegate completion bash|zsh|fish` prints shell completion.

| exit code | meaning |
|---|---|
| 0 | done; the gate says `allow`; all checks and tests passed |
| 1 | something is wrong: problems found, a test failed, the gate says `deny` |
| 2 | the command was called wrongly |
| 3 | the gate says `unknown` |
| 4 | not authorised: a token is missing or has not the scope |
| 5 | the server cannot be reached |
| 8 | still waiting: the gate says `wait`, or `gate wait` gave up |
| 70 | a server or agent lost something that it cannot run without (its data directory, its address) |

Commands that ask a server take `--server URL` (or `TIDEGATE_SERVER`) and `--token-file FILE` (or the
token itself in `TIDEGATE_TOKEN`).

This page is made from the code: `make docs`.
"""


def main() -> int:
    """Write the page, or with `--check` say whether it is up to date."""
    text = render()
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != text:
            print("docs/commands.md is not what the code says: run `make docs`")
            return 1
        return 0
    TARGET.write_text(text)
    return 0


def render() -> str:
    """The page."""
    return "\n".join([HEAD, *_commands(cli.cli, "tidegate")])


def _commands(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            if sub is not None:
                yield from _section(sub, f"{path} {name}")
                yield from _commands(sub, f"{path} {name}") if isinstance(sub, click.Group) else ()


def _section(command: click.Command, path: str) -> Iterator[str]:
    yield f"## `{path}`\n"
    text = (command.help or "").replace("\b\n", "")
    yield _examples(text)
    rows = [
        _row(parameter) for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden
    ]
    if rows:
        yield "| option | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"


def _examples(text: str) -> str:
    """The help, its examples as a code block."""
    before, _, examples = text.replace("Examples:", "Example:").partition("Example:\n")
    lines = [f"    {line.strip()}" for line in examples.splitlines() if line.strip()]
    return before.strip() + "\n" + ("\n" + "\n".join(lines) + "\n" if lines else "")


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in sorted(option.opts, key=len, reverse=True))
    default = f" Default `{option.default}`." if option.show_default is True else ""
    choices = f" One of {', '.join(option.type.choices)}." if isinstance(option.type, click.Choice) else ""
    return f"| {names} | {option.help or ''}{choices}{default} |"


if __name__ == "__main__":
    sys.exit(main())
