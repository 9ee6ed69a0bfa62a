"""What is counted and said of reloads, by the server and the agent alike."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.kit import telemetry
from tidegate.model import settings

_LOGS = (
    *("logstash", "otlp", "cloudwatch", "google", "azure", "file"),
    *("poll_interval", "max_line_bytes", "max_open_files", "dead_letter_max_bytes"),
)
_BATCHES = ("bulk_bytes", "bulk_delay", "concurrency")


class Reloads:
    """`tidegate_config_*`."""

    def __init__(self, registry: telemetry.Registry) -> None:
        self.failed = False
        """Whether the newest configuration was refused."""
        self._good = telemetry.Gauge(
            "tidegate_config_last_reload_successful",
            "Whether the newest configuration is in force.",
            registry=registry,
        )
        self._count = telemetry.Counter(
            "tidegate_config_reloads", "Reloads of the configuration.", ["outcome"], registry=registry
        )
        self._good.set(1)

    def taken(self) -> None:
        """The newest configuration is in force."""
        self._set("taken", failed=False)

    def refused(self) -> None:
        """The newest configuration has problems; the old one stays."""
        self._set("refused", failed=True)

    def _set(self, outcome: str, *, failed: bool) -> None:
        self._count.labels(outcome).inc()
        self._good.set(not failed)
        self.failed = failed


def process(before: settings.Settings, after: settings.Settings) -> Sequence[str]:
    """Settings of any process that changed and are only taken at a start."""
    changed = ["data_dir"] if before.data_dir != after.data_dir else []
    changed += ["web.listen"] if before.web.listen != after.web.listen else []
    return [*changed, *logs(before.logs, after.logs)]


def logs(before: settings.Logs, after: settings.Logs) -> Sequence[str]:
    """Settings of shipping that changed and are only taken at a start."""
    changed = [f"logs.{name}" for name in _LOGS if getattr(before, name) != getattr(after, name)]
    old, new = before.elasticsearch, after.elasticsearch
    return changed + [f"logs.elasticsearch.{name}" for name in _BATCHES if getattr(old, name) != getattr(new, name)]
