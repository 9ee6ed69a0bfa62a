"""Prometheus' API: what we are, how we were started, and how many series we hold."""

from __future__ import annotations

import functools
import os
import platform
import socket
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

import tidegate
from tidegate.api import endpoint, goformat, times
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure
from tidegate.api.prom import answers, params, runner
from tidegate.model import series

SHOWN, MOST = 10, 10_000


async def build(_context: Context, _request: Request) -> Response:
    """Who we are; Grafana asks. `goVersion` is empty: we are not Prometheus, and say so in `application`."""
    nothing = dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), "")
    return _data({"version": tidegate.__version__, **nothing, "application": "tidegate"})


async def runtime(context: Context, _request: Request) -> Response:
    """The process, its configuration and its store."""
    return _data(
        {
            "startTime": times.rfc3339(context.started_at),
            "CWD": os.getcwd(),  # noqa: PTH109 - a string is wanted
            "hostname": socket.gethostname(),
            "serverTime": times.rfc3339(context.clock.now()),
            "reloadConfigSuccess": not context.reload_failed(),
            "lastConfigTime": times.rfc3339(context.started_at),
            "corruptionCount": 0,
            "goroutineCount": 0,
            "GOMAXPROCS": os.cpu_count() or 0,
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": goformat.duration(context.retention),
            "runtime": f"{platform.python_implementation()} {platform.python_version()}",
        }
    )


async def configuration(context: Context, _request: Request) -> Response:
    """The settings in force, without secrets."""
    return _data({"yaml": context.configuration()})


async def flags(_context: Context, _request: Request) -> Response:
    """We have a settings file instead of flags: see `/api/v1/status/config`."""
    return _data({})


async def store(context: Context, request: Request) -> Response:
    """How many series there are, and of what."""
    given = await endpoint.params(request)
    limit = params.whole(given, "limit") if given.get("limit") else SHOWN
    if limit < 1:
        raise Failure(400, "limit must be a positive number")
    if limit > MOST:
        raise Failure(400, f"limit must not exceed {MOST}")
    found = await runner.of(request).run(lambda: context.queries.cardinality(limit))
    return _data(
        {
            "headStats": {
                "numSeries": found.series,
                "numLabelPairs": found.label_pairs,
                "chunkCount": 0,
                "minTime": found.first_ms,
                "maxTime": found.last_ms,
            },
            "seriesCountByMetricName": _counts(found.by_name),
            "labelValueCountByLabelName": _counts(found.values_of_label),
            "memoryInBytesByLabelName": _counts(found.bytes_of_label),
            "seriesCountByLabelValuePair": _counts(found.by_pair),
        }
    )


async def replay(_context: Context, _request: Request) -> Response:
    """There is no log to replay: rings are read where they lie."""
    return _data({"min": 0, "max": 0, "current": 0})


def _counts(found: series.Counts) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in found]


def _data(data: Any) -> Response:
    return answers.raw(answers.success(data))


_Endpoint = functools.partial(Endpoint, say=answers.say)
ENDPOINTS = (
    _Endpoint(("GET",), "/api/v1/status/buildinfo", build),
    _Endpoint(("GET",), "/api/v1/status/runtimeinfo", runtime),
    _Endpoint(("GET",), "/api/v1/status/config", configuration),
    _Endpoint(("GET",), "/api/v1/status/flags", flags),
    _Endpoint(("GET",), "/api/v1/status/tsdb", store),
    _Endpoint(("GET",), "/api/v1/status/walreplay", replay),
)
