"""Options that several commands share."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from tidegate.kit import config as config_
from tidegate.model import problems

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_SERVER = "http://127.0.0.1:9320"
DEFAULT_CONFIG = ("tidegate.yaml", "/etc/tidegate/tidegate.yaml")


def config(function: F) -> F:
    """`--config FILE`."""
    return click.option(
        "--config",
        "-c",
        type=click.Path(path_type=pathlib.Path, dir_okay=False),
        envvar="TIDEGATE_CONFIG",
        help="Settings file; default tidegate.yaml, then /etc/tidegate/tidegate.yaml.",
    )(function)


def server(function: F) -> F:
    """`--server URL` and `--token-file FILE`."""
    token = click.option(
        "--token-file",
        type=click.Path(path_type=pathlib.Path, dir_okay=False),
        envvar="TIDEGATE_TOKEN_FILE",
        help="File with the bearer token; or the token itself in TIDEGATE_TOKEN.",
    )
    url = click.option(
        "--server",
        "-s",
        envvar="TIDEGATE_SERVER",
        default=DEFAULT_SERVER,
        show_default=True,
        help="The server's address.",
    )
    return url(token(function))


def output(*forms: str) -> Callable[[F], F]:
    """`-o FORM`."""
    return click.option(
        "--output",
        "-o",
        "form",
        type=click.Choice(forms),
        default=forms[0],
        show_default=True,
        help="Form of the output.",
    )


def find(given: pathlib.Path | None) -> pathlib.Path | None:
    """The settings file that was named, else the first default one there is."""
    return given or next((pathlib.Path(name) for name in DEFAULT_CONFIG if pathlib.Path(name).is_file()), None)


def load(path: pathlib.Path | None) -> config_.Loaded:
    """The settings of a command; prints the problems and exits with 1 when there are some."""
    try:
        return config_.load(find(path), os.environ)
    except problems.ConfigError as error:
        show(error)
        sys.exit(1)


def show(error: problems.ConfigError) -> None:
    """Print problems to standard error."""
    for problem in error.problems:
        click.echo(problem.render(), err=True)


def token(path: pathlib.Path | None) -> str:
    """The bearer token from its file or the environment; empty when there is none."""
    if path is None:
        return os.environ.get("TIDEGATE_TOKEN", "")
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise click.UsageError(f"cannot read the token's file {path}: {error.strerror}") from None
