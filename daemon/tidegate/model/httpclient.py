"""The HTTP client options that Prometheus has wherever it calls out, as settings; `client()` is what the rest works with.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#http_config.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from tidegate.model import client
from tidegate.model.section import Section, Text, text

TlsVersion = Literal["", "TLS10", "TLS11", "TLS12", "TLS13"]


def _several(value: object) -> object:
    return value if isinstance(value, (list, tuple)) or value is None else [value]


SecretText = Annotated[pydantic.SecretStr, pydantic.BeforeValidator(text)]
"""A secret; a number is one too."""


Texts = Annotated[tuple[Text, ...], pydantic.BeforeValidator(_several)]
"""One text, or several."""


def _secret(text: pydantic.SecretStr | str | None, file: str) -> client.Secret:
    plain = text.get_secret_value() if isinstance(text, pydantic.SecretStr) else text or ""
    return client.Secret(plain, file)


def _one_of(given: dict[str, object], where: str) -> None:
    named = [name for name, value in given.items() if value]
    if len(named) > 1:
        raise ValueError(f"at most one of {where}{' & '.join(given)} may be given, not both {' and '.join(named)}")


class BasicAuth(Section):
    """`Authorization: Basic`."""

    username: Text = ""
    """The user."""
    username_file: Text = ""
    """A file with the user, read at each request."""
    password: SecretText | None = None
    """The password."""
    password_file: Text = ""
    """A file with the password, read at each request."""

    @pydantic.model_validator(mode="after")
    def _once(self) -> BasicAuth:
        _one_of({"username": self.username, "username_file": self.username_file}, "basic_auth ")
        _one_of({"password": self.password, "password_file": self.password_file}, "basic_auth ")
        return self


class Authorization(Section):
    """Another `Authorization` header."""

    type: Text = "Bearer"
    """The scheme before the credentials."""
    credentials: SecretText | None = None
    """The credentials."""
    credentials_file: Text = ""
    """A file with the credentials, read at each request."""

    @pydantic.model_validator(mode="after")
    def _once(self) -> Authorization:
        _one_of({"credentials": self.credentials, "credentials_file": self.credentials_file}, "authorization ")
        if self.type.strip().lower() == "basic":
            raise ValueError('authorization type cannot be set to "basic", use "basic_auth" instead')
        return self


class Tls(Section):
    """TLS as a client."""

    ca: str = ""
    """Certificates to trust (PEM)."""
    ca_file: str = ""
    """A file with them."""
    cert: str = ""
    """Our certificate (PEM)."""
    cert_file: str = ""
    """A file with it."""
    key: SecretText | None = None
    """Our certificate's key (PEM)."""
    key_file: str = ""
    """A file with it."""
    server_name: Text = ""
    """The name to expect in the peer's certificate."""
    insecure_skip_verify: bool = False
    """Accept any certificate."""
    min_version: TlsVersion = ""
    """`TLS10`, `TLS11`, `TLS12` or `TLS13`; default what the system allows."""
    max_version: TlsVersion = ""
    """The newest version to speak."""

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Tls:
        _one_of({"ca": self.ca, "ca_file": self.ca_file}, "tls_config ")
        _one_of({"cert": self.cert, "cert_file": self.cert_file}, "tls_config ")
        _one_of({"key": self.key, "key_file": self.key_file}, "tls_config ")
        if bool(self.cert or self.cert_file) != bool(self.key or self.key_file):
            raise ValueError("a client certificate needs both a certificate and a key")
        return self

    def tls(self) -> client.Tls:
        """What the rest works with."""
        return client.Tls(
            client.Secret(self.ca, self.ca_file),
            client.Secret(self.cert, self.cert_file),
            _secret(self.key, self.key_file),
            self.server_name,
            not self.insecure_skip_verify,
            self.min_version,
            self.max_version,
        )


class Proxied(Section):
    """The way through a proxy."""

    proxy_url: Text = ""
    """The proxy's URL."""
    no_proxy: Text = ""
    """Hosts, domains and networks that are reached directly, separated by commas."""
    proxy_from_environment: bool = False
    """Use `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the environment."""
    proxy_connect_header: dict[str, tuple[Text, ...]] = {}
    """Headers for the proxy."""

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> Proxied:
        if self.proxy_from_environment and (self.proxy_url or self.no_proxy):
            raise ValueError("if proxy_from_environment is configured, proxy_url and no_proxy must not be configured")
        if self.no_proxy and not self.proxy_url:
            raise ValueError("if no_proxy is configured, proxy_url must also be configured")
        if self.proxy_connect_header and not (self.proxy_url or self.proxy_from_environment):
            raise ValueError("proxy_connect_header needs proxy_url or proxy_from_environment")
        return self

    def proxy(self) -> client.Proxy:
        """What the rest works with."""
        headers = [(name, client.Secret(text)) for name, texts in self.proxy_connect_header.items() for text in texts]
        return client.Proxy(self.proxy_url, self.no_proxy, self.proxy_from_environment, tuple(headers))


