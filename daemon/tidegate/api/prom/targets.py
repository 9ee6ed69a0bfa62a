"""Prometheus' API: the targets and how their last scrape went."""

from __future__ import annotations

import functools
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint, goformat, times
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint
from tidegate.api.prom import answers
from tidegate.model import targets


async def all_targets(context: Context, request: Request) -> Response:
    """The targets and how their last scrape went."""
    given = await endpoint.params(request)
    state, pool = given.get("state", "any").lower(), given.get("scrapePool", "")
    active = [_target(one) for one in context.targets.targets() if not pool or one.target.job == pool]
    dropped, counts = context.targets.dropped()
    gone = [
        {"discoveredLabels": dict(one.discovered), "scrapePool": one.job}
        for one in dropped
        if not pool or one.job == pool
    ]
    data = {
        "activeTargets": active if state in ("", "any", "active") else [],
        "droppedTargets": gone if state in ("", "any", "dropped") else [],
        "droppedTargetCounts": dict(counts) if state in ("", "any", "dropped") else None,
    }
    return answers.raw(answers.success(data))


async def pools(context: Context, _request: Request) -> Response:
    """The names of the scrape jobs that have targets."""
    return answers.raw(answers.success({"scrapePools": sorted({one.target.job for one in context.targets.targets()})}))


def _target(status: targets.TargetStatus) -> dict[str, Any]:
    target = status.target
    return {
        "discoveredLabels": dict(target.discovered),
        "labels": dict(target.labels),
        "scrapePool": target.job,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": status.error,
        "lastScrape": times.rfc3339(status.last_scrape),
        "lastScrapeDuration": status.duration,
        "health": status.health,
        "scrapeInterval": goformat.duration(target.interval),
        "scrapeTimeout": goformat.duration(target.timeout),
    }


_Endpoint = functools.partial(Endpoint, say=answers.say)
ENDPOINTS = (
    _Endpoint(("GET",), "/api/v1/targets", all_targets),
    _Endpoint(("GET",), "/api/v1/scrape_pools", pools),
)
