"""The HTTP client of everything that calls out, except scraping (aiohttp) and Elasticsearch (its own transport).

The one place that names the library. Answers become `TransientError` or `PermanentError`, so receivers and commands need
no knowledge of status codes; nothing here follows redirects, since a webhook that moved is a misconfiguration.
"""

from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from tidegate.model import problems

if TYPE_CHECKING:
    import httpx2

Client: TypeAlias = "httpx2.AsyncClient"
Response: TypeAlias = "httpx2.Response"
ERROR_BODY = 300


class UnreachedError(problems.TransientError):
    """There was no connection, so that the peer has seen nothing of the request."""


def client(
    *,
    timeout: float,
    verify: bool = True,
    transport: httpx2.AsyncBaseTransport | None = None,
    context: ssl.SSLContext | None = None,
    proxy: str = "",
    proxy_headers: Mapping[str, str] | None = None,
    follow_redirects: bool = False,
    server_name: str = "",
) -> Client:
    """A client to be closed by its owner. `timeout` in seconds, for each of connect, write and read.

    `server_name` is the name to expect in the peer's certificate, instead of the address's.
    """
    import httpx2  # noqa: PLC0415 - 60 ms that only calls are worth

    trusted: ssl.SSLContext | bool = context or (ssl.create_default_context() if verify else False)
    return httpx2.AsyncClient(
        timeout=timeout,
        verify=trusted,
        transport=transport,
        headers={"user-agent": "tidegate"},
        proxy=httpx2.Proxy(proxy, headers=dict(proxy_headers or {})) if proxy else None,
        follow_redirects=follow_redirects,
        event_hooks={"request": [_named(server_name)] if server_name else []},
    )


def _named(server_name: str) -> Callable[[httpx2.Request], Awaitable[None]]:
    async def name(request: httpx2.Request) -> None:
        request.extensions["sni_hostname"] = server_name

    return name


async def post(http: Client, url: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Response:
    """POST JSON. Raises `TransientError` (timeout, connection, 408, 429, 5xx) or `PermanentError` (any other non-2xx)."""
    return await _asked(http.post(url, json=json, headers=headers))


async def send(http: Client, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
    """POST bytes; the response, whatever its status. Raises `TransientError` without one, `PermanentError` for no URL."""
    return await _answered(http.post(url, content=body, headers=headers))


async def post_form(http: Client, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Any:
    """POST a form; the JSON that was answered. Raises like `post`, and `ValueError` for an answer that is no JSON."""
    response = await _asked(http.post(url, data=dict(form), headers=headers))
    return response.json()


async def query(http: Client, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Any:
    """POST a form to an API whose errors are JSON too; the JSON. Raises `TransientError` when there is none."""
    import httpx2  # noqa: PLC0415 - see `client`

    try:
        response = await http.post(url, data=dict(form), headers=headers)
    except httpx2.TimeoutException as error:
        raise problems.TransientError(f"no answer in time ({type(error).__name__})", reason="timeout") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise problems.TransientError(f"cannot reach the server: {_plain(error)}", reason="connection") from None
    return response.json() if "json" in response.headers.get("content-type", "") else check(response).json()


async def get(http: Client, url: str, headers: Mapping[str, str], limit: int) -> tuple[bytes, str]:
    """The body of a 200, of at most `limit` bytes, and its content type. Raises like `post`, and `ValueError` for others."""
    response = await _asked(http.get(url, headers=headers))
    if response.status_code != 200:
        raise ValueError(f"the answer has status {response.status_code}, not 200")
    if len(response.content) > limit:
        raise ValueError(f"the answer is larger than {limit} bytes")
    return response.content, str(response.headers.get("content-type", ""))


async def _asked(request: Awaitable[Response]) -> Response:
    return check(await _answered(request))


async def _answered(request: Awaitable[Response]) -> Response:
    import httpx2  # noqa: PLC0415 - see `client`

    try:
        return await request
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as error:
        raise UnreachedError(f"cannot reach the server: {_plain(error)}", reason="connection") from None
    except httpx2.TimeoutException as error:
        raise problems.TransientError(f"no answer in time ({type(error).__name__})", reason="timeout") from None
    except httpx2.HTTPError as error:
        raise problems.TransientError(f"cannot reach the server: {_plain(error)}", reason="connection") from None
    except httpx2.InvalidURL as error:
        raise problems.PermanentError(f"not a URL: {error}", reason="config") from None


def errors() -> tuple[type[Exception], ...]:
    """What a request raises when there is no answer, or no usable URL."""
    import httpx2  # noqa: PLC0415 - see `client`

    return (httpx2.HTTPError, httpx2.InvalidURL)


def check(response: Response) -> Response:
    """The response if it is 2xx; else the error it means, with the start of its body."""
    if response.is_success:
        return response
    text = f"HTTP {response.status_code}: {response.text[:ERROR_BODY].strip() or response.reason_phrase}"
    if response.status_code in (408, 425, 429) or response.status_code >= 500:
        reason = "rate_limited" if response.status_code == 429 else "server"
        raise problems.TransientError(text, after=retry_after(response.headers.get("retry-after")), reason=reason)
    raise problems.PermanentError(text, reason="auth" if response.status_code in (401, 403) else "rejected")


def retry_after(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header (RFC 9110, 10.2.3): a number or a date; None when absent or unreadable."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except ValueError:
        return None


def _plain(error: Exception) -> str:
    return str(error) or type(error).__name__
