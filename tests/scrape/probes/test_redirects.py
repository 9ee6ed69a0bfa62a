"""Where a redirect leads: any text of a `Location` is a request, nothing, or a failure with a reason."""

from __future__ import annotations

import urllib.parse

import hypothesis
import pytest
from hypothesis import strategies

from tidegate.scrape.probes import exchange, gauges, redirects

FIRST = exchange.Request(
    "POST", urllib.parse.urlsplit("https://shop.example/a/b"), "192.0.2.1", "shop.example", "shop.example", (), b"body"
)


@hypothesis.given(
    start=strategies.sampled_from(["", "/", "//", "http://", "https://h:", "?", "http://[", "ftp://"]),
    rest=strategies.text(max_size=10),
    status=strategies.sampled_from([200, 301, 302, 303, 304, 307, 308]),
)
def test_any_location(start: str, rest: str, status: int) -> None:
    try:
        after = redirects.following(FIRST, status, start + rest)
    except gauges.ProbeError:
        return
    if after is None:
        assert status in {200, 304} or not start + rest
    else:
        assert after.url.scheme in {"http", "https"}
        assert (after.method, after.body) == (("POST", b"body") if status > 303 else ("GET", b""))


@pytest.mark.parametrize(
    ("location", "ip", "host", "name"),
    [
        ("c", "192.0.2.1", "shop.example", "shop.example"),
        ("/c", "192.0.2.1", "shop.example", "shop.example"),
        ("https://shop.example/c", "192.0.2.1", "shop.example", "shop.example"),
        ("https://shop.example:8443/c", "", "shop.example:8443", "shop.example"),
        ("https://other.example/c", "", "other.example", "other.example"),
        ("https://u:p@other.example/c", "", "other.example", "other.example"),
    ],
)
def test_the_address_stays_with_its_host(location: str, ip: str, host: str, name: str) -> None:
    after = redirects.following(FIRST, 302, location)
    assert after is not None
    assert (after.ip, after.host, after.server_name) == (ip, host, name)
