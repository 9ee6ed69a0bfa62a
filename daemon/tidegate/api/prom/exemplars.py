"""Prometheus' API: the exemplars of the series that a query selects."""

from __future__ import annotations

import functools
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint, goformat
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure
from tidegate.api.prom import answers, params
from tidegate.model import labels, series


async def exemplars(context: Context, request: Request) -> Response:
    """Exemplars between two times, series by series."""
    given = await endpoint.params(request)
    start = params.optional_time(given, "start", params.EARLIEST)
    end = params.optional_time(given, "end", params.LATEST)
    if end < start:
        raise Failure(400, "end timestamp must not be before start timestamp")
    selectors = context.queries.selectors(params.text(given, "query"))

    def wanted(of: labels.Labels) -> bool:
        return any(selects(of) for selects in selectors)

    found = context.exemplars.exemplars(wanted, round(start * 1000), round(end * 1000))
    shown = [
        {"seriesLabels": dict(of), "exemplars": [_shown(one) for one in some]}
        for of, some in sorted(found.items())
        if some
    ]
    return answers.raw(answers.success(shown))


def _shown(one: series.Exemplar) -> dict[str, Any]:
    return {"labels": dict(one.labels), "value": goformat.sample(one.value), "timestamp": goformat.seconds(one.at_ms)}


_Endpoint = functools.partial(Endpoint, say=answers.say)
ENDPOINTS = (_Endpoint(("GET", "POST"), "/api/v1/query_exemplars", exemplars),)
