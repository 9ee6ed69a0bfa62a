"""Brings the ways of finding targets together, and tells when the list has changed.

Written targets are checked when the configuration is loaded; files and names are looked at again and again.
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable

from tidegate.discovery import dns, files, static
from tidegate.kit import telemetry, yamlfile
from tidegate.model import ports, problems, settings, targets

Found = tuple[targets.Target, ...]


class Discovery:
    """The targets of one configuration."""

    def __init__(self, scrape: settings.Scrape, folder: pathlib.Path) -> None:
        """Check what is written. Raises `ValueError` for an address that is none."""
        self._static = static.written(scrape)
        self._files = [files.Files(job, scrape, folder) for job in scrape.jobs if job.file_sd_configs]
        self._names = [dns.Names(job, scrape) for job in scrape.jobs if job.dns_sd_configs]
        intervals = [one.refresh_interval for job in scrape.jobs for one in job.file_sd_configs]
        intervals += [one.refresh_interval for job in scrape.jobs for one in job.dns_sd_configs]
        self._interval = min(intervals, default=0.0)
        self._said: frozenset[problems.Problem] = frozenset()

    async def find(self) -> Found:
        """Every target, as things stand now."""
        found = list(self._static)
        for one in self._files:
            found += await asyncio.to_thread(one.read)
        for names in self._names:
            found += await names.read()
        self._tell()
        return tuple(dict.fromkeys(found))

    def problems(self) -> tuple[problems.Problem, ...]:
        """What was wrong at the last look."""
        from_files = [problem for one in self._files for problem in one.problems]
        return (*from_files, *(problem for names in self._names for problem in names.problems))

    async def run(self, clock: ports.Clock, changed: Callable[[Found], None]) -> None:
        """Look again and again, until cancelled; `changed` is called with the first list and with each new one."""
        before: Found | None = None
        while True:
            found = await self.find()
            if found != before:
                changed(found)
                before = found
            if not self._interval:
                await asyncio.Event().wait()
            await clock.sleep(max(self._interval, 1.0))

    def _tell(self) -> None:
        """Log each problem once, when it is new."""
        now = frozenset(self.problems())
        for problem in now - self._said:
            telemetry.logger("discovery").warning("cannot use targets", problem=problem.render())
        self._said = now


def check(scrape: settings.Scrape, document: yamlfile.Document) -> list[problems.Problem]:
    """Problems of the written targets, with their places."""
    found = []
    for number, job in enumerate(scrape.jobs):
        for group_number, group in enumerate(job.static_configs):
            for place, address in enumerate(group.targets):
                try:
                    static.target(address, group.labels, job, scrape)
                except ValueError as error:
                    where = ("scrape", "jobs", number, "static_configs", group_number, "targets", place)
                    found.append(document.problem("targets-address", str(error), where))
    names = [job.job_name for job in scrape.jobs]
    for number, name in enumerate(names):
        if name in names[:number]:
            at = ("scrape", "jobs", number, "job_name")
            found.append(document.problem("targets-job-twice", f"the job {name!r} stands twice", at))
    return found
