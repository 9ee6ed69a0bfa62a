"""What every receiver has to do, shown against a real server for each."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.notify import http_server, samples, smtp_server
from tidegate.kit import telemetry, yamlfile
from tidegate.model import alerts, settings
from tidegate.notify import codec, delivery, integration, receivers, store

# The mail server's library ends its loop while connections are still closing.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
HOOK_SECRET = "T00000000/B11111111/XXXXsecretXXXX"


def build(text: str, folder: pathlib.Path, stream: io.StringIO | None = None) -> integration.Integration:
    """The only integration of the only receiver."""
    document = yamlfile.Document(text, "tidegate.yaml")
    given = settings.Alerts.model_validate(document.value["alerts"])
    return receivers.build(given, document, folder, stream=stream)["team"][0]


def row(notification: alerts.Notification) -> store.Row:
    return store.Row(1, notification.id, "team", "x[0]", codec.dump(notification), 0, 1, samples.NOW)


async def attempt(
    item: integration.Integration, notification: alerts.Notification | None = None, timeout: float = 20.0
) -> delivery.Outcome:
    item = dataclasses.replace(item, timeout=timeout)
    return await delivery.attempt(item, row(notification or samples.notification()), too_old=False)


class HttpRig:
    """A receiver, and the HTTP server behind it."""

    def __init__(self, server: http_server.Server, item: integration.Integration) -> None:
        self.server, self.item = server, item
        self.secrets = ("XXXXsecretXXXX", HOOK_SECRET)

    def arrived(self) -> list[str]:
        return [orjson.dumps(got.body).decode() for got in self.server.got]

    def answer(self, what: str) -> None:
        self.server.script.append(
            {
                "busy": http_server.Answer(429, (("retry-after", "17"),), "slow down"),
                "auth": http_server.Answer(401, body=f"no such token {HOOK_SECRET}"),
                "gone": http_server.Answer(404, body="no_service"),
                "down": http_server.Answer(503, body="oops"),
                "hang": http_server.Answer(hang=True),
            }[what]
        )


class MailRig:
    """A receiver, and the mail server behind it."""

    def __init__(self, server: smtp_server.Server, item: integration.Integration) -> None:
        self.server, self.item = server, item
        self.secrets = (smtp_server.PASSWORD,)

    def arrived(self) -> list[str]:
        texts = []
        for got in self.server.got:
            body = got.mail.get_body(("plain",))
            assert body is not None
            texts.append(f"{got.mail['subject']}\n{body.get_content()}")
        return texts

    def answer(self, what: str) -> None:
        if what == "auth":
            self.server.password = "another"
        elif what == "hang":
            self.server.refuse["oncall@shop.test"] = ""
        else:
            answers = {"busy": "451 come back later", "gone": "550 no such user", "down": "421 going down"}
            self.server.refuse["oncall@shop.test"] = answers[what]


@contextlib.contextmanager
def rig_of(kind: str, folder: pathlib.Path) -> Iterator[Rig]:
    if kind == "email":
        with smtp_server.serve(folder) as mail:
            (folder / "password").write_text(smtp_server.PASSWORD + "\n")
            yield MailRig(mail, build(EMAIL.format(port=mail.port), folder))
        return
    with http_server.serve() as server:
        (folder / "url").write_text(f"{server.url}/services/{HOOK_SECRET}\n")
        yield HttpRig(server, build(HTTP[kind], folder))


HTTP = {
    "slack": "alerts: {receivers: [{name: team, slack_configs: [{api_url_file: url}]}]}",
    "webhook": "alerts: {receivers: [{name: team, webhook_configs: [{url_file: url}]}]}",
}
Rig = HttpRig | MailRig
EMAIL = """
alerts:
  global: {{smtp_smarthost: '127.0.0.1:{port}', smtp_from: 'Tidegate <tidegate@shop.test>'}}
  receivers:
    - name: team
      email_configs:
        - to: oncall@shop.test
          auth_username: tidegate
          auth_password_file: password
          tls_config: {{ca_file: ca.pem}}
