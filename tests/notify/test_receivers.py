"""Receivers from settings: what is built, and how mistakes are shown."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import yaml

from tidegate.kit import yamlfile
from tidegate.model import problems, settings
from tidegate.notify import receivers


def build(text: str, folder: pathlib.Path = pathlib.Path("/nowhere")) -> Any:
    document = yamlfile.Document(text, "tidegate.yaml")
    return receivers.build(settings.Alerts.model_validate(yaml.safe_load(text)["alerts"]), document, folder)


def wrong(text: str, folder: pathlib.Path = pathlib.Path("/nowhere")) -> list[problems.Problem]:
    with pytest.raises(problems.ConfigError) as caught:
        build(text, folder)
    return list(caught.value.problems)


GOOD = """
alerts:
  global: {slack_api_url: https://hooks.slack.test/a/b, smtp_smarthost: 'mail.test:587', smtp_from: tide@shop.test}
  receivers:
    - name: everything
      slack_configs:
        - {channel: '#a'}
        - {api_url: https://hooks.slack.test/c/d, send_resolved: false}
      email_configs: [{to: 'a@shop.test, B <b@shop.test>', headers: {Subject: On fire}}]
      webhook_configs: [{url: http://hook.test/x, max_alerts: 3, timeout: 2s}]
      console_configs: [{}]
    - {name: nobody}
    - {name: none, slack_configs: null}
"""


def test_what_is_right_is_built() -> None:
    built = build(GOOD)
    assert {name: [item.name for item in items] for name, items in built.items()} == {
        "everything": ["slack[0]", "slack[1]", "email[0]", "webhook[0]", "console[0]"],
        "nobody": [],
        "none": [],
    }
    assert [item.send_resolved for item in built["everything"]] == [True, False, True, True, True]


def test_the_settings_default_prints_to_the_console() -> None:
    built = receivers.build(settings.Alerts(), yamlfile.Document("", "environment"), pathlib.Path())
    assert [item.name for item in built["console"]] == ["console[0]"]


def entry(kind: str, text: str) -> str:
    return f"alerts:\n  receivers:\n    - name: team\n      {kind}:\n        - {text}\n"


@pytest.mark.parametrize(
    ("kind", "text", "code", "place", "part"),
    [
        ("slack_configs", "{chanel: x}", "receiver-unknown-field", (5, 12), "did you mean `channel`?"),
        ("slak_configs", "{}", "receiver-unknown-field", (4, 7), "did you mean `slack_configs`?"),
        ("pagerduty_configs", "{}", "receiver-kind-unsupported", (4, 7), "`pagerduty_configs` is not supported yet"),
        ("slack_configs", "{}", "receiver-no-address", (5, 11), "alerts.global.slack_api_url"),
        ("slack_configs", "{api_url: hooks.slack.test}", "receiver-wrong-value", (5, 21), "not an http or https URL"),
        ("slack_configs", "{api_url: http://a/b, title: '{{ .X }}'}", "receiver-wrong-value", (5, 40), "templates"),
        ("slack_configs", "{send_resolved: perhaps}", "receiver-wrong-type", (5, 27), "send_resolved"),
        ("slack_configs", "x", "receiver-wrong-type", (5, 11), ""),
        ("webhook_configs", "{}", "receiver-no-address", (5, 11), "`url` or `url_file`"),
        ("webhook_configs", "{url: http://x/y, url_file: z}", "receiver-secret-twice", (5, 17), "not both"),
        ("webhook_configs", "{url: http://x/y, timeout: 5x}", "receiver-wrong-value", (5, 38), "duration"),
        ("webhook_configs", "{url_file: missing}", "settings-secret-unreadable", (5, 22), "cannot read"),
        ("email_configs", "{from: a@b.test}", "receiver-missing-field", (5, 11), "`to`"),
        ("email_configs", "{to: nobody}", "receiver-wrong-value", (5, 16), "not an email address"),
        ("email_configs", "{to: a@b.test}", "receiver-no-address", (5, 11), "sender"),
        ("email_configs", "{to: a@b.test, from: a@b.test}", "receiver-no-address", (5, 11), "mail server"),
        ("email_configs", "{to: a@b.test, from: a@b.test, smarthost: m}", "receiver-wrong-value", (5, 53), "host:port"),
        (
            "email_configs",
            "{to: a@b.test, from: a@b.test, smarthost: 'm:25', auth_username: u}",
            "receiver-no-password",
            (5, 11),
            "auth_password",
        ),
        ("email_configs", "{to: a@b.test, headers: {From: x}}", "receiver-wrong-value", (5, 35), "made by Tidegate"),
    ],
)
def test_mistakes_are_shown_at_their_place(kind: str, text: str, code: str, place: tuple[int, int], part: str) -> None:
    (problem,) = wrong(entry(kind, text))
    assert (problem.code, (problem.line, problem.column)) == (code, place)
    assert part in f"{problem.summary} {problem.hint}"


def test_every_mistake_is_shown() -> None:
    text = """
alerts:
  receivers:
    - {name: a, slack_configs: [{chanel: x}], jira_configs: []}
    - {name: a, webhook_configs: [{}]}
"""
    assert [problem.code for problem in wrong(text)] == [
        "receiver-unknown-field",
        "receiver-kind-unsupported",
        "receiver-duplicate",
        "receiver-no-address",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{api_url: hooks.slack.test/hunter22, chanel: x}",
        "{api_url: 'ftp://hooks.slack.test/hunter22'}",
        "{api_url: https://hooks.slack.test/hunter22, api_url_file: y}",
        "{api_url: [https://hooks.slack.test/hunter22]}",
    ],
)
def test_problems_do_not_repeat_secrets(text: str) -> None:
    for problem in wrong(entry("slack_configs", text)):
        assert "hunter22" not in problem.render()


def test_passwords_are_not_repeated_either() -> None:
    text = entry("email_configs", "{to: x, auth_password: hunter22, tls_config: {min_version: TLS12}}")
    found = wrong(text)
    assert len(found) == 2
    for problem in found:
        assert "hunter22" not in problem.render()
