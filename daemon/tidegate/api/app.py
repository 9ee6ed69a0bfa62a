"""Builds the web application from a context: endpoints in, Starlette out. One list of endpoints per API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.api import alertmanager, auth, endpoint, native, operations
from tidegate.api.context import Context
from tidegate.api.pages import routes as pages
from tidegate.api.prom import exemplars, labels, metadata, queries, rules, runner, status, targets, write
from tidegate.model import settings

ENDPOINTS: tuple[endpoint.Endpoint, ...] = (
    *native.ENDPOINTS,
    *operations.ENDPOINTS,
    *queries.ENDPOINTS,
    *labels.ENDPOINTS,
    *metadata.ENDPOINTS,
    *exemplars.ENDPOINTS,
    *rules.ENDPOINTS,
    *targets.ENDPOINTS,
    *status.ENDPOINTS,
    *write.ENDPOINTS,
    *alertmanager.ENDPOINTS,
    *pages.ENDPOINTS,
)


def build(context: Context) -> Starlette:
    """The application. Its `state.closing` ends long polls when set."""
    meters, guard = endpoint.Meters(context.registry), auth.Guard(context.web)
    threads = runner.Runner()

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        threads.close()

    routes = [
        Route(one.path, endpoint.serve(one, context, guard, meters), methods=list(one.methods)) for one in ENDPOINTS
    ]
    app = Starlette(routes=routes, exception_handlers=_handlers(meters), lifespan=lifespan)
    app.state.runner, app.state.guard = threads, guard
    app.state.closing, app.state.waiting = False, 0
    return app


def reload(app: Starlette, web: settings.Web) -> None:
    """Take over new tokens and `open_writes`. The listen address stays until the next start."""
    app.state.guard.reload(web)


def paths() -> list[str]:
    """Every path that is answered, as documented."""
    return sorted({one.path.replace(":path}", "}") for one in ENDPOINTS})


def _handlers(meters: endpoint.Meters) -> Mapping[Any, Any]:
    """What no endpoint answers."""

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        meters.count("none", request.method, status, 0.0)
        detail = "there is nothing here" if status == 404 else "this path does not answer this method"
        return endpoint.problem(endpoint.Failure(status, detail, headers=headers))

    return {HTTPException: refused}
