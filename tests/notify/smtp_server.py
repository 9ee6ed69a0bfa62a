"""A real SMTP server (aiosmtpd) with STARTTLS and AUTH, that keeps what it got and refuses as told."""

from __future__ import annotations

import contextlib
import dataclasses
import email
import email.message
import email.policy
import gc
import pathlib
import ssl
import warnings
from collections.abc import Iterator
from typing import Any

import trustme
from aiosmtpd import controller, smtp

USER, PASSWORD = "tidegate", "correct-horse-battery"


@dataclasses.dataclass(frozen=True)
class Got:
    sender: str
    recipients: list[str]
    mail: email.message.EmailMessage
    secure: bool


class Server:
    """Also aiosmtpd's handler."""

    def __init__(self) -> None:
        self.port = 0
        self.got: list[Got] = []
        self.refuse_mail = ""
        self.refuse: dict[str, str] = {}
        """Answers to recipients."""
        self.password = PASSWORD

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        if self.refuse_mail:
            return self.refuse_mail
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, email.message.EmailMessage)
        self.got.append(Got(envelope.mail_from, list(envelope.rcpt_tos), mail, session.ssl is not None))
        return "250 queued"

    def check(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> smtp.AuthResult:
        good = data.login == USER.encode() and data.password == self.password.encode()
        return smtp.AuthResult(success=good, handled=False)


class Listener(controller.Controller):
    """Takes any free port."""

    def _trigger_server(self) -> None:
        listening: Any = self.server
        self.port = listening.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def serve(folder: pathlib.Path, *, tls: bool = True) -> Iterator[Server]:
    """A server on a free port; its authority's certificate is `folder / "ca.pem"`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    server = Server()
    options: dict[str, Any] = {"tls_context": context, "require_starttls": True} if tls else {}
    if tls:
        options |= {"authenticator": server.check, "auth_required": True, "auth_require_tls": True}
    listener = Listener(server, hostname="127.0.0.1", port=0, **options)
    listener.start()
    server.port = listener.port
    try:
        yield server
    finally:
        listener.stop(no_assert=True)
        _collect()


def _collect() -> None:
    """The library ends its loop while connections are still closing: let them go here, and not in someone else's test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
