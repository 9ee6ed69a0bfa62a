"""What remote write counts, by the receiver's name. Who counts is not known here."""

from __future__ import annotations

from tidegate.kit import telemetry


class Instruments:
    """The instruments of all receivers."""

    def __init__(self, registry: telemetry.Registry) -> None:
        self.samples = telemetry.Counter(
            "tidegate_remote_write_samples", "Samples that a receiver took.", ["name"], registry=registry
        )
        self.failed = telemetry.Counter(
            "tidegate_remote_write_samples_failed", "Samples that a receiver refused.", ["name"], registry=registry
        )
        self.retried = telemetry.Counter(
            "tidegate_remote_write_samples_retried", "Samples that were tried again.", ["name"], registry=registry
        )
        self.dropped = telemetry.Counter(
            "tidegate_remote_write_samples_dropped",
            "Samples that were not sent.",
            ["name", "reason"],
            registry=registry,
        )
        self.bytes = telemetry.Counter(
            "tidegate_remote_write_bytes", "Bytes of messages that were answered.", ["name"], registry=registry
        )
        self.metadata_failed = telemetry.Counter(
            "tidegate_remote_write_metadata_failed",
            "Rounds of metadata that a receiver did not take.",
            ["name"],
            registry=registry,
        )
        self.pending = telemetry.Gauge(
            "tidegate_remote_write_samples_pending", "Samples that wait in the store.", ["name"], registry=registry
        )
        self.lag = telemetry.Gauge(
            "tidegate_remote_write_lag_seconds", "Age of the oldest sample that waits.", ["name"], registry=registry
        )
        self.shards = telemetry.Gauge(
            "tidegate_remote_write_shards", "Requests that may be under way at once.", ["name"], registry=registry
        )

    def remove(self, name: str) -> None:
        """A receiver is not written to any more."""
        for gauge in (self.pending, self.lag, self.shards):
            gauge.remove(name)


class Counts:
    """Those of one receiver."""

    def __init__(self, of: Instruments, name: str) -> None:
        self.name = name
        self._dropped = of.dropped
        self.samples, self.failed, self.retried = (
            of.samples.labels(name),
            of.failed.labels(name),
            of.retried.labels(name),
        )
        self.bytes, self.metadata_failed = of.bytes.labels(name), of.metadata_failed.labels(name)
        self.pending, self.lag, self.shards = of.pending.labels(name), of.lag.labels(name), of.shards.labels(name)

    def drop(self, reason: str, samples: int) -> None:
        """Samples are not sent."""
        if samples:
            self._dropped.labels(self.name, reason).inc(samples)
