"""The request that follows a redirect, by the rules of Go's HTTP client (which the blackbox exporter uses).

https://pkg.go.dev/net/http#Client.Do
"""

from __future__ import annotations

import dataclasses
import urllib.parse

from tidegate.scrape.probes import exchange, gauges

MOST = 10
_CHANGED = frozenset({301, 302, 303})
_KEPT = frozenset({307, 308})
_PRIVATE = frozenset({"authorization", "www-authenticate", "cookie", "cookie2"})


def leads_on(status: int, location: str) -> bool:
    """Whether an answer is a redirect that can be followed."""
    return status in _CHANGED | _KEPT and bool(location)


def following(before: exchange.Request, status: int, location: str) -> exchange.Request | None:
    """The next request, without an address where it goes to another host; None where there is none to make.

    Raises `ProbeError` for a location that is no HTTP URL.
    """
    if not leads_on(status, location):
        return None
    try:
        url = urllib.parse.urlsplit(urllib.parse.urljoin(before.url.geturl(), location))
        _ = url.port
    except ValueError:
        raise gauges.ProbeError(f"redirected to {location!r}, which is no URL") from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise gauges.ProbeError(f"redirected to {location!r}, which is no HTTP URL")
    method = before.method if status in _KEPT or before.method in {"GET", "HEAD"} else "GET"
    same = (url.hostname, url.port) == (before.url.hostname, before.url.port)
    relative = not urllib.parse.urlsplit(location).netloc
    return dataclasses.replace(
        before,
        method=method,
        url=url._replace(fragment=""),
        ip=before.ip if same or relative else "",
        host=before.host if relative else url.netloc.rpartition("@")[2],
        server_name=before.server_name if same or relative else url.hostname,
        headers=_headers(before, url.hostname),
        body=before.body if status in _KEPT else b"",
    )


def _headers(before: exchange.Request, host: str) -> tuple[tuple[str, str], ...]:
    """Secrets go to the same host and its subdomains only."""
    first = before.url.hostname or ""
    if host == first or host.endswith(f".{first}"):
        return before.headers
    return tuple((name, value) for name, value in before.headers if name.lower() not in _PRIVATE)
