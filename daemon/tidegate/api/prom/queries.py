"""Prometheus' API: instant and range queries, and the layout and the tree of a query.

What we cannot answer is an error, never an empty or a partial answer.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure, Params
from tidegate.api.prom import answers, params, runner
from tidegate.model import problems, series

POINTS = 11_000
STATS = ("", "true", "all")


async def instant(context: Context, request: Request) -> Response:
    """An instant query."""
    given = await endpoint.params(request)
    limit = params.limit(given)
    at = params.optional_time(given, "time", context.clock.now())
    ask = functools.partial(context.queries.instant, params.text(given, "query"), at)
    return await _run(request, given, ask, limit)


async def over_range(context: Context, request: Request) -> Response:
    """A query over a range of time."""
    given = await endpoint.params(request)
    limit = params.limit(given)
    start, end = params.time(given, "start"), params.time(given, "end")
    if end < start:
        raise params.bad("end", "end timestamp must not be before start time")
    step = params.duration(given, "step")
    if step <= 0:
        why = "zero or negative query resolution step widths are not accepted. Try a positive integer"
        raise params.bad("step", why)
    if (end - start) / step > POINTS:
        why = f"exceeded maximum resolution of {POINTS:,} points per timeseries."
        raise Failure(400, f"{why} Try decreasing the query resolution (?step=XX)")
    ask = functools.partial(context.queries.range, params.text(given, "query"), start, end, step)
    return await _run(request, given, ask, limit)


async def _run(request: Request, given: Params, ask: Callable[..., series.Answer], limit: int) -> Response:
    timeout = params.timeout(given, runner.TIMEOUT)
    lookback = _lookback(given)
    asked = time.perf_counter()

    def work() -> bytes:
        started = time.perf_counter()
        with_notes = _named(lambda: ask(lookback=lookback, timeout=timeout))
        return _encoded(with_notes, given, limit, started - asked, time.perf_counter() - started)

    return answers.raw(await runner.of(request).run(work, timeout))


def _encoded(answer: series.Answer, given: Params, limit: int, waited: float, took: float) -> bytes:
    wanted = params.text(given, "stats")
    more = {"stats": _stats(waited, took)} if wanted else {}
    if wanted not in STATS:
        why = f'value "{wanted}" for parameter "stats" is deprecated and will be rejected in the next major release'
        answer = series.Answer(answer.result, (*answer.warnings, f'{why}, use "true" or "all"'), answer.infos)
    return answers.answered(answer, limit, more)


def _stats(waited: float, took: float) -> dict[str, Any]:
    """Seconds, in Prometheus' names; preparing and sorting are part of the evaluation here."""
    return {"timings": {"evalTotalTime": took, "execQueueTime": waited, "execTotalTime": waited + took}}


def _lookback(given: Params) -> float:
    if not given.get("lookback_delta"):
        return 0.0
    try:
        return params.duration(given, "lookback_delta")
    except Failure as failure:
        why = failure.detail.removeprefix('invalid parameter "lookback_delta": ')
        raise Failure(400, f"error parsing lookback delta duration: {why}") from None


def _named(work: Callable[[], Any]) -> Any:
    """Say of a query that makes no sense that it is the parameter `query`."""
    try:
        return work()
    except problems.QueryError as error:
        if error.kind == "bad_data":
            message = f'invalid parameter "query": {error}'
            raise problems.QueryError(message, kind=error.kind, position=error.position) from None
        raise


async def formatted(context: Context, request: Request) -> Response:
    """The query in Prometheus' layout."""
    return await _rendered(request, context.queries.formatted)


async def parsed(context: Context, request: Request) -> Response:
    """The query's tree."""
    return await _rendered(request, context.queries.parsed)


async def _rendered(request: Request, render: Callable[[str], Any]) -> Response:
    given = await endpoint.params(request)
    query = params.text(given, "query")
    return answers.raw(await runner.of(request).run(lambda: answers.success(_named(lambda: render(query)))))


_Endpoint = functools.partial(Endpoint, say=answers.say)
ENDPOINTS = (
    _Endpoint(("GET", "POST"), "/api/v1/query", instant),
    _Endpoint(("GET", "POST"), "/api/v1/query_range", over_range),
    _Endpoint(("GET", "POST"), "/api/v1/format_query", formatted),
    _Endpoint(("GET", "POST"), "/api/v1/parse_query", parsed),
)
