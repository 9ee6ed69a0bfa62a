"""Builds the integrations of every receiver from the settings, with every problem at its place.

A new receiver is one file beside this one and one line in `KINDS`. Fields have Alertmanager's names; kinds and fields
that we do not have are refused by name, never ignored. No problem shown here repeats a secret.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TextIO

import pydantic

from tidegate.kit import config as config_
from tidegate.kit import validate, yamlfile
from tidegate.model import problems, settings
from tidegate.notify import console, email, integration, slack, smtp, webhook

SUFFIX = "_configs"
PREFIX = "receiver-"
ELSEWHERE = (
    "discord", "incidentio", "jira", "mattermost", "msteams", "msteamsv2", "opsgenie", "pagerduty", "pushover",
    "rocketchat", "sns", "telegram", "victorops", "webex", "wechat",
)  # fmt: skip
"""Kinds that Alertmanager has and we have not."""
_SECRET_WORDS = ("url", "password", "token", "secret", "key", "credentials")


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What one entry is built with."""

    given: settings.AlertGlobal
    document: yamlfile.Document
    folder: pathlib.Path
    at: tuple[str | int, ...]
    console: TextIO

    def problem(self, code: str, summary: str, *field: str, hint: str = "") -> problems.ConfigError:
        """An error at a field of the entry."""
        return problems.ConfigError([self.document.problem(PREFIX + code, summary, (*self.at, *field), hint=hint)])

    def secret(self, entry: pydantic.BaseModel, name: str) -> str | None:
        """A secret that is given in the entry, or in the file that its `..._file` names."""
        value: pydantic.SecretStr | None = getattr(entry, name)
        file: str | None = getattr(entry, f"{name}_file")
        if value is not None and file is not None:
            raise self.problem("secret-twice", f"give `{name}` or `{name}_file`, not both", name)
        if file is not None:
            return config_.read_secret(self.folder / file, self.document, (*self.at, f"{name}_file"))
        return None if value is None else value.get_secret_value()


def build(
    alerts: settings.Alerts, document: yamlfile.Document, folder: pathlib.Path, *, stream: TextIO | None = None
) -> Mapping[str, tuple[integration.Integration, ...]]:
    """The integrations of each receiver, by its name. `stream` is where `console_configs` print (default: stdout).

    `folder` is what relative paths are relative to. Raises `ConfigError` with every problem.
    """
    found: dict[str, tuple[integration.Integration, ...]] = {}
    wrong: list[problems.Problem] = []
    for index, receiver in enumerate(alerts.receivers):
        at = ("alerts", "receivers", index)
        if receiver.name in found or not receiver.name:
            code, text = ("duplicate", f"there are two receivers `{receiver.name}`")
            if not receiver.name:
                code, text = ("missing-name", "a receiver needs a `name`")
            wrong.append(document.problem(PREFIX + code, text, (*at, "name")))
        context = Context(alerts.global_, document, folder, at, stream or sys.stdout)
        found[receiver.name] = tuple(_entries(receiver.model_extra or {}, context, wrong))
    if wrong:
        raise problems.ConfigError(_without_secrets(wrong, alerts))
    return found


def _entries(
    given: Mapping[str, Any], context: Context, wrong: list[problems.Problem]
) -> Iterator[integration.Integration]:
    for field, entries in given.items():
        kind = field.removesuffix(SUFFIX)
        at = (*context.at, field)
        if not field.endswith(SUFFIX) or kind not in KINDS:
            wrong.append(_unknown(field, kind, context, at))
            continue
        if not isinstance(entries, list | tuple | None):
            wrong.append(context.document.problem(f"{PREFIX}wrong-type", f"`{field}` should be a list", at))
            continue
        for index, entry in enumerate(entries or ()):
            place = dataclasses.replace(context, at=(*at, index))
            try:
                sender, parsed = KINDS[kind]({} if entry is None else entry, place)
            except problems.ConfigError as error:
                wrong += error.problems
            else:
                yield integration.Integration(kind, index, sender, parsed.send_resolved)


