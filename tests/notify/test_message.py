"""What messages say, and that they keep every receiver's limits."""

from __future__ import annotations

import dataclasses
import math
import urllib.parse

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.notify import samples
from tidegate.kit import matchers
from tidegate.model import alerts, labels, logs
from tidegate.notify import codec, integration, message, slack, webhook


@pytest.mark.parametrize(
    ("items", "title"),
    [
        ((samples.firing(),), "[CRITICAL] ShopErrors: shop, production"),
        ((samples.firing(severity=""),), "[FIRING] ShopErrors: shop, production"),
        ((samples.firing(a="1"), samples.firing(a="2")), "[CRITICAL x2] ShopErrors: shop, production"),
        ((samples.firing(), samples.firing(severity="info")), "[CRITICAL, 2 firing] ShopErrors: shop, production"),
        ((samples.firing(service="a"), samples.firing(service="b")), "[CRITICAL x2] ShopErrors: production"),
        ((samples.firing(), samples.resolved("Slow")), "[CRITICAL] ShopErrors: shop, production (1 resolved)"),
        ((samples.resolved(), samples.resolved("Slow")), "[RESOLVED x2] ShopErrors, Slow: shop, production"),
        (tuple(samples.firing(name) for name in "ABCDE"), "[CRITICAL x5] A, B, C and 2 more: shop, production"),
    ],
)
def test_titles(items: tuple[alerts.Alert, ...], title: str) -> None:
    assert message.title(samples.notification(*items)) == title


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.10437, "0.1044"),
        (93.25, "93.25"),
        (1.0, "1"),
        (1234567.8, "1,234,568"),
        (5e13, "5e+13"),
        (0.0000123, "1.23e-05"),
        (-12.5, "-12.5"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert message.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.4, "0s"),
        (45, "45s"),
        (60, "1m"),
        (750, "12m 30s"),
        (11100, "3h 5m"),
        (90_061, "1d 1h"),
        (3605, "1h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert message.span(seconds) == text


def test_times_have_the_date_only_when_it_is_another_day() -> None:
    assert message.clock(samples.NOW - 60, samples.NOW) == "22:12 UTC"
    assert message.clock(samples.NOW - 86400, samples.NOW) == "2023-11-13 22:13 UTC"


def test_the_silence_link_silences_exactly_the_alert() -> None:
    of = labels.make(alertname='Odd "name"', service="shop & co", path="C:\\x")
    url = message.silence_url("https://tidegate.test", of)
    (text,) = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["filter"]
    assert matchers.Conditions(matchers.parse_all(text)).matches(of)
    assert {(matcher.name, matcher.value) for matcher in matchers.parse_all(text)} == set(of)


def test_links_that_no_page_opens_are_left_out() -> None:
    alert = dataclasses.replace(samples.firing(), annotations=(("runbook_url", "javascript:alert(1)"),))
    content = message.compose(samples.notification(alert), limit=5)
    assert [link.text for link in content.firing[0].links] == ["Query", "Silence"]


def test_pushed_alerts_have_no_value() -> None:
    pushed = dataclasses.replace(samples.firing(), rule="api")
    assert message.compose(samples.notification(pushed), limit=5).firing[0].value == ""


def test_the_same_lines_are_shown_once() -> None:
    content = message.compose(samples.notification(samples.firing("A"), samples.firing("B")), limit=5)
    assert [len(item.lines) for item in content.firing] == [2, 0]


def test_who_wants_no_ends_gets_none() -> None:
    mixed = samples.notification(samples.firing(), samples.resolved("Slow"))
    content = message.compose(mixed, limit=5, send_resolved=False)
    assert (len(content.firing), len(content.resolved)) == (1, 0)
    assert content.title == "[CRITICAL] ShopErrors: shop, production"
    body = webhook.payload(mixed, 0, send_resolved=False)
    assert [alert["status"] for alert in body["alerts"]] == ["firing"]


def test_a_webhook_counts_what_it_leaves_out() -> None:
    many = dataclasses.replace(samples.notification(*(samples.firing(n=str(n)) for n in range(9))), truncated=2)
    body = webhook.payload(many, 4, send_resolved=True)
    assert (len(body["alerts"]), body["truncatedAlerts"]) == (4, 7)


TEXT = st.text(max_size=400)
LONG = st.integers(0, 20).map(lambda count: "<&>" * count * 30)
WORDS = st.one_of(TEXT, LONG)


@st.composite
def notifications(draw: st.DrawFn) -> alerts.Notification:
    items = []
    for number in range(draw(st.integers(1, 30))):
        base = samples.firing(f"A{number}") if draw(st.booleans()) else samples.resolved(f"A{number}")
        base = dataclasses.replace(
            base,
            labels=labels.make({**dict(base.labels), "extra": draw(WORDS)}),
            annotations=labels.make(
                summary=draw(WORDS), description=draw(WORDS), runbook_url="https://x/" + draw(WORDS)
            ),
            value=draw(st.floats()),
        )
        lines = tuple(logs.LogLine(samples.NOW, draw(WORDS), draw(TEXT)) for _ in range(draw(st.integers(0, 5))))
        items.append(alerts.NotifiedAlert(base, lines, draw(WORDS)))
    items.sort(key=lambda item: item.alert.state)
    return dataclasses.replace(samples.notification(), alerts=tuple(items))


@given(notifications())
def test_slack_messages_keep_slacks_limits(notification: alerts.Notification) -> None:
    body = slack.payload(notification, slack.Config(text="x" * 5000))
    (attachment,) = body["attachments"]
    assert len(attachment["blocks"]) <= 50
    for block in attachment["blocks"]:
        texts = [block["text"]["text"]] if block["type"] == "section" else [part["text"] for part in block["elements"]]
        assert all(0 < len(text) <= 3000 for text in texts)
    assert len(orjson.dumps(body)) < 300_000


@given(notifications())
def test_the_outbox_gives_back_what_it_took(notification: alerts.Notification) -> None:
    back = codec.load(codec.dump(notification))
    assert repr(back) == repr(notification)


@given(st.text(max_size=300), st.integers(1, 200))
def test_cutting_splits_no_escape(text: str, limit: int) -> None:
    cut = slack._fit(text, limit)
    assert len(cut) <= limit
    plain = cut.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert not set("&<>") & set(plain)


def test_scrubbing_takes_out_the_secret_and_its_pieces() -> None:
    url = "https://hooks.slack.test/services/T000/B111/verysecret"
    text = f"cannot POST {url}: /services/T000/B111/verysecret is gone; verysecret"
    assert "verysecret" not in integration.scrub(text, url)
