"""One endpoint: a path, who may call it, what answers, and how it says that something is wrong.

Every request passes `serve`: authorization, errors in the API's own form, metrics. Handlers raise `Failure` and
nothing else on purpose; what they raise by accident is logged and answered with 500 and no details.
"""

from __future__ import annotations

import asyncio
import dataclasses
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import orjson
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tidegate.api import auth
from tidegate.api.context import Context
from tidegate.kit import telemetry
from tidegate.model import problems

SMALL = 64 * 1024
LARGE = 16 * 1024 * 1024
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
Handler: TypeAlias = Callable[[Context, Request], Awaitable[Response]]
Params: TypeAlias = ImmutableMultiDict[str, str]


class Failure(Exception):  # noqa: N818 - it is an answer, not a mistake of ours
    """An error answer. `kind` is Prometheus' `errorType`, `more` goes into the body where its form allows."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "bad_data",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.status, self.detail, self.kind = status, detail, kind
        self.headers, self.more = dict(headers or {}), dict(more or {})
        super().__init__(detail)


Say: TypeAlias = Callable[[Failure], Response]
_TITLES = {
    400: "Bad request",
    401: "Not authorised",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "Cannot be processed",
    500: "Internal error",
    501: "Not supported",
    503: "Not available",
}


def json(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None, media: str = "application/json"
) -> Response:
    """A JSON answer that nobody may keep."""
    return Response(orjson.dumps(value), status, {"cache-control": "no-store", **(headers or {})}, media)


def problem(failure: Failure) -> Response:
    """RFC 9457."""
    title = _TITLES.get(failure.status, "Error")
    body = {"type": "about:blank", "title": title, "status": failure.status, "detail": failure.detail, **failure.more}
    return json(body, failure.status, failure.headers, "application/problem+json")


def text(failure: Failure) -> Response:
    """One line for people."""
    return Response(f"{failure.detail}\n", failure.status, failure.headers, "text/plain")


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """A path and what answers there. With `scope`, only callers that have it."""

    methods: tuple[str, ...]
    path: str
    handle: Handler
    say: Say = problem
    scope: auth.Scope | None = None


class Meters:
    """Our own metrics of the HTTP side."""

    def __init__(self, registry: telemetry.Registry) -> None:
        self._requests = telemetry.Counter(
            "tidegate_http_requests", "Requests answered.", ["handler", "method", "code"], registry=registry
        )
        self._seconds = telemetry.Histogram(
            "tidegate_http_request_duration_seconds",
            "Seconds until the answer was ready; long polls included.",
            ["handler"],
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
        )

    def count(self, handler: str, method: str, status: int, seconds: float) -> None:
        """One answer."""
        known = method if method in METHODS else "other"
        self._requests.labels(handler, known, str(status)).inc()
        self._seconds.labels(handler).observe(seconds)


def serve(
    endpoint: Endpoint, context: Context, guard: auth.Guard, meters: Meters
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint as Starlette calls it."""
    log = telemetry.logger("api")

    async def respond(request: Request) -> Response:
        try:
            if endpoint.scope:
                request.state.caller = guard.check(request, endpoint.scope)
            return await endpoint.handle(context, request)
        except (Failure, auth.Refused, problems.TidegateError) as error:
            return endpoint.say(_failure(error))
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception:
            log.exception("request failed", path=endpoint.path, method=request.method)
            return endpoint.say(Failure(500, "something went wrong here; the server's log says what", kind="internal"))

    async def run(request: Request) -> Response:
        loop = asyncio.get_running_loop()
        started = loop.time()
        response = await respond(request)
        meters.count(endpoint.path.replace(":path}", "}"), request.method, response.status_code, loop.time() - started)
        return response

    return run


def _failure(error: Exception) -> Failure:
    """What an error that handlers may raise means to the caller."""
    match error:
        case Failure():
            return error
        case auth.Refused():
            headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
            return Failure(error.status, str(error), kind="unauthorized", headers=headers)
        case problems.QueryError():
            more = {"position": error.position} if error.position >= 0 else {}
            return Failure(_status(error.kind), str(error), kind=error.kind, more=more)
        case problems.TransientError():
            headers = {"retry-after": str(max(int(error.after or 1), 1))}
            return Failure(503, str(error), kind="unavailable", headers=headers)
    return Failure(422, str(error), kind="execution")


def _status(kind: str) -> int:
    """Prometheus' HTTP status of an `errorType`."""
    codes = {"bad_data": 400, "not_found": 404, "execution": 422, "internal": 500}
    return codes.get(kind, 503 if kind in ("timeout", "canceled", "unavailable") else 422)


async def body(request: Request, limit: int) -> bytes:
    """The request's body, of at most `limit` bytes. Raises `Failure` (413)."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise Failure(413, f"the body may have at most {limit} bytes")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Failure(413, f"the body may have at most {limit} bytes")
        parts.append(part)
    return b"".join(parts)


async def json_body(request: Request, limit: int) -> Any:
    """The body as JSON. Raises `Failure` (400, 413)."""
    try:
        return orjson.loads(await body(request, limit))
    except orjson.JSONDecodeError as error:
        raise Failure(400, f"the body is not JSON: {error}") from None


async def form(request: Request, limit: int = SMALL) -> Params:
    """The fields of a posted form. Raises `Failure` (400, 413)."""
    try:
        given = (await body(request, limit)).decode()
        pairs = urllib.parse.parse_qsl(given, keep_blank_values=True, max_num_fields=200, errors="strict")
    except ValueError:
        raise Failure(400, "the form cannot be read") from None
    return ImmutableMultiDict(pairs)


async def params(request: Request, limit: int = SMALL) -> Params:
    """Parameters of the URL and, for a posted form, of the body, as Prometheus reads them (the body's first)."""
    pairs = list(request.query_params.multi_items())
    if request.method == "POST" and "form-urlencoded" in request.headers.get("content-type", ""):
        pairs = (await form(request, limit)).multi_items() + pairs
    seen: dict[str, list[tuple[str, str]]] = {}
    for name, value in pairs:
        seen.setdefault(name, []).append((name, value))
    # ImmutableMultiDict answers with the last of several; Prometheus takes the first.
    return ImmutableMultiDict([pair for several in seen.values() for pair in reversed(several)])


def number(text_: str, name: str, low: int, high: int) -> int:
    """A whole number of a parameter. Raises `Failure` (400)."""
    if not text_.isascii() or not text_.isdigit() or not low <= int(text_) <= high:
        raise Failure(400, f"`{name}` should be a whole number from {low} to {high}")
    return int(text_)


def flag(text_: str, name: str) -> bool:
    """A boolean parameter, as Go reads it. Raises `Failure` (400)."""
    lowered = text_.lower()
    if lowered in ("1", "t", "true"):
        return True
    if lowered in ("0", "f", "false"):
        return False
    raise Failure(400, f"`{name}` should be true or false")
