"""Prometheus' API: which series, label names and label values there are."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure, Params
from tidegate.api.prom import answers, escaping, params, runner
from tidegate.model import problems


async def all_series(context: Context, request: Request) -> Response:
    """The label sets of the series that match."""
    given = await endpoint.params(request)
    if not given.getlist("match[]"):
        raise Failure(400, "no match[] parameter provided")

    def find(selectors: Sequence[str], start: float, end: float) -> list[dict[str, str]]:
        return [dict(of) for of in context.queries.label_sets(selectors, start, end)]

    try:
        return await _listed(context, request, given, find)
    except problems.QueryError as error:
        raise params.bad("match[]", str(error)) from None


async def names(context: Context, request: Request) -> Response:
    """The label names in use."""
    return await _listed(context, request, await endpoint.params(request), context.queries.label_names)


async def values(context: Context, request: Request) -> Response:
    """The values of one label."""
    name = escaping.unescaped(request.path_params["name"])
    given = await endpoint.params(request)
    return await _listed(context, request, given, functools.partial(context.queries.label_values, name))


async def _listed(context: Context, request: Request, given: Params, find: Callable[..., Sequence[Any]]) -> Response:
    limit = params.limit(given)
    start = params.optional_time(given, "start", params.EARLIEST)
    end = params.optional_time(given, "end", params.LATEST)
    selectors = _selectors(context, given)
    return answers.raw(await runner.of(request).run(lambda: answers.listed(find(selectors, start, end), limit)))


def _selectors(context: Context, given: Params) -> list[str]:
    """The selectors of `match[]`. Raises `Failure` for one that would select every series."""
    found = given.getlist("match[]")
    for one in found:
        if context.queries.selects(one, ()):
            raise Failure(400, "match[] must contain at least one non-empty matcher")
    return found


_Endpoint = functools.partial(Endpoint, say=answers.say)
ENDPOINTS = (
    _Endpoint(("GET", "POST"), "/api/v1/series", all_series),
    _Endpoint(("GET", "POST"), "/api/v1/labels", names),
    _Endpoint(("GET",), "/api/v1/label/{name}/values", values),
)
