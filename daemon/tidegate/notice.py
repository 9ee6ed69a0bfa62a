"""What a process says about itself in words: what it does when it starts, and what a reload could not take."""

from __future__ import annotations

from collections.abc import Sequence

import tidegate
from tidegate import plan as plan_
from tidegate import reloads
from tidegate.logs.outputs import build
from tidegate.model import settings


def greeting(plan: plan_.Plan, url: str, *, embedded: bool) -> str:
    """Where to look, and what is watched."""
    given, ruleset = plan.settings, plan.rules
    rules = sum(len(group.rules) for group in ruleset.groups)
    jobs = ", ".join(job.job_name for job in given.scrape.jobs) or "none"
    store = ", ".join(given.logs.elasticsearch.urls) or "the embedded store"
    where = ", ".join((store, *build.names(given.logs)))
    lines = [
        f"Tidegate {tidegate.__version__}: {url}/",
        f"  scrapes   {jobs}",
        f"  rules     {rules} in {len(ruleset.groups)} groups, {len(ruleset.log_metrics)} log metrics",
        f"  logs      {len(given.logs.inputs) if embedded else 0} inputs, kept in {where}",
        f"  tells     {', '.join(receiver.name for receiver in given.alerts.receivers)}",
        f"  gates     {', '.join(given.gate.environments)}",
    ]
    return "\n".join(lines)


def restarts(before: settings.Settings, after: settings.Settings) -> Sequence[str]:
    """The settings that changed and are only taken at a start."""
    pairs = (
        ("state", before.state, after.state),
        ("scrape.retention", before.scrape.retention, after.scrape.retention),
        ("scrape.series_limit", before.scrape.series_limit, after.scrape.series_limit),
        ("rules.experimental_promql", before.rules.experimental_promql, after.rules.experimental_promql),
        ("logs.elasticsearch", before.logs.elasticsearch, after.logs.elasticsearch),
    )
    return [*reloads.process(before, after), *(name for name, old, new in pairs if old != new)]
