"""Tidegate's own API: the gate, the deploys, the logs. Errors are RFC 9457 problems.

Contract of the gate: `docs/gate.md`. Verdicts come from memory; a long poll asks again and again, it queries nothing.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import uuid
from collections.abc import Mapping
from typing import Any, Literal

import pydantic
from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint, times, verdicts
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure
from tidegate.model import gate, logs

LONGEST_WAIT = 25.0
POLL = 0.25
WAITERS = 256
LINES = 1000
NAME = 253
REPEATS = 20_000
"""Deploys among which a repeated id is noticed; an older one still changes nothing, but is answered with 201."""
FORMS = {"json": "application/json", "text": "text/plain", "health+json": "application/health+json"}


async def ask_gate(context: Context, request: Request) -> Response:
    """May this version be promoted? With `wait`, the answer comes when the gate opens, or when the time is up."""
    question = await _question(context, request)
    verdict = await _awaited(context, request, question)
    etag = f'"{verdict.decision_id}"'
    headers = {"etag": etag, "cache-control": "no-store", "x-tidegate-verdict": verdict.verdict}
    if verdict.retry_after:
        headers["retry-after"] = str(verdict.retry_after)
    status = question.codes[verdict.verdict]
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if question.form == "text":
        return Response(verdicts.as_text(verdict), status, headers, "text/plain")
    if question.form == "health+json":
        return endpoint.json(verdicts.as_health(verdict), status, headers, FORMS["health+json"])
    return endpoint.json(verdicts.as_json(verdict), status, headers)


@dataclasses.dataclass(frozen=True, slots=True)
class _Question:
    environment: str
    service: str
    version: str
    digest: str
    wait: float
    form: str
    codes: Mapping[str, int]


async def _question(context: Context, request: Request) -> _Question:
    given = dict(await endpoint.params(request))
    if request.method == "POST" and "json" in request.headers.get("content-type", ""):
        given |= _strings(await endpoint.json_body(request, endpoint.SMALL))
    environment, service = request.path_params["environment"], request.path_params["service"]
    _check_environment(context, environment, 404)
    for name, value in (
        ("service", service),
        ("version", given.get("version", "")),
        ("digest", given.get("digest", "")),
    ):
        if len(value) > NAME or not value.isprintable():
            raise Failure(400, f"`{name}` should be printable and at most {NAME} characters long")
    wait = given.get("wait") or _preferred_wait(request)
    return _Question(
        environment,
        service,
        given.get("version", ""),
        given.get("digest", ""),
        min(_seconds(wait, "wait"), LONGEST_WAIT),
        _form(request, given.get("format", "")),
        _codes(given),
    )


def _strings(body: Any) -> dict[str, str]:
    if not isinstance(body, dict):
        raise Failure(400, "the body should be a JSON object")
    return {str(name): value for name, value in body.items() if isinstance(value, str)}


def _check_environment(context: Context, environment: str, status: int) -> None:
    known = list(context.gate.environments())
    if environment not in known:
        near = difflib.get_close_matches(environment, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
        raise Failure(status, f"unknown environment `{environment}`; {hint}", more={"environments": known})


def _preferred_wait(request: Request) -> str:
    """`Prefer: wait=10` (RFC 7240)."""
    for part in request.headers.get("prefer", "").split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "wait":
            return value.strip()
    return "0"


def _seconds(text: str, name: str) -> float:
    try:
        value = times.duration(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise Failure(400, f"`{name}` should be a duration such as 25s")
    return value


def _form(request: Request, given: str) -> str:
    if given:
        if given not in FORMS:
            raise Failure(400, f"`format` should be one of {', '.join(FORMS)}")
        return given
    accepted = request.headers.get("accept", "")
    return next((form for form in ("health+json", "text") if FORMS[form] in accepted), "json")


def _codes(given: Mapping[str, str]) -> dict[str, int]:
    """The status of each verdict: 409 unless allowed, or what the caller's own conventions ask for."""
    mode = given.get("code", "strict")
    if mode not in ("strict", "200"):
        raise Failure(400, "`code` should be `strict` or `200`")
    codes = {"allow": 200} | dict.fromkeys(("deny", "wait", "unknown"), 200 if mode == "200" else verdicts.BLOCKED)
    for verdict in ("deny", "wait", "unknown"):
        if f"{verdict}_code" in given:
            codes[verdict] = endpoint.number(given[f"{verdict}_code"], f"{verdict}_code", 200, 599)
    return codes


async def _awaited(context: Context, request: Request, question: _Question) -> gate.Verdict:
    """The verdict now; or, within the time the caller gives, the first that is `allow` or new to him."""

    def ask() -> gate.Verdict:
        return context.gate.ask(question.environment, question.service, question.version, question.digest)

    verdict, state = ask(), request.app.state
    known = request.headers.get("if-none-match", "")
    if not question.wait or state.waiting >= WAITERS:
        return verdict
    until = context.clock.now() + question.wait
    state.waiting += 1
    try:
        while not _worth_telling(verdict, known) and not state.closing:
            left = until - context.clock.now()
            if left <= 0 or await request.is_disconnected():
                break
            await context.clock.sleep(min(POLL, left))
            verdict = ask()
    finally:
        state.waiting -= 1
    return verdict


def _worth_telling(verdict: gate.Verdict, known: str) -> bool:
    return verdict.final or (f'"{verdict.decision_id}"' not in known if known else verdict.verdict == "allow")


