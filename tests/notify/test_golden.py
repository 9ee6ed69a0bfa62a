"""What messages look like, in golden files.

`TIDEGATE_UPDATE_GOLDEN=1` writes them anew; read the difference before keeping it.
"""

from __future__ import annotations

import dataclasses
import email.message
import json
import os
import pathlib

import pytest

from tests.notify import samples
from tidegate.model import alerts
from tidegate.notify import email as email_
from tidegate.notify import message, plain, slack, webhook

GOLDEN = pathlib.Path(__file__).parent / "golden"


def warning(name: str, instance: str) -> alerts.Alert:
    one = samples.firing(name, severity="warning", instance=instance)
    return dataclasses.replace(one, annotations=(("summary", f"{name} on {instance}"),), log_query="", value=93.25)


def noted() -> alerts.Notification:
    base = samples.notification()
    item = alerts.NotifiedAlert(samples.firing(), (), "log search took longer than 3 s")
    return dataclasses.replace(base, alerts=(item,))


CASES = {
    "one_firing": samples.notification(),
    "mixed": dataclasses.replace(
        samples.notification(
            samples.firing(), warning("DiskFull", "db-1"), warning("DiskFull", "db-2"), samples.resolved("ShopSlow")
        ),
        truncated=3,
    ),
    "resolved": samples.notification(samples.resolved()),
    "no_logs": noted(),
}


def same(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("TIDEGATE_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{name} changed"


def pretty(body: object) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("case", CASES)
def test_slack(case: str) -> None:
    same(f"slack_{case}.json", pretty(slack.payload(CASES[case], slack.Config(channel="#alerts"))))


@pytest.mark.parametrize("case", CASES)
def test_webhook(case: str) -> None:
    same(f"webhook_{case}.json", pretty(webhook.payload(CASES[case], 0, send_resolved=True)))


@pytest.mark.parametrize("case", CASES)
def test_console_and_mail_text(case: str) -> None:
    same(f"text_{case}.txt", plain.text(message.compose(CASES[case], limit=20)))


@pytest.mark.parametrize("case", CASES)
def test_email(case: str) -> None:
    mail = email_.compose(CASES[case], email_.Config(to="oncall@shop.test"), "Tidegate <tidegate@shop.test>", "key")
    html = mail.get_body(("html",))
    assert isinstance(html, email.message.EmailMessage)
    headers = "".join(f"{name}: {value}\n" for name, value in mail.items() if name != "Content-Type")
    same(f"email_{case}.html", f"<!--\n{headers}-->\n{html.get_content()}")
