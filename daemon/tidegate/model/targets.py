"""Targets: what is scraped, how, and how it is doing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from tidegate.model import client as client_
from tidegate.model import labels as labels_
from tidegate.model import probing, relabelling

Health = Literal["up", "down", "unknown"]


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one scrape may bring; 0 is no limit. A scrape that brings more fails whole."""

    body: int = 64 * 1024 * 1024
    """Bytes of the exposition after decompression."""
    samples: int = 0
    """After relabelling."""
    labels: int = 0
    """Labels of a series, the metric name among them."""
    name_length: int = 0
    """Bytes of a label name."""
    value_length: int = 0
    """Bytes of a label value."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """How a target is probed instead of scraped."""

    address: str
    """What the prober is given: a URL, `host:port` or a host."""
    module: str
    settings: probing.Module = dataclasses.field(hash=False)
    hostname: str = ""
    """The name to ask for, where the address has none."""
    folder: str = ""
    """What the files of the module are relative to."""


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One endpoint to scrape. Equal targets are the same target across a reload."""

    job: str
    url: str
    labels: labels_.Labels
    """Labels put on every series, `job` and `instance` among them."""
    discovered: labels_.Labels = ()
    """Labels before relabelling (`__address__`, `__meta_*`), shown on the targets page."""
    interval: float = 15.0
    """Seconds between scrapes."""
    timeout: float = 10.0
    """Seconds until a scrape counts as failed; never more than the interval."""
    honor_labels: bool = False
    honor_timestamps: bool = True
    track_staleness: bool = False
    """Whether series with timestamps of their own get stale markers."""
    limits: Limits = Limits()
    relabel: relabelling.Steps = ()
    """For the series (`metric_relabel_configs`)."""
    client: client_.Client = client_.PLAIN
    scrape_protocols: tuple[str, ...] = ()
    """Formats to ask for, best first, by Prometheus' names; none stands for all that we read."""
    fallback_scrape_protocol: str = ""
    """The format to assume of an answer whose `Content-Type` does not say; empty fails such a scrape."""
    escaping: str = "allow-utf-8"
    """How names that are not classic should be sent."""
    legacy_names: bool = False
    """Whether other than classic names fail a scrape."""
    extra_metrics: bool = False
    """Whether the scrape's limits are stored as series too."""
    refused: str = ""
    """Why it is not scraped though it is configured; shown as its error."""
    probe: Probe | None = None
    """Where it is probed; `url` only names it then."""

    @property
    def key(self) -> str:
        """Names the target in the store and in metrics: its labels, fixed by the configuration."""
        return labels_.text(labels_.merge(self.labels, {"__url__": self.url}))


@dataclasses.dataclass(frozen=True, slots=True)
class Dropped:
    """A target that relabelling dropped."""

    job: str
    discovered: labels_.Labels


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What discovery found."""

    targets: tuple[Target, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    """At most `keep_dropped_targets` of each job."""
    dropped_counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """All of them, by job."""


@dataclasses.dataclass(frozen=True, slots=True)
class TargetStatus:
    """The last scrape of one target."""

    target: Target
    health: Health = "unknown"
    last_scrape: float = 0.0
    """Unix seconds; 0 before the first."""
    duration: float = 0.0
    samples: int = 0
    error: str = ""
    """Why it is down; of a target that is up, why its probe failed."""