class OAuth2(Proxied):
    """A token got with client credentials."""

    client_id: Text = pydantic.Field(min_length=1)
    """Who we are."""
    client_secret: SecretText | None = None
    """Our secret."""
    client_secret_file: Text = ""
    """A file with it."""
    grant_type: Literal["", "client_credentials"] = ""
    """How the token is asked for."""
    token_url: Text = pydantic.Field(min_length=1)
    """Where the token is got."""
    scopes: tuple[Text, ...] = ()
    """What it is for."""
    endpoint_params: dict[str, Text] = {}
    """Further parameters of the request."""
    tls_config: Tls = Tls()
    """TLS towards the token's server."""

    @pydantic.model_validator(mode="after")
    def _once(self) -> OAuth2:
        _one_of({"client_secret": self.client_secret, "client_secret_file": self.client_secret_file}, "oauth2 ")
        return self

    def oauth2(self) -> client.OAuth2:
        """What the rest works with."""
        return client.OAuth2(
            self.client_id,
            _secret(self.client_secret, self.client_secret_file),
            self.token_url,
            self.scopes,
            tuple(self.endpoint_params.items()),
            self.tls_config.tls(),
            self.proxy(),
        )


class Header(Section):
    """Values of one header."""

    values: tuple[Text, ...] = ()
    """Plain ones."""
    secrets: tuple[SecretText, ...] = ()
    """Ones that are never shown."""
    files: tuple[str, ...] = ()
    """Files with values, read at each request."""


_OWN = {"authorization", "host", "user-agent", "accept-encoding", "x-prometheus-scrape-timeout-seconds"}
_CONNECTION = {"content-encoding", "content-length", "content-type", "connection", "keep-alive"}
_PROXY = {"proxy-authenticate", "proxy-authorization", "www-authenticate"}
_REMOTE = {"x-prometheus-remote-write-version", "x-prometheus-remote-read-version"}
_SIGNED = {"x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}
_RESERVED = _OWN | _CONNECTION | _PROXY | _REMOTE | _SIGNED
"""Headers that have a setting of their own, or belong to the connection."""


class HttpClient(Proxied):
    """How to reach a peer over HTTP."""

    basic_auth: BasicAuth | None = None
    """User and password."""
    authorization: Authorization | None = None
    """Another `Authorization` header."""
    oauth2: OAuth2 | None = None
    """A token got with client credentials."""
    bearer_token: SecretText | None = None
    """Sent as `Authorization: Bearer`; the older form of `authorization`."""
    bearer_token_file: Text = ""
    """A file with the token, read at each request."""
    tls_config: Tls = Tls()
    """TLS."""
    follow_redirects: bool = True
    """Go where the peer sends us."""
    enable_http2: bool = True
    """Accepted for compatibility: HTTP/1.1 is spoken."""
    http_headers: dict[str, Header] = {}
    """Further headers."""

    @pydantic.model_validator(mode="after")
    def _one_identity(self) -> HttpClient:
        _one_of({"bearer_token": self.bearer_token, "bearer_token_file": self.bearer_token_file}, "")
        for name in self.http_headers:
            if name.lower() in _RESERVED:
                raise ValueError(f"the header {name!r} must not be set in http_headers")
        bearer = self.bearer_token or self.bearer_token_file
        _one_of(
            {
                "basic_auth": self.basic_auth,
                "oauth2": self.oauth2,
                "authorization": self.authorization,
                "bearer_token & bearer_token_file": bearer,
            },
            "",
        )
        return self

    def client(self) -> client.Client:
        """What the rest works with."""
        basic, other = self.basic_auth or BasicAuth(), self.authorization
        credentials = _secret(self.bearer_token, self.bearer_token_file)
        if other is not None:
            credentials = _secret(other.credentials, other.credentials_file)
        return client.Client(
            username=client.Secret(basic.username, basic.username_file),
            password=_secret(basic.password, basic.password_file),
            scheme=(other.type.strip() if other else "") or "Bearer",
            credentials=credentials,
            oauth2=self.oauth2.oauth2() if self.oauth2 else None,
            tls=self.tls_config.tls(),
            proxy=self.proxy(),
            follow_redirects=self.follow_redirects,
            headers=tuple(_headers(self.http_headers)),
        )


def _headers(given: dict[str, Header]) -> Any:
    for name, header in given.items():
        yield from ((name, client.Secret(text)) for text in header.values)
        yield from ((name, _secret(text, "")) for text in header.secrets)
        yield from ((name, client.Secret("", file)) for file in header.files)
