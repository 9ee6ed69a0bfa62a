"""Everything that answers need, as ports: given once, never changed. No route reaches for anything else."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from tidegate.kit import telemetry
from tidegate.model import alerts, ports, settings

Push: TypeAlias = Callable[[Sequence[alerts.Alert]], Awaitable[None]]
"""Takes alerts that others push to us, and returns when they are kept."""
Runbook: TypeAlias = Callable[[str], str | None]
"""The Markdown runbook of a rule pack by its name; `None` when there is no such pack."""
Missing: TypeAlias = Callable[[], Sequence[str]]
"""What is wrong or still missing, one sentence each; empty when all is well."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What the HTTP side sees of the rest."""

    engine: ports.QueryEngine
    queries: ports.Queries
    rules: ports.RuleReader
    targets: ports.TargetReader
    metadata: ports.MetadataReader
    exemplars: ports.ExemplarReader
    writes: ports.WriteReceiver
    book: ports.AlertBook
    silences: ports.Silences
    logs: ports.LogStore
    sent: ports.SentLog
    streams: ports.StreamReader
    gate: ports.Gate
    ledger: ports.Ledger
    reload: ports.Reload
    clock: ports.Clock
    registry: telemetry.Registry
    web: settings.Web
    ready: Missing
    healthy: Missing
    push_alerts: Push
    external_url: str = ""
    """Base of our own links, without a final slash; empty makes them relative."""
    resolve_timeout: float = 300.0
    """Seconds after which a pushed alert without `endsAt` is taken for over."""
    receivers: tuple[str, ...] = ()
    """Names of the configured receivers."""
    configuration: Callable[[], str] = str
    """The settings as text, without secrets, for `/api/v1/status/config` and `/api/v2/status`."""
    reload_failed: Callable[[], bool] = bool
    """Whether the newest configuration was refused, and an older one is in force."""
    runbook: Runbook = lambda _: None
    """What `/runbooks/{pack}` shows."""
    retention: float = 0.0
    """Seconds that samples are kept."""
    started_at: float = 0.0
    """Unix seconds of this process' start."""
