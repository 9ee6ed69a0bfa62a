"""Prometheus' HTTP API v1: queries, and what the labels, rules, alerts and targets are.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/. Queries run in threads, a few at once and each for a
limited time, so that no dashboard can keep the gate waiting. What we cannot answer is an error, never an empty answer.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

import tidegate
from tidegate.api import endpoint, goformat, times
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure, Params
from tidegate.model import labels, problems, series

POINTS = 11_000
TIMEOUT = 60.0
RUNNING = 4
WAITING = 32
LOOKBACK = 3600.0
T = TypeVar("T")


def say(failure: Failure) -> Response:
    """Prometheus' error body."""
    body = {"status": "error", "errorType": failure.kind, "error": failure.detail}
    return endpoint.json(body, failure.status, failure.headers)


class Runner:
    """Runs queries in a few threads of its own. A query that takes too long is answered, but holds its thread to the end."""

    def __init__(self) -> None:
        self._threads = concurrent.futures.ThreadPoolExecutor(RUNNING, thread_name_prefix="query")
        self._queued = 0

    async def run(self, work: Callable[[], T], timeout: float) -> T:
        """The result. Raises what `work` raises, or `Failure` (503)."""
        if self._queued >= WAITING:
            raise Failure(503, "too many queries are waiting", kind="unavailable", headers={"retry-after": "1"})
        self._queued += 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._done(loop))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            raise Failure(503, "query timed out in expression evaluation", kind="timeout") from None

    def _done(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called in the query's thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody counts any more
            loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._queued -= 1

    def close(self) -> None:
        """Start no query any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def query(context: Context, request: Request) -> Response:
    """An instant query."""
    params = await endpoint.params(request)
    at = _time(params, "time", context.clock.now())
    limit = _limit(params)
    prepared = context.engine.prepare(_required(params, "query"))

    def work() -> bytes:
        return _success(_result(prepared.instant(at), limit))

    return _raw(await request.app.state.runner.run(work, _timeout(params)))


async def query_range(context: Context, request: Request) -> Response:
    """A query over a range of time."""
    params = await endpoint.params(request)
    start, end = _time(params, "start"), _time(params, "end")
    if end < start:
        raise Failure(400, 'invalid parameter "end": end timestamp must not be before start time')
    step = _duration(params, "step")
    if step <= 0:
        raise Failure(400, 'invalid parameter "step": zero or negative query resolution step widths are not accepted')
    if (end - start) / step > POINTS:
        raise Failure(400, f"exceeded maximum resolution of {POINTS:,} points per timeseries; try a larger step")
    limit = _limit(params)
    prepared = context.engine.prepare(_required(params, "query"))

    def work() -> bytes:
        return _success(_result(prepared.range(start, end, step), limit))

    return _raw(await request.app.state.runner.run(work, _timeout(params)))


def _success(data: Any) -> bytes:
    return orjson.dumps({"status": "success", "data": data})


def _raw(content: bytes) -> Response:
    return Response(content, 200, {"cache-control": "no-store"}, "application/json")


def _result(result: series.Result, limit: int) -> dict[str, Any]:
    """A query result as the API writes it. Raises `QueryError` for a form that it has no words for."""
    match result:
        case series.Vector():
            at = goformat.seconds(result.at_ms)
            pairs = zip(result.labels, result.values.tolist(), strict=True)
            found = [{"metric": dict(of), "value": [at, goformat.sample(value)]} for of, value in pairs]
            return {"resultType": "vector", "result": found[:limit] if limit else found}
        case series.Scalar():
            return {"resultType": "scalar", "result": [goformat.seconds(result.at_ms), goformat.sample(result.value)]}
        case series.String():
            return {"resultType": "string", "result": [goformat.seconds(result.at_ms), result.value]}
        case series.Matrix():
            chosen = result.series[:limit] if limit else result.series
            return {"resultType": "matrix", "result": [_series(one) for one in chosen]}
    raise problems.QueryError(f"no JSON for {type(result).__name__}", kind="internal")


def _series(one: series.Series) -> dict[str, Any]:
    points = zip(one.times.tolist(), one.values.tolist(), strict=True)
    return {
        "metric": dict(one.labels),
        "values": [[goformat.seconds(at), goformat.sample(value)] for at, value in points],
    }


async def all_series(context: Context, request: Request) -> Response:
    """The label sets of the series that match."""
    params = await endpoint.params(request)
    if not params.getlist("match[]"):
        raise Failure(400, "no match[] parameter provided")
    found = await _matching(context, request, params)
    return _listed([dict(of) for of in found], params)


async def label_names(context: Context, request: Request) -> Response:
    """The label names in use."""
    params = await endpoint.params(request)
    found = await _matching(context, request, params)
    return _listed(sorted({name for of in found for name, _ in of}), params)


async def label_values(context: Context, request: Request) -> Response:
    """The values of one label."""
    params = await endpoint.params(request)
    found = await _matching(context, request, params)
    wanted = request.path_params["name"]
    return _listed(sorted({value for of in found for name, value in of if name == wanted}), params)


def _listed(found: Sequence[Any], params: Params) -> Response:
    limit = _limit(params)
    return _raw(_success(found[:limit] if limit else found))


async def _matching(context: Context, request: Request, params: Params) -> list[labels.Labels]:
    """Label sets of the series that had a sample in the time asked for (at most the last hour of it), sorted."""
    end = _time(params, "end", context.clock.now())
    start = max(_time(params, "start", end - LOOKBACK), end - LOOKBACK)
    span = max(math.ceil(end - start), 1)
    selectors = params.getlist("match[]") or ['{__name__=~".+"}']
    prepared = [context.engine.prepare(f"last_over_time({text}[{span}s])") for text in selectors]

    def work() -> list[labels.Labels]:
        found: set[labels.Labels] = set()
        for one in prepared:
            result = one.instant(end)
            if isinstance(result, series.Vector):
                found.update(result.labels)
        return sorted(found)

    result: list[labels.Labels] = await request.app.state.runner.run(work, _timeout(params))
    return result


async def metadata(_context: Context, _request: Request) -> Response:
    """We keep no types and help texts of others' metrics, and say so by having none."""
    return _raw(_success({}))


async def buildinfo(_context: Context, _request: Request) -> Response:
    """Who we are; Grafana asks."""
    data = dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), "")
    return _raw(_success({"version": tidegate.__version__, **data, "application": "tidegate"}))


