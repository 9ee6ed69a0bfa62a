"""For whoever runs the process: is it healthy, is it ready, load the settings again, our own metrics."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure
from tidegate.kit import telemetry
from tidegate.model import problems

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


async def healthy(context: Context, _request: Request) -> Response:
    """200 while the process does its work; 503 says what does not, so that it is started again."""
    return state("healthy", context.healthy())


async def ready(context: Context, _request: Request) -> Response:
    """200 once the first rules ran; 503 says what is still missing."""
    return state("ready", context.ready())


def state(word: str, missing: Sequence[str]) -> Response:
    """200 when nothing is missing, else 503 with a line for each."""
    lines = [f"Tidegate is not {word}:", *(f"- {one}" for one in missing)] if missing else [f"Tidegate is {word}."]
    headers = {"cache-control": "no-store"}
    return Response("\n".join(lines) + "\n", 503 if missing else 200, headers, "text/plain")


async def reload(context: Context, _request: Request) -> Response:
    """Load the settings and rules again; 422 with every problem when they are bad, and the old ones stay in force."""
    try:
        await context.reload()
    except problems.ConfigError as error:
        found = [dataclasses.asdict(problem) for problem in error.problems]
        raise Failure(422, str(error), more={"problems": found}) from None
    return endpoint.json({"reloaded": True})


async def metrics(context: Context, _request: Request) -> Response:
    """Our own metrics, in Prometheus' text format."""
    content = await asyncio.to_thread(telemetry.exposition, context.registry)
    return Response(content, 200, {"content-type": EXPOSITION, "cache-control": "no-store"})


ENDPOINTS = (
    Endpoint(("GET",), "/-/healthy", healthy, endpoint.text),
    Endpoint(("GET",), "/-/ready", ready, endpoint.text),
    Endpoint(("POST",), "/-/reload", reload, scope="admin"),
    Endpoint(("GET",), "/metrics", metrics, endpoint.text),
)
