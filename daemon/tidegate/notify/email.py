"""The email receiver: text and HTML over SMTP, one mail for all addresses of an entry.

The Message-ID comes from the notification, so a mail that had to be sent again is recognised as the same one; mails about
one group carry one reference, so that clients show them together. How it gets to the server is `smtp`'s business.
"""

from __future__ import annotations

import email.message
import email.utils
import functools
import hashlib
import pathlib
from typing import Any

import pydantic

from tidegate.model import alerts
from tidegate.notify import integration, message, plain, slack, smtp

ALERTS = 50
SUBJECT = 200
_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_OURS = frozenset({"from", "to", "message-id", "date", "references", "content-type", "mime-version"})


class Config(integration.Config):
    """An entry of `email_configs`."""

    to: str
    """Addresses, with commas between them."""
    from_: str = pydantic.Field(default="", alias="from")
    """Sender; default `alerts.global.smtp_from`."""
    smarthost: str = ""
    """`host:port`; default `alerts.global.smtp_smarthost`. Port 465 is TLS from the start."""
    hello: str = ""
    """The name we greet with; default `alerts.global.smtp_hello`."""
    auth_username: str = ""
    """For AUTH; default `alerts.global.smtp_auth_username`."""
    auth_password: pydantic.SecretStr | None = None
    """For AUTH; default `alerts.global.smtp_auth_password`."""
    auth_password_file: str | None = None
    """A file with it."""
    require_tls: bool | None = None
    """Refuse to send without TLS; default `alerts.global.smtp_require_tls`."""
    tls_config: smtp.Tls = smtp.Tls()
    """How certificates are checked."""
    headers: dict[str, str] = pydantic.Field(default={})
    """More headers; `Subject` replaces ours. Plain text."""

    @pydantic.field_validator("to", "from_")
    @classmethod
    def _addresses(cls, value: str) -> str:
        if value:
            addresses(value)
        return value

    @pydantic.field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if name.lower() in _OURS:
                raise ValueError(f"the header {name!r} is made by Tidegate")
            if not name.isascii() or not name.replace("-", "").isalnum() or "\n" in text or "\r" in text:
                raise ValueError(f"{name!r} is not a header")
            integration.plain(text)
        return value


class Email:
    """Sends mails, each over a connection of its own."""

    def __init__(self, config: Config, account: smtp.Account, sender: str) -> None:
        self._config = config
        self._account = account
        self._sender = sender
        self._to = addresses(config.to)

    async def send(self, notification: alerts.Notification, key: str) -> str:
        """Send it; the note names recipients that the server refused while it took others."""
        mail = compose(notification, self._config, self._sender, key)
        with integration.scrubbed(self._account.password):
            refused = await smtp.deliver(mail, self._account, addresses(self._sender)[0], self._to)
        return f"refused: {', '.join(sorted(refused))}" if refused else ""

    def reading(self, notification: alerts.Notification) -> integration.Reading:
        """See `integration.Readable`: the subject, and the part that is plain text."""
        mail = compose(notification, self._config, self._sender, "")
        part = mail.get_body(("plain",))
        return integration.Reading(mail["Subject"], part.get_content() if part else "")

    async def close(self) -> None:
        """No connection is kept."""


def addresses(text: str) -> list[str]:
    """The addresses of a header's value. Raises `ValueError`."""
    found = [address for _, address in email.utils.getaddresses([text])]
    if not found or any("@" not in address or " " in address for address in found):
        raise ValueError("not an email address, or several with commas between them")
    return found


def smarthost(text: str) -> tuple[str, int]:
    """Host and port of `host:port`. Raises `ValueError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("should be host:port, e.g. mail.example.org:587")
    return host.strip("[]"), int(port)


def compose(notification: alerts.Notification, config: Config, sender: str, key: str) -> email.message.EmailMessage:
    """The mail."""
    content = message.compose(notification, limit=ALERTS, send_resolved=config.send_resolved)
    mail = email.message.EmailMessage()
    domain = addresses(sender)[0].rpartition("@")[2]
    group = _digest(notification.receiver, notification.group_key)
    mail["From"], mail["To"] = sender, config.to
    mail["Subject"] = " ".join(content.title.split())[:SUBJECT]
    mail["Date"] = email.utils.format_datetime(message.utc(notification.created_at))
    mail["Message-ID"] = f"<{_digest(notification.id, key)}@{domain}>"
    mail["References"] = f"<group-{group}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if content.firing and content.severity in ("critical", "page"):
        mail["X-Priority"] = "1"
    for name, text in config.headers.items():
        del mail[name]
        mail[name] = text
    mail.set_content(plain.text(content))
    mail.add_alternative(_html().render(m=content, colour=slack.colour(content), clock=message.clock), subtype="html")
    return mail


@functools.cache
def _html() -> Any:
    import jinja2  # noqa: PLC0415 - heavy, and only needed once there is something to send

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("email.html.j2")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]
