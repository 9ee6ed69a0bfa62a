"""Alertmanager's HTTP API v2: alerts in and out, silences, status. `amtool`, Grafana and karma speak it.

Contract: Alertmanager's `api/v2/openapi.yaml`. Errors are JSON strings, as that says. Inhibition is not shown, and
grouped alerts are refused with 501 until both exist.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pydantic
from starlette.requests import Request
from starlette.responses import Response

import tidegate
from tidegate.api import auth, endpoint, times
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure
from tidegate.kit import matchers as matchers_
from tidegate.model import alerts, labels, problems

PUSHED = "api"
MAX_PUSHED = 10_000
Condition = Callable[[labels.Labels], bool]


def say(failure: Failure) -> Response:
    """A JSON string."""
    return endpoint.json(failure.detail, failure.status, failure.headers)


# --- alerts ------------------------------------------------------------------------------------------------------


async def list_alerts(context: Context, request: Request) -> Response:
    """The alerts that fire."""
    matches, wanted = _filter(request), _flags(request, "active", "silenced", "inhibited", "unprocessed")
    _receiver(request)
    found = []
    for alert in context.book.all():
        if alert.state != "firing" or not matches(alert.labels):
            continue
        silences = list(context.book.silenced_by(alert))
        if wanted["silenced"] if silences else wanted["active"]:
            found.append(_alert(context, alert, silences))
    return endpoint.json(sorted(found, key=lambda one: one["fingerprint"]))


def _alert(context: Context, alert: alerts.Alert, silences: Sequence[str]) -> dict[str, Any]:
    seen = alert.last_seen or alert.fired_at
    return {
        "annotations": dict(alert.annotations),
        "endsAt": times.rfc3339(alert.expires_at or context.clock.now() + context.resolve_timeout),
        "fingerprint": alert.fingerprint,
        "receivers": [],
        "startsAt": times.rfc3339(alert.fired_at or alert.active_at),
        "status": {
            "state": "suppressed" if silences else "active",
            "silencedBy": silences,
            "inhibitedBy": [],
            "mutedBy": [],
        },
        "updatedAt": times.rfc3339(seen),
        "generatorURL": alert.generator_url,
        "labels": dict(alert.labels),
    }


def _filter(request: Request) -> Condition:
    """All `filter` parameters together. Raises `Failure` (400)."""
    try:
        given = [found for text in request.query_params.getlist("filter") for found in matchers_.parse_all(text)]
        return matchers_.Conditions(given).matches
    except problems.QueryError as error:
        raise Failure(400, f"bad matcher: {error}") from None


def _flags(request: Request, *names: str) -> dict[str, bool]:
    return {name: endpoint.flag(request.query_params.get(name, "true"), name) for name in names}


def _receiver(request: Request) -> None:
    """Alerts do not know their receivers yet: asking for one is refused rather than answered with all."""
    if request.query_params.get("receiver") or request.query_params.get("receiver_matchers"):
        raise Failure(501, "filtering alerts by receiver is not supported")


class PostedAlert(pydantic.BaseModel):
    """`postableAlert`. Alertmanager ignores fields that it does not know, and so do we."""

    labels: dict[str, str] = pydantic.Field(min_length=1)
    annotations: dict[str, str] = {}
    startsAt: str = ""  # noqa: N815 - the API's name
    endsAt: str = ""  # noqa: N815 - the API's name
    generatorURL: str = ""  # noqa: N815 - the API's name


_POSTED = pydantic.TypeAdapter(list[PostedAlert])


async def push_alerts(context: Context, request: Request) -> Response:
    """Take alerts from another Prometheus, or from anyone with the scope `alert`."""
    given = _validated(_POSTED.validate_python, await endpoint.json_body(request, endpoint.LARGE))
    if len(given) > MAX_PUSHED:
        raise Failure(413, f"at most {MAX_PUSHED} alerts at once")
    now = context.clock.now()
    await context.push_alerts([_pushed(one, now, context.resolve_timeout) for one in given])
    return Response(status_code=200)


def _pushed(given: PostedAlert, now: float, resolve_timeout: float) -> alerts.Alert:
    """Alertmanager's rules: no start means the end or now, no end means until `resolve_timeout` from now."""
    ends = _time(given.endsAt, "endsAt")
    starts = _time(given.startsAt, "startsAt") or (min(ends, now) if ends else now)
    if ends and ends < starts:
        raise Failure(400, "start time must be before end time")
    over = 0 < ends <= now
    found = labels.make(given.labels)
    if not found:
        raise Failure(400, "at least one label pair required")
    return alerts.Alert(
        labels=found,
        state="resolved" if over else "firing",
        rule=PUSHED,
        annotations=labels.make(given.annotations),
        active_at=starts,
        fired_at=starts,
        resolved_at=ends if over else 0.0,
        last_seen=now,
        expires_at=ends or now + resolve_timeout,
        generator_url=given.generatorURL,
    )


def _time(text: str, name: str) -> float:
    """0 when it is not given. Raises `Failure` (400)."""
    try:
        return times.parse_rfc3339(text) if text else 0.0
    except ValueError:
        raise Failure(400, f"`{name}` should be an RFC 3339 time") from None


def _validated(check: Callable[[Any], Any], value: Any) -> Any:
    try:
        return check(value)
    except pydantic.ValidationError as error:
        item = error.errors()[0]
        raise Failure(400, f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}") from None


async def groups(_context: Context, _request: Request) -> Response:
    """Not yet."""
    raise Failure(501, "grouped alerts are not supported; /api/v2/alerts lists them one by one")


# --- silences ----------------------------------------------------------------------------------------------------


