"""The shipper's own metrics, in one place: every line read ends up in exactly one of shipped, rejected, or still under way."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.kit import telemetry


class Instruments:
    """`tidegate_logs_*`."""

    def __init__(self, registry: telemetry.Registry) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> telemetry.Counter:
            return telemetry.Counter(f"tidegate_logs_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> telemetry.Gauge:
            return telemetry.Gauge(f"tidegate_logs_{name}", text, labels, registry=registry)

        self.lines = counter("lines", "Lines read from files.", ("dataset",))
        self.bytes = counter("read_bytes", "Bytes read from files.", ("dataset",))
        self.events = counter("events", "Documents made from lines.", ("dataset",))
        self.shipped = counter("shipped", "Documents that every output acknowledged.")
        self.dead = counter("dead_letters", "Documents that an output refused for good, now in the dead-letter file.")
        self.stored = counter("output_stored", "Documents that an output acknowledged.", ("output",))
        self.refused = counter("output_refused", "Documents that an output refused for good.", ("output", "status"))
        self.cut = counter("cut_lines", "Lines cut because they were too long, and lines left out of too long traces.")
        self.lost = counter("lost_bytes", "Bytes that vanished from files (truncated, deleted) before they were read.")
        self.rewritten = counter("rewritten_files", "Files whose content began anew: truncated or written over.")
        self.unparsed = counter(
            "unparsed_lines", "Lines that their input's format did not take, kept as text.", ("dataset",)
        )
        self.untimed = counter(
            "unreadable_times", "Lines whose time could not be read; they have the time of reading.", ("dataset",)
        )
        self.redacted = counter("redacted", "Secrets replaced before a line left, by rule.", ("rule",))
        self.left_out = counter(
            "left_out_lines",
            "Lines left out by sampling or by a rate limit, as the settings ask.",
            ("dataset", "reason"),
        )
        self.observers = counter("observer_errors", "Batches that a log metric or another observer failed on.")
        self.crashes = counter("send_errors", "Batches whose sending failed in an unforeseen way; they are sent again.")
        self.checkpoint_errors = counter("checkpoint_errors", "Checkpoints that could not be written or read.")
        self.file_errors = counter("file_errors", "Times that a file could not be read.")
        self.files = gauge("files", "Files that are followed.")
        self.open_files = gauge("open_files", "Files that are held open.")
        self.lag_bytes = gauge("lag_bytes", "Bytes of all files that are not stored yet.", ("dataset",))
        self.lag_seconds = gauge("lag_seconds", "Age of the oldest bytes that are not stored yet.", ("dataset",))
        self.in_flight = gauge("in_flight_bytes", "Bytes of documents in memory, sent or waiting for company.")
        self.output_error = gauge("output_error", "1 while an output is refusing or unreachable.", ("output",))

    def changed(
        self, dataset: str, unparsed: int, untimed: int, redacted: Mapping[str, int], left_out: Mapping[str, int]
    ) -> None:
        """Count what happened to lines on their way."""
        if unparsed:
            self.unparsed.labels(dataset).inc(unparsed)
        if untimed:
            self.untimed.labels(dataset).inc(untimed)
        for rule, count in redacted.items():
            self.redacted.labels(rule).inc(count)
        for reason, count in left_out.items():
            self.left_out.labels(dataset, reason).inc(count)
