"""Local receivers: a web server that takes what Slack would, and a mail server. They only keep what arrives."""

from __future__ import annotations

import contextlib
import email
import email.message
import email.policy
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

from aiosmtpd import controller

from examples.shop import processes


class Inbox:
    """Everything that arrived."""

    def __init__(self) -> None:
        self.slack: list[dict[str, Any]] = []
        self.mails: list[email.message.EmailMessage] = []
        self.slack_url = ""
        self.mail_address = ""

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a mail."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(message)
        return "250 OK"


@contextlib.contextmanager
def open_inbox() -> Iterator[Inbox]:
    """Both servers, on free ports, for as long as the block lasts."""
    inbox = Inbox()

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            inbox.slack.append(json.loads(body))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' word
            """Silent."""

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    mail = controller.Controller(inbox, hostname="127.0.0.1", port=processes.free_port())
    mail.start()
    inbox.slack_url = f"http://127.0.0.1:{web.server_port}/services/T000/B000/demo"
    inbox.mail_address = f"127.0.0.1:{mail.port}"
    try:
        yield inbox
    finally:
        mail.stop()
        web.shutdown()
        web.server_close()