"""


@pytest.fixture(params=["slack", "webhook", "email"])
def rig(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Rig]:
    with rig_of(request.param, tmp_path) as made:
        yield made


class TestConformance:
    """Every receiver that sends over a network."""

    async def test_a_firing_message_arrives_with_what_it_must_carry(self, rig: Rig) -> None:
        assert await attempt(rig.item) == delivery.Outcome("delivered")
        (text,) = rig.arrived()
        assert "ShopErrors" in text
        assert "One in ten orders fails" in text
        if rig.item.kind != "webhook":
            for part in ("0.1044", "since", "12m 30s", "payment refused", "silences/new?filter=", "runbooks.test"):
                assert part in text
        await rig.item.sender.close()

    async def test_a_resolved_message_arrives_with_duration_and_peak(self, rig: Rig) -> None:
        assert (await attempt(rig.item, samples.notification(samples.resolved()))).state == "delivered"
        (text,) = rig.arrived()
        for part in ("ShopErrors", *(() if rig.item.kind == "webhook" else ("RESOLVED", "12m 10s", "0.213"))):
            assert part in text
        await rig.item.sender.close()

    async def test_busy_is_transient(self, rig: Rig) -> None:
        rig.answer("busy")
        outcome = await attempt(rig.item)
        assert outcome.state == "waiting"
        assert outcome.after == (None if rig.item.kind == "email" else 17)
        await rig.item.sender.close()

    async def test_down_is_transient(self, rig: Rig) -> None:
        rig.answer("down")
        assert (await attempt(rig.item)).state == "waiting"
        await rig.item.sender.close()

    async def test_a_wrong_secret_is_permanent(self, rig: Rig) -> None:
        rig.answer("auth")
        outcome = await attempt(rig.item)
        assert (outcome.state, outcome.reason) == ("failed", "auth")
        await rig.item.sender.close()

    async def test_an_address_that_is_gone_is_permanent(self, rig: Rig) -> None:
        rig.answer("gone")
        outcome = await attempt(rig.item)
        assert (outcome.state, outcome.reason) == ("failed", "rejected")
        await rig.item.sender.close()

    async def test_what_a_server_says_twice_is_recognised(self, rig: Rig) -> None:
        for _ in range(2):
            await attempt(rig.item)
        if isinstance(rig, MailRig):
            assert len({got.mail["message-id"] for got in rig.server.got}) == 1
        if isinstance(rig, HttpRig):
            assert {got.headers["idempotency-key"] for got in rig.server.got} == {"0123456789abcdef-team-x[0]"}
        await rig.item.sender.close()

    @pytest.mark.parametrize("what", ["busy", "auth", "gone", "down"])
    async def test_secrets_stay_inside(self, rig: Rig, what: str, capfd: pytest.CaptureFixture[str]) -> None:
        telemetry.configure("debug", "text")
        logging.getLogger("asyncio").setLevel(logging.WARNING)
        rig.answer(what)
        outcome = await attempt(rig.item)
        await attempt(rig.item)
        shown = (
            f"{outcome} {rig.item!r} {rig.item.sender!r} {vars(rig.item.sender).get('_config')!r} {capfd.readouterr()}"
        )
        assert outcome.error
        for secret in rig.secrets:
            assert secret not in shown
        await rig.item.sender.close()
        logging.getLogger().handlers.clear()

    async def test_nobody_there_is_transient(self, rig: Rig, tmp_path: pathlib.Path) -> None:
        sender: Any = rig.item.sender
        if isinstance(rig, MailRig):
            sender._account.port = 1
        else:
            sender._url = "http://127.0.0.1:1/x/y"
        outcome = await attempt(rig.item)
        assert (outcome.state, outcome.reason) == ("waiting", "connection")
        await rig.item.sender.close()


@pytest.mark.parametrize("kind", ["slack", "webhook"])
async def test_no_answer_is_transient(kind: str, tmp_path: pathlib.Path) -> None:
    with rig_of(kind, tmp_path) as rig:
        rig.answer("hang")
        outcome = await attempt(rig.item, timeout=0.3)
        assert (outcome.state, outcome.reason) == ("waiting", "timeout")
        await rig.item.sender.close()


async def test_a_webhook_has_a_timeout_of_its_own(tmp_path: pathlib.Path) -> None:
    with http_server.serve() as server:
        server.script.append(http_server.Answer(hang=True))
        text = f"alerts: {{receivers: [{{name: team, webhook_configs: [{{url: '{server.url}', timeout: 200ms}}]}}]}}"
        item = build(text, tmp_path)
        outcome = await attempt(item)
        assert (outcome.state, outcome.reason) == ("waiting", "timeout")
        await item.sender.close()


async def test_the_console_prints_a_block(tmp_path: pathlib.Path) -> None:
    stream = io.StringIO()
    item = build("alerts: {receivers: [{name: team, console_configs: [{}]}]}", tmp_path, stream)
    assert await attempt(item) == delivery.Outcome("delivered")
    assert stream.getvalue().splitlines()[1] == "[CRITICAL] ShopErrors: shop, production"


async def test_mail_goes_out_encrypted_and_whole(tmp_path: pathlib.Path) -> None:
    with rig_of("email", tmp_path) as rig:
        assert isinstance(rig, MailRig)
        await attempt(rig.item)
        (got,) = rig.server.got
        assert (got.secure, got.sender, got.recipients) == (True, "tidegate@shop.test", ["oncall@shop.test"])
        assert got.mail["from"] == "Tidegate <tidegate@shop.test>"
        assert got.mail["auto-submitted"] == "auto-generated"
        html = got.mail.get_body(("html",))
        assert html is not None
        content = html.get_content()
        assert "One in ten orders fails &amp; &lt;nobody&gt; can pay" in content
        assert "<nobody>" not in content


async def test_mail_needs_a_certificate_that_is_trusted(tmp_path: pathlib.Path) -> None:
    with smtp_server.serve(tmp_path) as server:
        (tmp_path / "password").write_text("x")
        text = EMAIL.format(port=server.port).replace("tls_config: {ca_file: ca.pem}", "")
        outcome = await attempt(build(text, tmp_path))
        assert (outcome.state, outcome.reason) == ("waiting", "tls")
        assert server.got == []


async def test_mail_is_not_sent_in_the_clear_unless_that_is_wanted(tmp_path: pathlib.Path) -> None:
    with smtp_server.serve(tmp_path, tls=False) as server:
        text = (
            f"alerts: {{global: {{smtp_smarthost: '127.0.0.1:{server.port}', smtp_from: a@shop.test}},"
            " receivers: [{name: team, email_configs: [{to: 'b@shop.test, c@shop.test'}]}]}"
        )
        outcome = await attempt(build(text, tmp_path))
        assert (outcome.state, outcome.reason, server.got) == ("failed", "tls", [])
        server.refuse["c@shop.test"] = "550 no such user"
        plain = text.replace("}]}]}", ", require_tls: false}]}]}")
        assert await attempt(build(plain, tmp_path)) == delivery.Outcome("delivered", error="refused: c@shop.test")
        assert server.got[0].recipients == ["b@shop.test"]
