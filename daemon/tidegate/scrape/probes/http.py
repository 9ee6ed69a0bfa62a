"""The prober `http`: asks a URL, follows redirects, and judges the last answer."""

from __future__ import annotations

import asyncio
import dataclasses
import email.utils
import http.cookies
import pathlib
import urllib.parse
from collections.abc import AsyncIterator

import aiohttp
import yarl

from tidegate.kit import access
from tidegate.model import ports, probing
from tidegate.scrape.probes import body, exchange, expectations, gauges, names, redirects, tls

INLINE_BYTES = 64 * 1024
"""A longer body meets patterns in a thread."""
_PHASES = ("connect", "tls", "processing", "transfer")
_DURATION = "probe_http_duration_seconds"


class HttpProbe:
    """Probes one URL."""

    def __init__(
        self,
        target: str,
        given: probing.HttpProbe,
        way: access.Access,
        lookup: names.Lookup,
        clock: ports.Clock,
        folder: pathlib.Path,
        host: str = "",
    ) -> None:
        """`host` is the name to ask for, where the target is an address and the module does not say."""
        self._target = target if target.startswith(("http://", "https://")) else f"http://{target}"
        self._given, self._way, self._lookup = given, way, lookup
        self._clock, self._folder, self._host = clock, folder, host
        self._wrong = ""

    async def probe(self, found: gauges.Gauges) -> None:
        """Set the series of one probe. Raises `ProbeError` when it fails."""
        found.zero(
            "probe_http_content_length",
            "probe_http_uncompressed_body_length",
            "probe_http_redirects",
            "probe_http_ssl",
            "probe_http_status_code",
            "probe_http_version",
            "probe_failed_due_to_regex",
        )
        self._wrong = ""
        request = await self._first(found)
        for phase in _PHASES:
            found.set(_DURATION, 0.0, {"phase": phase})
        # What a page sets on the way it wants to see again; addresses may have cookies as in Go.
        jar = aiohttp.CookieJar(unsafe=True)
        await self._follow(request, jar, found)
        if self._wrong:
            raise gauges.ProbeError(self._wrong)

    # --- asking ---------------------------------------------------------------------------------------------------

    async def _first(self, found: gauges.Gauges) -> exchange.Request:
        """The request to begin with. Raises `ProbeError`."""
        try:
            url = urllib.parse.urlsplit(self._target)
            _ = url.port
        except ValueError:
            raise gauges.ProbeError(f"{self._target!r} is no URL") from None
        proxy = self._way.proxy(self._target)
        ip = url.hostname or ""
        if not (proxy and self._given.skip_resolve_phase_with_proxy):
            found.set(_DURATION, 0.0, {"phase": "resolve"})
            address = await names.choose(ip, self._given, self._lookup, found, self._clock)
            found.set(_DURATION, address.took, {"phase": "resolve"})
            ip = address.ip
        headers = {name: value.get_secret_value() for name, value in self._given.headers.items()}
        host = next((value for name, value in headers.items() if name.lower() == "host"), self._host)
        return exchange.Request(
            method=self._given.method or "GET",
            url=url._replace(fragment=""),
            ip=ip,
            host=host or url.netloc.rpartition("@")[2],
            server_name=host or url.hostname or "",
            headers=await self._headers(headers),
            body=await asyncio.to_thread(self._body),
            proxy=proxy,
        )

    async def _headers(self, given: dict[str, str]) -> tuple[tuple[str, str], ...]:
        sent = [(name, value) for name, value in given.items() if name.lower() != "host"]
        there = {name.lower() for name, _ in sent}
        sent += [(name, value) for name, value in (await self._way.headers()).items() if name not in there]
        if "user-agent" not in there:
            sent.append(("User-Agent", "tidegate"))
        return tuple(sent)

    def _body(self) -> bytes:
        if not self._given.body_file:
            return self._given.body.get_secret_value().encode() if self._given.body else b""
        try:
            return (self._folder / self._given.body_file).read_bytes()
        except OSError as error:
            raise gauges.ProbeError(f"cannot read {self._given.body_file!r}: {error.strerror}") from None

    async def _follow(self, first: exchange.Request, jar: aiohttp.CookieJar, found: gauges.Gauges) -> None:
        """Ask, and ask again where the answer sends us; judge the last answer."""
        request, taken = first, 0
        while True:
            one = exchange.Exchange(_with_cookies(request, jar), self._way, self._clock)
            try:
                answer = await one.head()
                _keep_cookies(one, jar)
                if redirects.leads_on(answer.status_code, one.header("location")):
                    taken += 1
                    found.set("probe_http_redirects", taken)
                after = redirects.following(request, answer.status_code, one.header("location"))
                if after is None or taken > redirects.MOST or not self._way.given.follow_redirects:
                    await self._judge(one, found, stopped=after is not None)
                    return
            finally:
                self._times(one, found)
                await one.close()
            request = await self._resolved(after, found)

    async def _resolved(self, request: exchange.Request, found: gauges.Gauges) -> exchange.Request:
        """The request with an address, where a redirect leads to another host."""
        found.add(_DURATION, 0.0, {"phase": "resolve"})
        if request.ip:
            return request
        host, started = request.url.hostname or "", self._clock.now()
        try:
            ip = (await self._lookup(host))[0]
        except (OSError, IndexError) as error:
            raise gauges.ProbeError(f"redirected to {host}, which cannot be looked up: {error}") from None
        found.add(_DURATION, self._clock.now() - started, {"phase": "resolve"})
        proxy = self._way.proxy(request.url.geturl())
        return dataclasses.replace(request, ip=host if proxy else ip, proxy=proxy)

    # --- judging --------------------------------------------------------------------------------------------------

    async def _judge(self, one: exchange.Exchange, found: gauges.Gauges, *, stopped: bool) -> None:
        """Set the series of the last answer, and note the first thing that is wrong with it.

        `stopped` is an answer that we should have followed: its body is not read.
        """
        given, answer = self._given, one.answer
        if answer is None:
            return
        status = answer.status_code
        found.set("probe_http_status_code", status)
        version = answer.http_version.decode("ascii")
        found.set("probe_http_version", float(version))
        self._tell_tls(one, found)
        if status not in given.valid_status_codes if given.valid_status_codes else not 200 <= status < 300:
            self._fail(f"status {status} {answer.reason.decode('latin-1')}".strip())
        found.set("probe_http_content_length", _content_length(one))
        if not self._wrong and (given.fail_if_header_matches or given.fail_if_header_not_matches):
            self._fail(expectations.headers(given, one.headers))
            found.set("probe_failed_due_to_regex", float(bool(self._wrong)))
        await self._judge_body(one, found, stopped=stopped)
        self._judge_manner(one, version, found)

    def _judge_manner(self, one: exchange.Exchange, version: str, found: gauges.Gauges) -> None:
        """How the answer came, beside what it says."""
        given = self._given
        modified = _unix(one.header("last-modified"))
        if modified is not None:
            found.set("probe_http_last_modified_timestamp_seconds", modified)
        if given.valid_http_versions and f"HTTP/{version}" not in given.valid_http_versions:
            self._fail(f"HTTP/{version} is none of {', '.join(given.valid_http_versions)}")
        if one.request.secure and given.fail_if_ssl:
            self._fail("the answer came over TLS")
        if not one.request.secure and given.fail_if_not_ssl:
            self._fail("the answer did not come over TLS")

    async def _judge_body(self, one: exchange.Exchange, found: gauges.Gauges, *, stopped: bool) -> None:
        given = self._given
        patterns = bool(given.fail_if_body_matches_regexp or given.fail_if_body_not_matches_regexp) and not self._wrong
        compression = given.compression.lower()
        encodings = (compression,) if compression in body.WINDOWS else ()
        got = body.Body(error="redirects are not followed further")
        if not stopped:
            got = await body.read(_chunks(one), encodings, given.body_size_limit, keep=patterns)
            found.set("probe_http_uncompressed_body_length", got.size)
        one.times.ended = self._clock.now()
        wrong = got.error
        if patterns and not wrong:
            work = expectations.body
            inline = len(got.data) <= INLINE_BYTES
            wrong = work(given, got.data) if inline else await asyncio.to_thread(work, given, got.data)
        if patterns:
            found.set("probe_failed_due_to_regex", float(bool(wrong)))
        if not stopped or patterns:
            self._fail(wrong)

    def _fail(self, wrong: str) -> None:
        self._wrong = self._wrong or wrong

    @staticmethod
    def _tell_tls(one: exchange.Exchange, found: gauges.Gauges) -> None:
        if one.line is not None and one.line.tls is not None:
            found.set("probe_http_ssl", 1.0)
            tls.tell(one.line.tls, found, cipher=True)

    @staticmethod
    def _times(one: exchange.Exchange, found: gauges.Gauges) -> None:
        """Add up the phases of one request, as far as it came."""
        times = one.times
        steps = [("connect", times.started, times.connected), ("tls", times.connected, times.secured)]
        begun = times.secured or times.connected
        steps += [("processing", begun, times.answered), ("transfer", times.answered, times.ended)]
        for phase, before, after in steps:
            if after:
                found.add(_DURATION, after - before, {"phase": phase})