def _required(params: Params, name: str) -> str:
    value = params.get(name, "")
    if not value:
        raise Failure(400, f'invalid parameter "{name}": it is required')
    return str(value)


def _time(params: Params, name: str, default: float | None = None) -> float:
    text = params.get(name)
    if not text and default is not None:
        return default
    try:
        return times.parse(text or "")
    except ValueError:
        raise Failure(400, f'invalid parameter "{name}": cannot parse {text or ""!r} to a valid timestamp') from None


def _duration(params: Params, name: str) -> float:
    text = params.get(name, "")
    try:
        value = times.duration(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Failure(400, f'invalid parameter "{name}": cannot parse {text!r} to a valid duration')
    return value


def _timeout(params: Params) -> float:
    return min(_duration(params, "timeout"), TIMEOUT) if params.get("timeout") else TIMEOUT


def _limit(params: Params) -> int:
    text = params.get("limit") or "0"
    return endpoint.number(text, "limit", 0, 10_000_000)


_Endpoint = functools.partial(Endpoint, say=say)
ENDPOINTS = (
    _Endpoint(("GET", "POST"), "/api/v1/query", query),
    _Endpoint(("GET", "POST"), "/api/v1/query_range", query_range),
    _Endpoint(("GET", "POST"), "/api/v1/series", all_series),
    _Endpoint(("GET", "POST"), "/api/v1/labels", label_names),
    _Endpoint(("GET",), "/api/v1/label/{name}/values", label_values),
    _Endpoint(("GET",), "/api/v1/metadata", metadata),
    _Endpoint(("GET",), "/api/v1/status/buildinfo", buildinfo),
)
