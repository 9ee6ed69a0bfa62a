"""Hands a mail to a server: STARTTLS or implicit TLS, AUTH, and what each answer means for trying again.

SMTP: RFC 5321; a 4yz answer is tried again, a 5yz is not. The one module that names the mail library.
"""

from __future__ import annotations

import asyncio
import email.message
import ssl
from typing import Any

import pydantic

from tidegate.model import problems

TIMEOUT = 20.0
IMPLICIT_TLS = 465


class Tls(pydantic.BaseModel):
    """An entry's `tls_config`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    ca_file: str = ""
    """Certificates to trust instead of the system's."""
    server_name: str = ""
    """The name that the certificate has to have; default the smarthost's."""
    insecure_skip_verify: bool = False
    """Accept any certificate."""


class Account:
    """The mail server, and who we are there."""

    def __init__(
        self, host: str, port: int, *, hello: str, username: str, password: str, require_tls: bool, tls: Tls
    ) -> None:
        self.host, self.port, self.hello = host, port, hello
        self.username, self.password = username, password
        self.require_tls = require_tls
        self.tls = tls


async def deliver(mail: email.message.EmailMessage, account: Account, sender: str, to: list[str]) -> dict[str, Any]:
    """Hand the mail to the server; the recipients it refused."""
    import aiosmtplib  # noqa: PLC0415 - heavy, and only needed once there is something to send

    context = await asyncio.to_thread(_context, account.tls)
    client = aiosmtplib.SMTP(
        hostname=account.host,
        port=account.port,
        local_hostname=account.hello,
        timeout=TIMEOUT,
        use_tls=account.port == IMPLICIT_TLS,
        start_tls=False,
        tls_context=context,
    )
    try:
        async with client:
            await _secure(client, account, context)
            refused, _ = await client.send_message(mail, sender=sender, recipients=to)
            return dict(refused)
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _meaning(error, aiosmtplib) from None


async def _secure(client: Any, account: Account, context: ssl.SSLContext) -> None:
    await client.ehlo()
    if account.port != IMPLICIT_TLS:
        if client.supports_extension("starttls"):
            await client.starttls(server_hostname=account.tls.server_name or None, tls_context=context)
            await client.ehlo()
        elif account.require_tls:
            raise problems.PermanentError("the mail server offers no STARTTLS, and `require_tls` is on", reason="tls")
    if account.username:
        if not client.supports_extension("auth"):
            raise problems.PermanentError("the mail server offers no AUTH", reason="auth")
        await client.login(account.username, account.password)


def _meaning(error: Exception, library: Any) -> problems.TidegateError:
    """What an error of the mail library means for trying again."""
    if isinstance(error, library.SMTPRecipientsRefused):
        codes = [refused.code for refused in error.recipients]
        text = "; ".join(f"{refused.recipient}: {refused.code} {refused.message}" for refused in error.recipients)
        return _by_code(min(codes, default=550), f"all recipients refused: {text}", "rejected")
    if isinstance(error, library.SMTPResponseException):
        reason = "auth" if isinstance(error, library.SMTPAuthenticationError) else "rejected"
        return _by_code(error.code, f"the mail server answered {error.code} {error.message}", reason)
    if isinstance(error, library.SMTPNotSupported):
        return problems.PermanentError(f"the mail server cannot do this: {error}", reason="rejected")
    return _unreached(error, library)


def _unreached(error: Exception, library: Any) -> problems.TransientError:
    if isinstance(error, library.SMTPTimeoutError | TimeoutError):
        return problems.TransientError("no answer from the mail server in time", reason="timeout")
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLError):
        return problems.TransientError(f"TLS with the mail server failed: {cause}", reason="tls")
    return problems.TransientError(f"the mail server could not be used: {error}", reason="connection")


def _by_code(code: int, text: str, reason: str) -> problems.TidegateError:
    text = " ".join(text.split())[:300]
    if 400 <= code < 500:
        return problems.TransientError(text, reason="server")
    return problems.PermanentError(text, reason=reason)


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise problems.PermanentError(f"cannot read `ca_file`: {error}", reason="config") from None
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