def _place(request: exchange.Request) -> yarl.URL:
    """Whose cookies are meant. Raises `ProbeError` for a host that no URL can have."""
    try:
        return yarl.URL(request.url.geturl())
    except ValueError as error:
        raise gauges.ProbeError(f"{request.url.geturl()!r} is no URL: {error}") from None


def _with_cookies(request: exchange.Request, jar: aiohttp.CookieJar) -> exchange.Request:
    cookies = jar.filter_cookies(_place(request))
    text = "; ".join(f"{name}={one.value}" for name, one in cookies.items())
    more = (("Cookie", text),) if text else ()
    return dataclasses.replace(request, headers=request.headers + more)


def _keep_cookies(one: exchange.Exchange, jar: aiohttp.CookieJar) -> None:
    for value in one.headers("set-cookie"):
        try:
            jar.update_cookies(http.cookies.SimpleCookie(value), _place(one.request))
        except http.cookies.CookieError:
            continue  # a cookie that no browser would take


async def _chunks(one: exchange.Exchange) -> AsyncIterator[bytes]:
    async for chunk in one.body():
        yield chunk


def _content_length(one: exchange.Exchange) -> float:
    """As Go says it: -1 where it is not known."""
    status = one.answer.status_code if one.answer else 0
    if one.header("transfer-encoding"):
        return -1.0
    text = one.header("content-length")
    if text.isdigit():
        return float(text)
    return 0.0 if status in {204, 304} and one.request.method != "HEAD" else -1.0


def _unix(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
