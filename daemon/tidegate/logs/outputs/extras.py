"""Which outputs need a library of their own, and what to say when it is not installed. Loads none of them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Final

from tidegate.kit import yamlfile
from tidegate.model import problems, settings

LIBRARIES: Final[Mapping[str, tuple[str, tuple[str, ...], str]]] = {
    "cloudwatch": ("group", ("botocore",), "aws"),
    "google": ("project", ("google.cloud.logging_v2",), "google"),
    "azure": ("endpoint", ("azure.monitor.ingestion", "azure.identity"), "azure"),
}
"""By section of `logs`: the field that turns it on, its libraries, and the extra that brings them."""


def check(config: settings.Logs, document: yamlfile.Document) -> None:
    """Raise `ConfigError` for each output that is configured without its library."""
    if found := list(_missing(config, document)):
        raise problems.ConfigError(found)


def _missing(config: settings.Logs, document: yamlfile.Document) -> Iterator[problems.Problem]:
    for section, (field, modules, extra) in LIBRARIES.items():
        if not getattr(getattr(config, section), field):
            continue
        lacking = [name for name in modules if not _installed(name)]
        if lacking:
            summary = f"`logs.{section}` needs a library that is not installed: {', '.join(lacking)}"
            hint = f"pip install 'tidegate[{extra}]'"
            yield document.problem("logs-extra-missing", summary, ("logs", section), hint=hint)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even its package
        return False
