"""Everything of a configuration that can be wrong, worked out before anything is touched.

`tidegate check` stops here; a start and a reload take the plan and swap it in. All problems of all parts come together
in one `ConfigError`.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from tidegate import sources
from tidegate.alerts import routing
from tidegate.discovery import manager as discovery_
from tidegate.gate import scope
from tidegate.kit import access, config
from tidegate.logs import checks, kql
from tidegate.logs.inputs import check as inputs_
from tidegate.logs.outputs import extras
from tidegate.metrics.remote import build, datasource, writer
from tidegate.model import ports, problems, rules, settings
from tidegate.notify import integration, receivers
from tidegate.rules import load

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """A configuration that can be used."""

    loaded: config.Loaded
    rules: rules.RuleSet
    tree: routing.Tree
    integrations: Mapping[str, tuple[integration.Integration, ...]]
    discovery: discovery_.Discovery
    datasources: Mapping[str, ports.QueryEngine]
    receivers: tuple[writer.Receiver, ...]
    """Of remote write."""

    @property
    def settings(self) -> settings.Settings:
        """The settings."""
        return self.loaded.settings


def make(path: pathlib.Path | None, environ: Mapping[str, str], engine: ports.QueryEngine, clock: ports.Clock) -> Plan:
    """Read and check everything. Raises `ConfigError` with every problem."""
    loaded = config.load(path, environ)
    given, document = loaded.settings, loaded.document
    wrong: list[problems.Problem] = list(discovery_.check(given.scrape, document, given.probes))
    wrong += checks.found(given.logs, document)
    wrong += inputs_.problems_of(given.logs.receive, loaded.folder, document)

    def checked(work: Callable[[], T]) -> T | None:
        try:
            return work()
        except problems.ConfigError as error:
            wrong.extend(error.problems)
            return None

    elsewhere = _datasources(loaded, clock)
    ruleset = checked(lambda: _rules(loaded, engine, elsewhere))
    tree = checked(lambda: routing.build(given.alerts, document))
    integrations = checked(lambda: receivers.build(given.alerts, document, loaded.folder))
    written = checked(lambda: build.receivers(given, document, loaded.folder))
    checked(lambda: scope.Scope(given.gate))
    checked(lambda: extras.check(given.logs, document))
    if wrong or ruleset is None or tree is None or integrations is None or written is None:
        raise problems.ConfigError(wrong)
    discovery = discovery_.Discovery(given.scrape, loaded.folder, clock, given.probes)
    return Plan(loaded, ruleset, tree, integrations, discovery, elsewhere, written)


def _datasources(loaded: config.Loaded, clock: ports.Clock) -> dict[str, ports.QueryEngine]:
    """Engines of the servers that rule groups may name. An equal configuration gives equal engines."""
    found: dict[str, ports.QueryEngine] = {}
    for name, one in loaded.settings.rules.datasources.items():
        way = access.resolved(one.client(), loaded.folder)
        found[name] = datasource.RemoteEngine(
            datasource.Server(name, one.url, way, one.timeout), access.Access(way, clock)
        )
    return found


def _rules(
    loaded: config.Loaded, engine: ports.QueryEngine, elsewhere: Mapping[str, ports.QueryEngine]
) -> rules.RuleSet:
    allowed = engine.allowing(experimental=loaded.settings.rules.experimental_promql)
    checks = load.Checks(allowed, kql.check, loaded.settings.rules.evaluation_interval, elsewhere)
    return load.load(sources.rule_files(loaded), checks)