async def overview(context: Context, request: Request) -> Response:
    """The verdict of every known environment and service."""
    pairs = context.gate.known()
    wanted = request.query_params.get("environment")
    if wanted is not None:
        _check_environment(context, wanted, 404)
    found = [context.gate.ask(*pair) for pair in pairs if wanted in (None, pair[0])]
    gates = [verdicts.as_json(verdict) for verdict in found]
    return endpoint.json({"environments": list(context.gate.environments()), "gates": gates})


class DeployBody(pydantic.BaseModel):
    """What `POST /v1/deploys` takes."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    environment: str
    service: str = pydantic.Field(min_length=1, max_length=NAME)
    version: str = pydantic.Field(min_length=1, max_length=NAME)
    id: str = pydantic.Field(default="", max_length=NAME)
    at: float | str | None = None
    digest: str = pydantic.Field(default="", max_length=NAME)
    direction: Literal["", "forward", "rollback", "config"] = ""
    by: str = pydantic.Field(default="", max_length=NAME)
    url: str = pydantic.Field(default="", max_length=2000, pattern=r"^(https?://.*)?$")


async def record_deploy(context: Context, request: Request) -> Response:
    """Record a deploy. The same `id` (or `Idempotency-Key`) again changes nothing and answers 200 instead of 201."""
    given = await endpoint.json_body(request, endpoint.SMALL)
    try:
        body = DeployBody.model_validate(given)
    except pydantic.ValidationError as error:
        wrong = [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        detail = "; ".join(f"`{item['field']}`: {item['message']}" for item in wrong)
        raise Failure(422, detail, more={"errors": wrong}) from None
    _check_environment(context, body.environment, 422)
    key = body.id or request.headers.get("idempotency-key", "")[:NAME]
    deploy = gate.Deploy(
        id=key or str(uuid.uuid4()),
        environment=body.environment,
        service=body.service,
        version=body.version,
        at=_at(context, body.at),
        digest=body.digest,
        direction=body.direction,
        by=body.by or request.state.caller,
        url=body.url,
    )
    repeated = bool(key) and any(known.id == key for known in context.ledger.deploys(limit=REPEATS))
    kept = await context.ledger.record(deploy)
    return endpoint.json(_deploy(kept), 200 if repeated else 201)


def _at(context: Context, given: float | str | None) -> float:
    now = context.clock.now()
    if given is None:
        return now
    try:
        at = float(given) if isinstance(given, (int, float)) else times.parse(given)
    except ValueError:
        raise Failure(422, "`at` should be unix seconds or an RFC 3339 time") from None
    if not 0 < at <= now + 300:
        raise Failure(422, "`at` should be in the past")
    return at


async def list_deploys(context: Context, request: Request) -> Response:
    """The deploys, newest first."""
    query = request.query_params
    limit = endpoint.number(query.get("limit", "100"), "limit", 1, 1000)
    found = context.ledger.deploys(query.get("environment", ""), query.get("service", ""), limit)
    return endpoint.json({"deploys": [_deploy(deploy) for deploy in found]})


def _deploy(deploy: gate.Deploy) -> dict[str, Any]:
    return {**dataclasses.asdict(deploy), "at": times.rfc3339(deploy.at)}


async def search_logs(context: Context, request: Request) -> Response:
    """Log lines that match a KQL query, newest first."""
    query, now = request.query_params, context.clock.now()
    limit = endpoint.number(query.get("limit", "100"), "limit", 1, LINES)
    start, end = _time(query.get("start"), "start", now - 3600), _time(query.get("end"), "end", now)
    if end < start:
        raise Failure(400, "`end` should not be before `start`")
    page = await context.logs.search(query.get("query", ""), start=start, end=end, limit=limit)
    whole = endpoint.flag(query.get("document", "false"), "document")
    lines = [_line(line, whole=whole) for line in page.lines]
    return endpoint.json({"lines": lines, "total": page.total, "at_least": page.at_least})


async def follow_logs(context: Context, request: Request) -> Response:
    """Log lines that match a KQL query, in order of arrival after a cursor."""
    query = request.query_params
    found = await context.logs.follow(query.get("query", ""), cursor=query.get("cursor", ""))
    whole = endpoint.flag(query.get("document", "false"), "document")
    lines = [_line(line, whole=whole) for line in found.lines]
    return endpoint.json({"lines": lines, "cursor": found.cursor})


def _time(text: str | None, name: str, default: float) -> float:
    try:
        return times.parse(text) if text else default
    except ValueError:
        raise Failure(400, f"`{name}` should be unix seconds or an RFC 3339 time") from None


def _line(line: logs.LogLine, *, whole: bool) -> dict[str, Any]:
    found = {
        "at": line.at,
        "message": line.message,
        "level": line.level,
        "service": line.service,
        "source": line.source,
        "id": line.id,
    }
    return {**found, "document": dict(line.document)} if whole else found


ENDPOINTS = (
    Endpoint(("GET",), "/v1/gate", overview),
    Endpoint(("GET", "POST"), "/v1/gate/{environment}/{service:path}", ask_gate),
    Endpoint(("GET",), "/v1/deploys", list_deploys),
    Endpoint(("POST",), "/v1/deploys", record_deploy, scope="deploy"),
    Endpoint(("GET",), "/v1/logs", search_logs),
    Endpoint(("GET",), "/v1/logs/follow", follow_logs),
)
