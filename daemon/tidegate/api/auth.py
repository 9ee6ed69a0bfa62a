"""Who may write. Reads are open; a write needs a bearer token that has the scope.

With `open_writes`, a caller on this machine needs no token. A web page that such a caller happens to look at must not be
able to write in his name, so the request must name us by a local name (no DNS rebinding), come from no other origin, and
not have been handed on by a proxy. Tokens are compared in constant time; refusals never say what was nearly right.
"""

from __future__ import annotations

import hmac
import ipaddress
import urllib.parse
from typing import Literal, TypeAlias

from starlette.requests import Request

from tidegate.model import settings

Scope: TypeAlias = Literal["silence", "deploy", "alert", "write", "admin"]
LOCAL = "local"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class Refused(Exception):  # noqa: N818 - it is an answer, not a mistake
    """The caller may not. `status` is 401 or 403."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Guard:
    """Decides by the settings."""

    def __init__(self, web: settings.Web) -> None:
        self.reload(web)

    def reload(self, web: settings.Web) -> None:
        """Take over new tokens; those that are gone are refused from now on."""
        self._tokens = [
            (name, token.token.get_secret_value().encode(), frozenset(token.scopes))
            for name, token in web.tokens.items()
            if token.token.get_secret_value()
        ]
        self._open_writes = web.open_writes
        self._external = urllib.parse.urlsplit(web.external_url).netloc

    @property
    def open_writes(self) -> bool:
        """Whether callers on this machine need no token."""
        return self._open_writes

    def check(self, request: Request, scope: Scope, token: str = "") -> str:
        """The caller's name. `token` is one that came another way than by header. Raises `Refused`."""
        given = token or _bearer(request)
        if given:
            return self._by_token(given, scope)
        if self._open_writes and _local(request):
            if not self._same_origin(request):
                raise Refused(403, "writes without a token are for this machine only, and not from other sites' pages")
            return LOCAL
        raise Refused(401, f"this needs a bearer token with the scope `{scope}`")

    def check_form(self, request: Request, scope: Scope, token: str) -> str:
        """The same for a form on our own page: never from another origin, token or not. Raises `Refused`."""
        if not self._same_origin(request, local=not token and self._open_writes):
            raise Refused(403, "the form was not sent from this site")
        return self.check(request, scope, token)

    def _by_token(self, given: str, scope: Scope) -> str:
        found: tuple[str, frozenset[str]] | None = None
        for name, token, scopes in self._tokens:
            if hmac.compare_digest(token, given.encode("utf-8", "surrogateescape")):
                found = (name, scopes)
        if found is None:
            raise Refused(401, f"this needs a bearer token with the scope `{scope}`")
        if scope not in found[1]:
            raise Refused(403, f"this token lacks the scope `{scope}`")
        return found[0]

    def _same_origin(self, request: Request, *, local: bool = True) -> bool:
        """Whether no other site's page sent it; with `local`, it must also name us by a name that only we have."""
        host = request.headers.get("host", "")
        if local and not _is_local_name(host) and host != self._external:
            return False
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return False
        origin = request.headers.get("origin")
        if origin is None:
            return True
        return urllib.parse.urlsplit(origin).netloc in {host, self._external} - {""}


def _bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _local(request: Request) -> bool:
    """Whether the peer is this machine, itself and not as a proxy."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _is_local_name(host: str) -> bool:
    """Whether a `Host` header names this machine: no outsider's DNS can make these names his."""
    try:
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
