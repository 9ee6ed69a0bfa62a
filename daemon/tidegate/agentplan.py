"""What an agent takes of a configuration, checked before anything is touched: outputs, inputs, and what rule files count.

The same settings and rule files serve the server; what is wrong with its part of them is the server's to say, and does not
keep an agent from shipping. Nothing here loads what only a server needs.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from tidegate import sources
from tidegate.kit import config
from tidegate.logs import checks, kql
from tidegate.logs.inputs import check as inputs
from tidegate.logs.outputs import build, extras
from tidegate.model import problems, rules, settings
from tidegate.rules import load

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A configuration that an agent can use."""

    loaded: config.Loaded
    logs: rules.RuleSet
    """What is counted and looked for in lines; no rules."""

    @property
    def settings(self) -> settings.Settings:
        """The settings."""
        return self.loaded.settings


def make(path: pathlib.Path | None, environ: Mapping[str, str]) -> Plan:
    """Read and check it. Raises `ConfigError` with every problem."""
    loaded = config.load(path, environ)
    given, document = loaded.settings.logs, loaded.document
    wrong = [
        *checks.found(given, document),
        *inputs.problems_of(given.receive, loaded.folder, document),
        *_output(given, loaded),
    ]

    def checked(work: Callable[[], T]) -> T | None:
        try:
            return work()
        except problems.ConfigError as error:
            wrong.extend(error.problems)
            return None

    logs = checked(lambda: load.logs(sources.rule_files(loaded), kql.check))
    checked(lambda: extras.check(given, document))
    if wrong or logs is None:
        raise problems.ConfigError(wrong)
    return Plan(loaded, logs)


def _output(given: settings.Logs, loaded: config.Loaded) -> list[problems.Problem]:
    if given.elasticsearch.urls or build.names(given):
        return []
    summary = "an agent needs somewhere to ship to: `logs.elasticsearch.urls` is empty, and no other output is given"
    return [loaded.document.problem("logs-no-output", summary, ("logs", "elasticsearch", "urls"))]
