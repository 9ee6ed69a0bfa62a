"""The page, its files, and the forms on it. Forms are plain posts, refused from other origins."""

from __future__ import annotations

import functools
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tidegate.api import alertmanager, auth, endpoint, times
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure
from tidegate.api.pages import render, runbook, view
from tidegate.kit import matchers
from tidegate.model import alerts, problems

SPANS = ("30m", "1h", "2h", "4h", "8h", "1d", "3d", "7d")
TEXT = 4096


def say(failure: Failure) -> Response:
    """An error as a page."""
    return render.page("error.html", failure.status, failure=failure)


async def dashboard(context: Context, request: Request) -> Response:
    """Everything at a glance."""
    query = request.query_params.get("q", "")[:TEXT]
    return render.page("dashboard.html", page=await view.dashboard(context, query))


async def static(_context: Context, request: Request) -> Response:
    """The style sheet, the refresher, the logo."""
    name = request.path_params["name"]
    if name not in render.STATIC:
        raise Failure(404, "there is no such file")
    lasting = "public, max-age=31536000, immutable" if request.url.query == render.digest(name) else "no-cache"
    headers = {"cache-control": lasting, "x-content-type-options": "nosniff", "etag": f'"{render.digest(name)}"'}
    return Response(render.static(name), 200, headers, render.STATIC[name])


async def new_silence(_context: Context, request: Request) -> Response:
    """The form, filled in from the link that led here."""
    query = request.query_params
    given = {
        "matchers": "\n".join(str(one) for one in _parsed(query.get("filter", ""))) or query.get("filter", ""),
        "span": query.get("for", "2h"),
        "author": query.get("author", ""),
        "comment": query.get("comment", ""),
    }
    return _form(request, given)


def _form(request: Request, given: dict[str, str], status: int = 200, error: str = "") -> Response:
    needs_token = not request.app.state.guard.open_writes
    shown: dict[str, Any] = {"given": given, "spans": SPANS, "needs_token": needs_token, "error": error}
    return render.page("silence.html", status, **shown)


async def make_silence(context: Context, request: Request) -> Response:
    """Make the silence, or show the form again with what is wrong."""
    fields = dict(await endpoint.form(request))
    given = {name: fields.get(name, "") for name in ("matchers", "span", "author", "comment")}
    caller = _caller(request, fields)
    now = context.clock.now()
    try:
        found = [one for line in given["matchers"].splitlines() if line.strip() for one in matchers.parse_all(line)]
        ends = now + times.duration(given["span"])
    except problems.QueryError as error:
        return _form(request, given, 400, f"matchers: {error}")
    except ValueError:
        return _form(request, given, 400, f"{given['span']!r} is not a duration such as 2h")
    if not found:
        return _form(request, given, 400, "at least one matcher is needed")
    author = given["author"] or caller
    silence = alerts.Silence("", tuple(found), now, ends, author, given["comment"])
    try:
        await alertmanager.keep(context, silence)
    except Failure as failure:
        return _form(request, given, failure.status, failure.detail)
    return RedirectResponse("/#silences", 303)


async def end_silence(context: Context, request: Request) -> Response:
    """End one."""
    fields = dict(await endpoint.form(request))
    if not request.app.state.guard.open_writes and not fields.get("token"):
        return render.page("end.html", silence_id=request.path_params["id"])
    _caller(request, fields)
    try:
        await context.silences.expire(request.path_params["id"])
    except KeyError:
        raise Failure(404, "there is no such silence") from None
    return RedirectResponse("/#silences", 303)


def _caller(request: Request, fields: dict[str, str]) -> str:
    guard: auth.Guard = request.app.state.guard
    return guard.check_form(request, "silence", fields.get("token", ""))


def _parsed(text: str) -> tuple[alerts.Matcher, ...]:
    try:
        return matchers.parse_all(text) if text else ()
    except problems.QueryError:
        return ()


_Endpoint = functools.partial(Endpoint, say=say)
ENDPOINTS = (
    _Endpoint(("GET",), "/", dashboard),
    _Endpoint(("GET",), "/static/{name}", static),
    _Endpoint(("GET",), "/runbooks/{pack}", runbook.show),
    _Endpoint(("GET",), "/silences/new", new_silence),
    _Endpoint(("POST",), "/silences", make_silence),
    _Endpoint(("POST",), "/silences/{id}/end", end_silence),
)
