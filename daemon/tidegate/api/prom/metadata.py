"""Prometheus' API: what targets say of their metrics."""

from __future__ import annotations

import functools
import itertools
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint
from tidegate.api.prom import answers, params
from tidegate.model import problems, series


async def by_metric(context: Context, request: Request) -> Response:
    """Types, help texts and units of each metric; targets and those who push may say different things."""
    given = await endpoint.params(request)
    limit, each = params.whole(given, "limit"), params.whole(given, "limit_per_metric")
    found: dict[str, dict[series.Metadata, None]] = {}
    metric = params.text(given, "metric")
    scraped = (said for _, said in context.metadata.metadata(metric))
    for said in itertools.chain(scraped, context.writes.told(metric)):
        of_metric = found.setdefault(said.name, {})
        if each <= 0 or len(of_metric) < each:
            of_metric[said] = None
    chosen = list(found.items())[: limit if limit >= 0 else None]
    return answers.raw(answers.success({name: [_shown(one) for one in some] for name, some in chosen}))


async def by_target(context: Context, request: Request) -> Response:
    """The same, target by target."""
    given = await endpoint.params(request)
    limit, metric, match = (
        params.whole(given, "limit"),
        params.text(given, "metric"),
        params.text(given, "match_target"),
    )
    if match:
        _selector(context, match)
    found: list[dict[str, Any]] = []
    for target, said in context.metadata.metadata(metric):
        if 0 <= limit <= len(found):
            break
        if not match or context.queries.selects(match, target.labels):
            named = {} if metric else {"metric": said.name}
            found.append({"target": dict(target.labels), **named, **_shown(said)})
    return answers.raw(answers.success(found))


def _selector(context: Context, match: str) -> None:
    try:
        context.queries.selects(match, ())
    except problems.QueryError as error:
        raise params.bad("match_target", str(error)) from None


def _shown(said: series.Metadata) -> dict[str, Any]:
    return {"type": said.type, "help": said.help, "unit": said.unit}


_Endpoint = functools.partial(Endpoint, say=answers.say)
ENDPOINTS = (
    _Endpoint(("GET",), "/api/v1/metadata", by_metric),
    _Endpoint(("GET",), "/api/v1/targets/metadata", by_target),
)