def _unknown(field: str, kind: str, context: Context, at: tuple[str | int, ...]) -> problems.Problem:
    if field.endswith(SUFFIX) and kind in ELSEWHERE:
        have = ", ".join(f"`{name}{SUFFIX}`" for name in KINDS)
        summary, hint = f"`{field}` is not supported yet", f"supported: {have}"
        return context.document.problem(f"{PREFIX}kind-unsupported", summary, at, hint=hint, key=True)
    known = ["name", *(name + SUFFIX for name in KINDS)]
    hint = validate.closest(field, known) or f"known here: {', '.join(known)}"
    return context.document.problem(f"{PREFIX}unknown-field", f"unknown field `{field}`", at, hint=hint, key=True)


def _slack(entry: Any, context: Context) -> tuple[integration.Sender, integration.Config]:
    parsed = validate.model(slack.Config, entry, context.document, context.at, PREFIX)
    url = context.secret(parsed, "api_url")
    if url is None and context.given.slack_api_url is not None:
        url = context.given.slack_api_url.get_secret_value()
    if url is None:
        raise context.problem("no-address", "no Slack webhook: give `api_url`, or `alerts.global.slack_api_url`")
    return slack.Slack(parsed, _url(url, "api_url", context)), parsed


def _webhook(entry: Any, context: Context) -> tuple[integration.Sender, integration.Config]:
    parsed = validate.model(webhook.Config, entry, context.document, context.at, PREFIX)
    url = context.secret(parsed, "url")
    if url is None:
        raise context.problem("no-address", "a webhook needs `url` or `url_file`")
    return webhook.Webhook(parsed, _url(url, "url", context)), parsed


def _email(entry: Any, context: Context) -> tuple[integration.Sender, integration.Config]:
    parsed = validate.model(email.Config, entry, context.document, context.at, PREFIX)
    given = context.given
    sender = parsed.from_ or given.smtp_from
    if not sender:
        raise context.problem("no-address", "no sender: give `from`, or `alerts.global.smtp_from`")
    host = parsed.smarthost or given.smtp_smarthost
    if not host:
        raise context.problem("no-address", "no mail server: give `smarthost`, or `alerts.global.smtp_smarthost`")
    try:
        server, port = email.smarthost(host)
        email.addresses(sender)
    except ValueError as error:
        field = "smarthost" if "host:port" in str(error) else "from"
        raise context.problem("wrong-value", f"`{field}`: {error}", field) from None
    password = context.secret(parsed, "auth_password")
    if password is None and given.smtp_auth_password is not None:
        password = given.smtp_auth_password.get_secret_value()
    account = smtp.Account(
        server,
        port,
        hello=parsed.hello or given.smtp_hello,
        username=parsed.auth_username or given.smtp_auth_username,
        password=password or "",
        require_tls=given.smtp_require_tls if parsed.require_tls is None else parsed.require_tls,
        tls=_tls(parsed.tls_config, context),
    )
    if account.username and not account.password:
        raise context.problem("no-password", "`auth_username` is given, but no `auth_password`")
    return email.Email(parsed, account, sender), parsed


def _tls(given: smtp.Tls, context: Context) -> smtp.Tls:
    return given.model_copy(update={"ca_file": str(context.folder / given.ca_file)}) if given.ca_file else given


def _console(entry: Any, context: Context) -> tuple[integration.Sender, integration.Config]:
    parsed = validate.model(console.Config, entry, context.document, context.at, PREFIX)
    return console.Console(parsed, context.console), parsed


KINDS: Mapping[str, Callable[[Any, Context], tuple[integration.Sender, integration.Config]]] = {
    "slack": _slack,
    "email": _email,
    "webhook": _webhook,
    "console": _console,
}


def _url(url: str, field: str, context: Context) -> str:
    try:
        return integration.http_url(url)
    except ValueError as error:
        raise context.problem("wrong-value", f"`{field}`: {error}", field) from None


def _without_secrets(wrong: list[problems.Problem], alerts: settings.Alerts) -> list[problems.Problem]:
    """The problems with every value that may be secret taken out of what they show."""
    secrets = sorted(set(_secrets([receiver.model_extra for receiver in alerts.receivers])), key=len, reverse=True)

    def clean(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        return text

    return [
        dataclasses.replace(
            problem, summary=clean(problem.summary), excerpt=clean(problem.excerpt), hint=clean(problem.hint)
        )
        for problem in wrong
    ]


def _secrets(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _secrets(part, str(name).lower())
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _secrets(part, key)
    elif value is not None and not key.endswith("_file") and any(word in key for word in _SECRET_WORDS):
        yield str(value)
