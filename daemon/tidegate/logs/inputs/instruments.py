"""The inputs' own metrics: everything that came is either received (it is on disk) or refused, under a reason."""

from __future__ import annotations

from tidegate.kit import telemetry

_OURS = ("full", "disk", "busy", "connections", "error")
"""Reasons of refusals that are this side's fault, as alerts are about them."""


class Instruments:
    """`tidegate_logs_input_*` and `tidegate_logs_spool_*`; the label `input` is `<kind>-<name>`."""

    def __init__(self, registry: telemetry.Registry) -> None:
        self.received = telemetry.Counter(
            "tidegate_logs_input_received_total", "Records on disk in the spool.", ["input"], registry=registry
        )
        self.refused = telemetry.Counter(
            "tidegate_logs_input_refused_total",
            "Requests, messages and connections that were refused or dropped.",
            ["input", "reason"],
            registry=registry,
        )
        self.cut = telemetry.Counter(
            "tidegate_logs_input_cut_total",
            "Messages that were cut because they were too long.",
            ["input"],
            registry=registry,
        )
        self.connections = telemetry.Gauge(
            "tidegate_logs_input_connections", "Connections that are open.", ["input"], registry=registry
        )
        self.kernel_drops = telemetry.Gauge(
            "tidegate_logs_input_kernel_drops", "Datagrams that the kernel dropped.", ["input"], registry=registry
        )
        self.restarts = telemetry.Counter(
            "tidegate_logs_input_restarts_total", "Times that an input was started again.", ["input"], registry=registry
        )
        self.spool_bytes = telemetry.Gauge(
            "tidegate_logs_spool_bytes", "Size of the spool on disk.", ["input"], registry=registry
        )
        self.spool_limit = telemetry.Gauge(
            "tidegate_logs_spool_limit_bytes", "Size that the spool may have on disk.", ["input"], registry=registry
        )
        self.dropped_lines = telemetry.Counter(
            "tidegate_logs_spool_dropped_lines_total", "Records dropped to make room.", ["input"], registry=registry
        )
        self.dropped_bytes = telemetry.Counter(
            "tidegate_logs_spool_dropped_bytes_total",
            "Bytes of records dropped to make room.",
            ["input"],
            registry=registry,
        )
        self.spool_errors = telemetry.Counter(
            "tidegate_logs_spool_errors_total",
            "Times that the spool could not be written.",
            ["input"],
            registry=registry,
        )

    def begin(self, name: str) -> None:
        """Make the series of an input's losses, at 0: `increase` does not see a first loss that comes with its series."""
        for reason in _OURS:
            self.refused.labels(name, reason)
        for counter in (self.restarts, self.dropped_lines, self.dropped_bytes, self.spool_errors):
            counter.labels(name)
