"""How to reach a peer over HTTP: who we are to it, whom we trust, and the way there. Data only.

Secrets are texts, or files that are read when they are needed: a rotated token counts from the next request on.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Secret:
    """A secret, or the file it is in."""

    text: str = dataclasses.field(default="", repr=False)
    file: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.file)


@dataclasses.dataclass(frozen=True, slots=True)
class Tls:
    """TLS as a client. Files and texts are PEM."""

    ca: Secret = Secret()
    """Whom to trust; the system's authorities without it."""
    certificate: Secret = Secret()
    key: Secret = Secret()
    server_name: str = ""
    """The name to expect in the certificate, instead of the URL's."""
    verify: bool = True
    minimum: str = ""
    """`TLS10` to `TLS13`."""
    maximum: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class OAuth2:
    """Client credentials (RFC 6749, 4.4)."""

    client_id: str
    client_secret: Secret
    token_url: str
    scopes: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    tls: Tls = Tls()
    proxy: Proxy | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Proxy:
    """The way through a proxy."""

    url: str = ""
    no_proxy: str = ""
    """Hosts reached directly: names with their subdomains, addresses, networks, `*`; separated by commas."""
    from_environment: bool = False
    headers: tuple[tuple[str, Secret], ...] = ()
    """Sent to the proxy with CONNECT."""


@dataclasses.dataclass(frozen=True, slots=True)
class Client:
    """Everything of one peer."""

    username: Secret = Secret()
    password: Secret = Secret()
    scheme: str = ""
    """Of the `Authorization` header that carries the credentials."""
    credentials: Secret = Secret()
    oauth2: OAuth2 | None = None
    tls: Tls = Tls()
    proxy: Proxy = Proxy()
    follow_redirects: bool = True
    compressed: bool = True
    headers: tuple[tuple[str, Secret], ...] = ()


PLAIN = Client()
"""Nobody in particular, with the system's authorities."""
