"""Targets: what is scraped, and how it is doing."""

from __future__ import annotations

import dataclasses
from typing import Literal

from tidegate.model import labels as labels_

Health = Literal["up", "down", "unknown"]


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
    body_limit: int = 64 * 1024 * 1024
    """Bytes of one exposition after decompression; a larger one fails the scrape."""
    sample_limit: int = 0
    """Samples of one scrape; 0 is no limit. A larger scrape fails whole."""
    headers: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)
    """Authorization and the like; never shown."""
    verify_tls: bool = True
    scrape_protocols: tuple[str, ...] = ()
    """Formats to ask for, best first, by Prometheus' names; none stands for all that we read."""
    fallback_scrape_protocol: str = ""
    """The format to assume of an answer whose `Content-Type` does not say; empty fails such a scrape."""

    @property
    def key(self) -> str:
        """Names the target in the store and in metrics: its labels, fixed by the configuration."""
        return labels_.text(labels_.merge(self.labels, {"__url__": self.url}))


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
