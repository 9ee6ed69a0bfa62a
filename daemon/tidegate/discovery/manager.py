"""Brings the ways of finding targets together, and tells when the list has changed.

Written targets are checked when the configuration is loaded; files, URLs and names are looked at again and again, each at
its own interval. What cannot be used is said once, and the rest is scraped.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Protocol

from tidegate.discovery import build, dns, files, probed, web
from tidegate.kit import relabel, telemetry, yamlfile
from tidegate.model import ports, probing, problems, scraping, targets

NO_PROBES = probing.Probes()
SHORTEST = 1.0
"""Seconds between two looks at anything, at least."""


class Source(Protocol):
    """One way of finding the targets of a job."""

    kind: str
    """`file`, `http` or `dns`."""
    interval: float
    problems: tuple[problems.Problem, ...]

    async def find(self) -> list[build.Discovered]:
        """What is there now; what was there last where that cannot be told."""


@dataclasses.dataclass(slots=True)
class _Watched:
    """A source, and what it found last."""

    source: Source
    due: float = 0.0
    found: list[build.Discovered] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class _Job:
    builder: build.Builder
    written: list[build.Discovered]
    sources: list[_Watched]


class Discovery:
    """The targets of one configuration."""

    def __init__(
        self,
        scrape: scraping.Scrape,
        folder: pathlib.Path,
        clock: ports.Clock,
        probes: probing.Probes = NO_PROBES,
    ) -> None:
        """Raises `ValueError` for a relabelling step that makes no sense; `check` says where it stands."""
        self._clock = clock
        self._failed: Callable[[str], None] = _unheard
        self._jobs = [_job(job, scrape, folder, clock, probes) for job in scrape.jobs]
        self._said: frozenset[problems.Problem] = frozenset()
        self._wrong: tuple[problems.Problem, ...] = ()

    async def find(self) -> targets.Found:
        """Every target, as things stand now. Sources that are not due are not asked again."""
        now = self._clock.now()
        due = [one for one in self._watched() if one.due <= now]
        # Together: a URL or a resolver that takes its time must not hold up the others.
        for one, got in zip(due, await asyncio.gather(*(one.source.find() for one in due)), strict=True):
            one.found = got
            one.due = now + max(one.source.interval, SHORTEST)
            if one.source.problems:
                self._failed(one.source.kind)
        found, wrong = [], []
        for job in self._jobs:
            mine, refused = job.builder.found(job.written + [each for one in job.sources for each in one.found])
            found.append(mine)
            wrong += [_unusable(job.builder.job.job_name, text) for text in refused]
        self._wrong = tuple(wrong)
        self._tell()
        return _together(found)

    def problems(self) -> tuple[problems.Problem, ...]:
        """What was wrong at the last look."""
        return (*(problem for one in self._watched() for problem in one.source.problems), *self._wrong)

    async def run(self, changed: Callable[[targets.Found], None], failed: Callable[[str], None] | None = None) -> None:
        """Look again and again, until cancelled; `changed` is called with the first list and with each new one.

        `failed` is called with the kind of a source (`file`, `http`, `dns`) at each look that went wrong.
        """
        self._failed = failed or _unheard
        before: targets.Found | None = None
        while True:
            found = await self.find()
            if found != before:
                changed(found)
                before = found
            due = min((one.due for one in self._watched()), default=None)
            if due is None:
                await asyncio.Event().wait()
            else:
                await self._clock.sleep(max(due - self._clock.now(), 0.0))

    def _watched(self) -> list[_Watched]:
        return [one for job in self._jobs for one in job.sources]

    def _tell(self) -> None:
        """Log each problem once, when it is new."""
        now = frozenset(self.problems())
        for problem in now - self._said:
            telemetry.logger("discovery").warning("cannot use targets", problem=problem.render())
        self._said = now


def _unheard(_kind: str) -> None:
    """Nobody counts."""


def _job(
    job: scraping.Job, scrape: scraping.Scrape, folder: pathlib.Path, clock: ports.Clock, probes: probing.Probes
) -> _Job:
    sources: list[Source] = [
        *(files.Files(entry, folder) for entry in job.file_sd_configs),
        *(web.Web(entry, folder, clock) for entry in job.http_sd_configs),
        *(dns.Names(entry) for entry in job.dns_sd_configs),
    ]
    written = files.discovered(list(job.static_configs), {})
    return _Job(build.Builder(job, scrape, folder, probes), written, [_Watched(source) for source in sources])


def _together(found: Sequence[targets.Found]) -> targets.Found:
    made = itertools.chain.from_iterable(one.targets for one in found)
    dropped = itertools.chain.from_iterable(one.dropped for one in found)
    counts = {job: number for one in found for job, number in one.dropped_counts.items()}
    return targets.Found(tuple(dict.fromkeys(made)), tuple(dropped), counts)


def _unusable(job: str, text: str) -> problems.Problem:
    return problems.Problem("targets-unusable", f"job {job}: {text}", severity="warning")


def check(
    scrape: scraping.Scrape, document: yamlfile.Document, probes: probing.Probes = NO_PROBES
) -> list[problems.Problem]:
    """Problems of the jobs that the shape of the settings does not show, with their places."""
    found = probed.check(scrape, probes, document)
    names = [job.job_name for job in scrape.jobs]
    for number, job in enumerate(scrape.jobs):
        at = ("scrape", "jobs", number)
        if job.job_name in names[:number]:
            summary = f"the job {job.job_name!r} stands twice"
            found.append(document.problem("targets-job-twice", summary, (*at, "job_name")))
        interval = job.scrape_interval or scrape.interval
        if (job.scrape_timeout or 0.0) > interval:
            summary = f"the scrape timeout is greater than the scrape interval of {interval:g} s"
            found.append(document.problem("targets-timeout", summary, (*at, "scrape_timeout")))
        found += _relabelling(job, document, at) + _written(job, scrape, document, at)
    return found


def _relabelling(job: scraping.Job, document: yamlfile.Document, at: tuple[str | int, ...]) -> list[problems.Problem]:
    found = []
    for field in ("relabel_configs", "metric_relabel_configs"):
        for number, one in enumerate(getattr(job, field)):
            wrong = relabel.problem(one.step(legacy_names=job.legacy_names))
            if wrong:
                found.append(document.problem("targets-relabel", wrong, (*at, field, number)))
    return found


def _written(
    job: scraping.Job, scrape: scraping.Scrape, document: yamlfile.Document, at: tuple[str | int, ...]
) -> list[problems.Problem]:
    """Addresses in the settings that are none. With relabelling they may become something else."""
    if job.relabel_configs or job.probe:
        return []
    found, builder = [], build.Builder(job.model_copy(update={"metric_relabel_configs": ()}), scrape)
    for number, group in enumerate(job.static_configs):
        for place, text in enumerate(group.targets):
            try:
                builder.target({"__address__": text}, group.labels)
            except ValueError as error:
                where = (*at, "static_configs", number, "targets", place)
                found.append(document.problem("targets-address", str(error), where))
    return found
