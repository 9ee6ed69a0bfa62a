"""`tidegate completion`: the shell code that completes commands and options."""

from __future__ import annotations

import click
from click import shell_completion

from tidegate import cli


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print shell completion.

    \b
    Example:
      tidegate completion bash > ~/.local/share/bash-completion/completions/tidegate
    """
    kind = shell_completion.get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(cli.cli, {}, "tidegate", "_TIDEGATE_COMPLETE").source())
