"""The HTTP side of an agent: healthy, ready, and our own metrics (log metrics among them), for probes and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tidegate.api import operations
from tidegate.kit import telemetry

Missing = Callable[[], Sequence[str]]


def build(registry: telemetry.Registry, ready: Missing, healthy: Missing) -> Starlette:
    """The application."""

    def state(word: str, missing: Missing) -> Callable[[Request], Awaitable[Response]]:
        async def answer(_request: Request) -> Response:
            return operations.state(word, missing())

        return answer

    async def metrics(_request: Request) -> Response:
        content = await asyncio.to_thread(telemetry.exposition, registry)
        return PlainTextResponse(content, headers={"content-type": operations.EXPOSITION})

    return Starlette(
        routes=[
            Route("/-/healthy", state("healthy", healthy)),
            Route("/-/ready", state("ready", ready)),
            Route("/metrics", metrics),
        ]
    )
