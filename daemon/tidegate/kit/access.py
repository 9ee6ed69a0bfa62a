"""From client options to what a request needs: headers with secrets, a TLS context, the proxy for a URL, OAuth2 tokens.

Secrets in files are read again when a request needs them, so that a rotated one counts at once; a TLS context is made
again when one of its files changed. Which HTTP library sends the request is not known here.
"""

from __future__ import annotations

import base64
import dataclasses
import ipaddress
import os
import pathlib
import ssl
import tempfile
import urllib.parse
import urllib.request
from typing import Any, TypeAlias

from tidegate.kit import http
from tidegate.model import client as client_
from tidegate.model import ports, problems

VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
Data: TypeAlias = Any
"""Client options, or a part of them."""
EARLY = 30.0
"""Seconds before its end at which a token is renewed."""
TIMEOUT = 30.0


class Access:
    """The way to one peer."""

    def __init__(self, given: client_.Client, clock: ports.Clock) -> None:
        self.given = given
        self._clock = clock
        self._token, self._until = "", 0.0
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[float, ...] = ()

    async def headers(self) -> dict[str, str]:
        """Authorization and further headers. Raises `TransientError` (reason `auth`) when a secret cannot be had."""
        given = self.given
        found: dict[str, str] = {}
        for name, secret in given.headers:  # several values of one header are one list
            found[name.lower()] = ", ".join([*filter(None, [found.get(name.lower())]), read(secret)])
        if given.username or given.password:
            pair = f"{read(given.username)}:{read(given.password)}"
            found["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif given.credentials:
            found["authorization"] = f"{given.scheme} {read(given.credentials)}"
        elif given.oauth2 is not None:
            found["authorization"] = f"Bearer {await self._renewed(given.oauth2)}"
        return found

    def context(self) -> ssl.SSLContext:
        """The TLS context; the same object while its files stay as they are. Raises `TransientError` (reason `tls`)."""
        stamp = _stamp(self.given.tls)
        if self._context is None or stamp != self._stamp:
            self._context, self._stamp = tls_context(self.given.tls), stamp
        return self._context

    def proxy(self, url: str) -> str:
        """The proxy for a URL; empty without one."""
        return proxy(self.given.proxy, url)

    def proxy_headers(self) -> dict[str, str]:
        """What the proxy is told."""
        return {name: read(secret) for name, secret in self.given.proxy.headers}

    def options(self, url: str) -> dict[str, Any]:
        """What `kit.http.client` needs of this for a URL."""
        return {
            "context": self.context(),
            "proxy": self.proxy(url),
            "proxy_headers": self.proxy_headers(),
            "follow_redirects": self.given.follow_redirects,
            "server_name": self.given.tls.server_name,
        }

    async def _renewed(self, given: client_.OAuth2) -> str:
        now = self._clock.now()
        if not self._token or now >= self._until - EARLY:
            self._token, lifetime = await _token(given, self._clock)
            self._until = now + lifetime
        return self._token


async def _token(given: client_.OAuth2, clock: ports.Clock) -> tuple[str, float]:
    """A token by client credentials (RFC 6749, 4.4), and its lifetime in seconds."""
    form = {"grant_type": "client_credentials", **dict(given.parameters)}
    if given.scopes:
        form["scope"] = " ".join(given.scopes)
    identity = client_.Client(
        username=client_.Secret(urllib.parse.quote_plus(given.client_id)),
        password=client_.Secret(urllib.parse.quote_plus(read(given.client_secret))),
        tls=given.tls,
        proxy=given.proxy or client_.Proxy(),
    )
    there = Access(identity, clock)
    try:
        async with http.client(timeout=TIMEOUT, **there.options(given.token_url)) as asking:
            answer = await http.post_form(asking, given.token_url, form, await there.headers())
        return str(answer["access_token"]), float(answer.get("expires_in") or 3600.0)
    except (problems.TransientError, problems.PermanentError) as error:
        raise problems.TransientError(f"cannot get a token from {given.token_url}: {error}", reason="auth") from None
    except (KeyError, TypeError, ValueError):
        raise problems.TransientError(f"{given.token_url} answered without a token", reason="auth") from None


def resolved(given: Data, folder: pathlib.Path) -> Data:
    """The same options with the files of its secrets relative to a folder."""
    if isinstance(given, client_.Secret):
        return dataclasses.replace(given, file=str(folder / given.file)) if given.file else given
    if isinstance(given, tuple):
        return tuple(resolved(one, folder) for one in given)
    if not dataclasses.is_dataclass(given) or isinstance(given, type):
        return given
    parts = {field.name: resolved(getattr(given, field.name), folder) for field in dataclasses.fields(given)}
    return dataclasses.replace(given, **parts)


def read(secret: client_.Secret) -> str:
    """The secret's text. Raises `TransientError` (reason `auth`) when its file cannot be read."""
    if not secret.file:
        return secret.text
    try:
        return pathlib.Path(secret.file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise problems.TransientError(
            f"cannot read the secret's file {secret.file!r}: {reason}", reason="auth"
        ) from None


def tls_context(given: client_.Tls) -> ssl.SSLContext:
    """A TLS context. Raises `TransientError` (reason `tls`)."""
    try:
        made = ssl.create_default_context(cafile=given.ca.file or None, cadata=given.ca.text or None)
        if not given.verify:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        if given.minimum:
            made.minimum_version = VERSIONS[given.minimum]
        if given.maximum:
            made.maximum_version = VERSIONS[given.maximum]
        if given.certificate:
            _certify(made, given)
    except (OSError, ValueError) as error:
        raise problems.TransientError(f"cannot use the TLS settings: {error}", reason="tls") from None
    return made


def _certify(made: ssl.SSLContext, given: client_.Tls) -> None:
    """Load our certificate; Python takes it from files only."""
    if given.certificate.file and given.key.file:
        made.load_cert_chain(given.certificate.file, given.key.file)
        return
    with tempfile.NamedTemporaryFile("w", prefix="tidegate-", suffix=".pem") as both:
        both.write(read(given.certificate) + "\n" + read(given.key) + "\n")
        both.flush()
        made.load_cert_chain(both.name)


def _stamp(given: client_.Tls) -> tuple[float, ...]:
    """Changes when one of the files does."""
    files = [one.file for one in (given.ca, given.certificate, given.key) if one.file]
    return tuple(pathlib.Path(file).stat().st_mtime if pathlib.Path(file).exists() else 0.0 for file in files)


def proxy(given: client_.Proxy, url: str) -> str:
    """The proxy for a URL; empty where it is reached directly."""
    parts = urllib.parse.urlsplit(url)
    if given.from_environment:
        found = urllib.request.getproxies().get(parts.scheme, "")
        return (
            "" if _direct(parts.hostname or "", os.environ.get("NO_PROXY") or os.environ.get("no_proxy", "")) else found
        )
    return "" if not given.url or _direct(parts.hostname or "", given.no_proxy) else given.url


def _direct(host: str, exceptions: str) -> bool:
    """Whether a host is among the exceptions: names with their subdomains, addresses, networks, `*`."""
    for text in filter(None, (one.strip().lower() for one in exceptions.split(","))):
        name = text.rpartition(":")[0] if text.count(":") == 1 else text
        if name == "*" or host.lower() == name.lstrip(".") or host.lower().endswith("." + name.lstrip("*.")):
            return True
        if _within(host, name):
            return True
    return False


def _within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
