"""Calls to a server, for commands: one request, or an exit code that says why not.

Exit codes 4 (not authorised) and 5 (cannot be reached) are decided here, for every command alike.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click
import orjson

from tidegate.kit import http

UNAUTHORISED = 4
UNREACHABLE = 5


class Unreachable(Exception):  # noqa: N818 - a state of the world, not a mistake
    """No answer, or none of ours."""


def request(
    method: str,
    server: str,
    path: str,
    *,
    token: str = "",
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    timeout: float = 30.0,
) -> http.Response:
    """One request. Raises `Unreachable` without an answer or on 5xx; exits with 4 when refused; other answers are returned."""
    response = asyncio.run(_request(method, server.rstrip("/") + path, token, params, json, timeout))
    if response.status_code in (401, 403):
        fail(UNAUTHORISED, f"not authorised: {detail(response)}", "give a token: --token-file FILE or TIDEGATE_TOKEN")
    if response.status_code >= 500:
        raise Unreachable(f"{server} answered {response.status_code}: {detail(response)}")
    return response


async def _request(
    method: str, url: str, token: str, params: Mapping[str, Any] | None, json: Any, timeout: float
) -> http.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with http.client(timeout=timeout, verify=url.startswith("https:")) as client:
        try:
            return await client.request(method, url, params=params, json=json, headers=headers)
        except http.errors() as error:
            raise Unreachable(f"cannot reach {url}: {str(error) or type(error).__name__}") from None


def get(
    server: str, path: str, *, params: Mapping[str, Any] | None = None, timeout: float = 30.0, token: str = ""
) -> Any:
    """GET JSON; exits with 5 when there is no answer and with 1 on an error answer."""
    return answer("GET", server, path, params=params, timeout=timeout, token=token)


def answer(method: str, server: str, path: str, **more: Any) -> Any:
    """A request's JSON; exits with 5 when there is no answer and with 1 on an error answer."""
    try:
        response = request(method, server, path, **more)
    except Unreachable as error:
        fail(UNREACHABLE, str(error), "is the server running? `tidegate run`, or --server URL")
    if not response.is_success:
        fail(1, detail(response))
    return parse(response)


def parse(response: http.Response) -> Any:
    """The body as JSON; None when it is empty or not JSON."""
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None


def detail(response: http.Response) -> str:
    """What an error answer says, in one line."""
    body = parse(response)
    if isinstance(body, dict):
        for key in ("detail", "error", "message", "title"):
            if body.get(key):
                return str(body[key])
    if isinstance(body, str):
        return body
    return f"HTTP {response.status_code} {response.text[:200].strip()}"


def fail(code: int, message: str, hint: str = "") -> NoReturn:
    """Say what is wrong and exit."""
    click.echo(f"error: {message}" + (f"\n  hint: {hint}" if hint else ""), err=True)
    sys.exit(code)
