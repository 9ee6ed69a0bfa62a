"""The log lines behind firing alerts, found while a message is made.

A message never waits longer than `DEADLINE` for them: what was not found in time is said in the message instead.
Nothing is cached; the same query for several alerts of one message is asked once.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Sequence

from tidegate.kit import telemetry
from tidegate.model import alerts, logs, ports, problems

DEADLINE = 3.0
BEFORE = 300.0
"""Seconds before an alert became active that its lines may be from."""
SEARCHES = 10
"""Distinct searches for one message."""
READ = 100
"""Lines that a search reads, of which the distinct ones are told."""
NOTE = 200
FORM = 500
"""Characters that decide which form a line has."""
_VARIABLE = re.compile(r"\"[^\"]*\"|'[^']*'|\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F-]{8,}\b|\d+(?:\.\d+)*")


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What a search gave."""

    lines: tuple[logs.LogLine, ...] = ()
    note: str = ""
    url: str = ""


class Evidence:
    """Searches the log store for the lines behind alerts."""

    def __init__(self, reader: ports.LogReader | None, registry: telemetry.Registry, limit: int) -> None:
        """`limit` lines for an alert; 0 or no reader turns it off."""
        self.limit = limit
        self._reader = reader
        self._log = telemetry.logger("evidence")
        self._abandoned: set[asyncio.Task[Found]] = set()
        self._searches = telemetry.Counter(
            "tidegate_alert_log_searches",
            "Searches for the log lines behind alerts.",
            ["outcome"],
            registry=registry,
        )

    async def collect(self, items: Sequence[alerts.Alert], now: float) -> dict[str, Found]:
        """What was found, by fingerprint, for those of the alerts that fire and have a log query."""
        wanted = [alert for alert in items if alert.state == "firing" and alert.log_query]
        if self._reader is None or not self.limit or not wanted:
            return {}
        starts: dict[str, float] = {}
        for alert in wanted:
            starts[alert.log_query] = min(starts.get(alert.log_query, now), (alert.active_at or now) - BEFORE)
        queries = list(starts)[:SEARCHES]
        running = {
            query: asyncio.create_task(self._search(self._reader, query, starts[query], now)) for query in queries
        }
        await asyncio.wait(running.values(), timeout=DEADLINE)
        found = {query: self._result(task) for query, task in running.items()}
        left_out = Found(note=f"log lines left out: a message makes at most {SEARCHES} searches")
        return {alert.fingerprint: found.get(alert.log_query, left_out) for alert in wanted}

    async def _search(self, reader: ports.LogReader, query: str, start: float, end: float) -> Found:
        try:
            page = await reader.search(query, start=start, end=end, limit=READ)
        except problems.TidegateError as error:
            self._searches.labels("error").inc()
            return Found(note=f"log search failed: {_short(str(error))}")
        except Exception:  # noqa: BLE001 - a message is never lost to its decoration
            self._searches.labels("error").inc()
            self._log.exception("log search crashed", query=query)
            return Found(note="log search failed: internal error")
        self._searches.labels("ok").inc()
        return Found(distinct(page.lines)[: self.limit], url=page.url)

    def _result(self, task: asyncio.Task[Found]) -> Found:
        if task.done():
            return task.result()
        self._searches.labels("timeout").inc()
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        return Found(note=f"log search took longer than {DEADLINE:g} s")


def distinct(lines: Sequence[logs.LogLine]) -> tuple[logs.LogLine, ...]:
    """The first of each form, with how many more there are: lines that differ in numbers, ids and quoted texts are one form."""
    kept: dict[tuple[str, str, str], logs.LogLine] = {}
    for line in lines:
        form = (line.service, line.level, _VARIABLE.sub("#", line.message[:FORM]))
        first = kept.get(form)
        kept[form] = line if first is None else dataclasses.replace(first, similar=first.similar + 1)
    return tuple(kept.values())


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= NOTE else line[: NOTE - 1] + "…"
