"""Lines behind an alert: each form once, newest first, with how many it stands for and where to see all of them."""

from __future__ import annotations

import dataclasses

from tidegate.alerts import evidence
from tidegate.kit import telemetry
from tidegate.model import alerts, logs

NOW = 1_714_557_600.0


class Reader:
    """Finds what it was given."""

    def __init__(self, *messages: str) -> None:
        self.lines = tuple(
            logs.LogLine(NOW - number, message, "error", "shop") for number, message in enumerate(messages)
        )
        self.asked: list[tuple[str, float, float]] = []

    async def search(self, query: str, *, start: float, end: float, limit: int) -> logs.LogPage:
        self.asked.append((query, start, end))
        return logs.LogPage(self.lines[:limit], len(self.lines), url="https://kibana.example.org/x")


async def test_lines_that_differ_in_numbers_and_ids_are_one_form() -> None:
    reader = Reader(
        "order 17 declined by 'bank a'",
        "timeout after 12.5 ms",
        "order 18 declined by 'bank b'",
        "trace 4bf92f3577b34da6 lost",
        "trace 00f067aa0ba902b7 lost",
        "order 19 declined by 'bank a'",
        "deadbeef is a word",
    )
    alert = alerts.Alert((("alertname", "A"),), "firing", "r", active_at=NOW, log_query="level:error")
    found = await evidence.Evidence(reader, telemetry.Registry(), 3).collect([alert], NOW)
    one = found[alert.fingerprint]
    assert [(line.message, line.similar) for line in one.lines] == [
        ("order 17 declined by 'bank a'", 2),
        ("timeout after 12.5 ms", 0),
        ("trace 4bf92f3577b34da6 lost", 1),
    ]
    assert (one.url, one.note) == ("https://kibana.example.org/x", "")
    assert reader.asked == [("level:error", NOW - evidence.BEFORE, NOW)]


def test_levels_and_services_are_kept_apart() -> None:
    line = logs.LogLine(NOW, "x 1", "error", "shop")
    others = (dataclasses.replace(line, level="warn"), dataclasses.replace(line, service="cart"))
    assert evidence.distinct([line, *others, line]) == (dataclasses.replace(line, similar=1), *others)