async def list_silences(context: Context, request: Request) -> Response:
    """Silences: active ones by their end, then pending ones by their start, then ended ones, the latest first."""
    matches, wanted = _filter(request), _flags(request, "active", "pending", "expired")
    now = context.clock.now()
    chosen = [
        silence
        for silence in context.silences.all()
        if wanted[silence.state(now)] and matches(labels.make({one.name: one.value for one in silence.matchers}))
    ]
    return endpoint.json([_silence(silence, now) for silence in sorted(chosen, key=lambda one: order(one, now))])


def order(silence: alerts.Silence, now: float) -> tuple[int, float, str]:
    """Sorts as Alertmanager does."""
    state = silence.state(now)
    if state == "active":
        return 0, silence.ends_at, silence.id
    return (1, silence.starts_at, silence.id) if state == "pending" else (2, -silence.ends_at, silence.id)


def _silence(silence: alerts.Silence, now: float) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": silence.state(now)},
        "updatedAt": times.rfc3339(silence.updated_at),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": times.rfc3339(silence.ends_at),
        "startsAt": times.rfc3339(silence.starts_at),
        "annotations": {},
        "matchers": [
            {
                "name": matcher.name,
                "value": matcher.value,
                "isRegex": matcher.op in ("=~", "!~"),
                "isEqual": matcher.op in ("=", "=~"),
            }
            for matcher in silence.matchers
        ],
    }


class PostedMatcher(pydantic.BaseModel):
    """`matcher`."""

    name: str = pydantic.Field(min_length=1)
    value: str
    isRegex: bool  # noqa: N815 - the API's name
    isEqual: bool = True  # noqa: N815 - the API's name


class PostedSilence(pydantic.BaseModel):
    """`postableSilence`."""

    id: str | None = ""
    matchers: list[PostedMatcher] = pydantic.Field(min_length=1)
    startsAt: str  # noqa: N815 - the API's name
    endsAt: str  # noqa: N815 - the API's name
    createdBy: str  # noqa: N815 - the API's name
    comment: str


_OPS = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}


async def put_silence(context: Context, request: Request) -> Response:
    """Make a silence, or change the one with the given id."""
    given = _validated(PostedSilence.model_validate, await endpoint.json_body(request, endpoint.SMALL))
    silence = alerts.Silence(
        id=given.id or "",
        matchers=tuple(_matcher(one) for one in given.matchers),
        starts_at=_time(given.startsAt, "startsAt") or context.clock.now(),
        ends_at=_time(given.endsAt, "endsAt"),
        created_by=given.createdBy,
        comment=given.comment,
    )
    return endpoint.json({"silenceID": await keep(context, silence)})


async def keep(context: Context, silence: alerts.Silence) -> str:
    """Store a silence; its id. Raises `Failure` (400, 404)."""
    try:
        return await context.silences.put(silence)
    except problems.PermanentError as error:
        raise Failure(404 if error.reason == "not_found" else 400, str(error)) from None


def _matcher(given: PostedMatcher) -> alerts.Matcher:
    try:
        return matchers_.make(given.name, _OPS[given.isRegex, given.isEqual], given.value)
    except problems.QueryError as error:
        raise Failure(400, f"bad matcher: {error}") from None


async def get_silence(context: Context, request: Request) -> Response:
    """One silence."""
    wanted = request.path_params["id"]
    for silence in context.silences.all():
        if silence.id == wanted:
            return endpoint.json(_silence(silence, context.clock.now()))
    raise Failure(404, f"there is no silence {wanted}")


async def end_silence(context: Context, request: Request) -> Response:
    """End a silence now."""
    wanted = request.path_params["id"]
    try:
        await context.silences.expire(wanted)
    except KeyError:
        raise Failure(404, f"there is no silence {wanted}") from None
    return Response(status_code=200)


# --- status ------------------------------------------------------------------------------------------------------


async def status(context: Context, request: Request) -> Response:
    """Who we are. There is no cluster: replicas share a database. The configuration is shown to the scope `admin` only."""
    version = dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), "")
    return endpoint.json(
        {
            "cluster": {"status": "disabled", "peers": []},
            "versionInfo": {"version": tidegate.__version__, **version},
            "config": {"original": context.configuration() if _is_admin(request) else ""},
            "uptime": times.rfc3339(context.started_at or context.clock.now()),
        }
    )


def _is_admin(request: Request) -> bool:
    guard: auth.Guard = request.app.state.guard
    try:
        return bool(guard.check(request, "admin"))
    except auth.Refused:
        return False


async def receivers(context: Context, request: Request) -> Response:
    """The receivers' names."""
    if request.query_params.get("receiver_matchers"):
        raise Failure(501, "receivers have no labels to match")
    return endpoint.json([{"name": name} for name in context.receivers])


_Endpoint = functools.partial(Endpoint, say=say)
ENDPOINTS = (
    _Endpoint(("GET",), "/api/v2/alerts", list_alerts),
    _Endpoint(("POST",), "/api/v2/alerts", push_alerts, scope="alert"),
    _Endpoint(("GET",), "/api/v2/alerts/groups", groups),
    _Endpoint(("GET",), "/api/v2/silences", list_silences),
    _Endpoint(("POST",), "/api/v2/silences", put_silence, scope="silence"),
    _Endpoint(("GET",), "/api/v2/silence/{id}", get_silence),
    _Endpoint(("DELETE",), "/api/v2/silence/{id}", end_silence, scope="silence"),
    _Endpoint(("GET",), "/api/v2/status", status),
    _Endpoint(("GET",), "/api/v2/receivers", receivers),
)
