"""The Slack receiver: an incoming webhook, Block Kit inside a coloured attachment.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks. Slack takes 50 blocks of a message and 3,000
characters of a block's text; what is over is cut or counted as left out. Times are shown in each reader's own zone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pydantic

from tidegate.kit import http
from tidegate.model import alerts, labels
from tidegate.notify import integration, message

ALERTS = 12
"""Alerts of one message: with at most four blocks each they stay below Slack's limit."""
BLOCKS = 50
TEXT = 3000
TITLE = 300
TIMEOUT = 10.0
COLOURS = {"critical": "#c4001a", "page": "#c4001a", "warning": "#e8a200", "info": "#2f6fde", "none": "#8a8f98"}
FIRING = "#c4001a"
RESOLVED = "#1f9d55"
_DATE = re.compile(r"<!date[^|>]*\|([^>]*)>")
_LINK = re.compile(r"<([^|>]*)\|([^>]*)>")


class Config(integration.Config):
    """An entry of `slack_configs`."""

    api_url: pydantic.SecretStr | None = None
    """The incoming webhook; default `alerts.global.slack_api_url`."""
    api_url_file: str | None = None
    """A file with it."""
    channel: str = ""
    """Overrides the webhook's channel, where Slack still allows that."""
    username: str = ""
    """Overrides the webhook's name."""
    icon_emoji: str = ""
    """Overrides the webhook's icon, e.g. `:ocean:`."""
    icon_url: str = ""
    """The same, as an image."""
    title: integration.Text = ""
    """Replaces the title; plain text."""
    text: integration.Text = ""
    """Put above the alerts; plain text."""


class Slack:
    """Posts to the webhook."""

    def __init__(self, config: Config, url: str) -> None:
        self._config = config
        self._url = url
        self._http: http.Client | None = None

    async def send(self, notification: alerts.Notification, key: str) -> str:
        """POST the message."""
        if self._http is None:
            self._http = await asyncio.to_thread(http.client, timeout=TIMEOUT)
        with integration.scrubbed(self._url):
            await http.post(
                self._http, self._url, json=payload(notification, self._config), headers={"idempotency-key": key}
            )
        return ""

    def reading(self, notification: alerts.Notification) -> integration.Reading:
        """See `integration.Readable`: the blocks' texts, with times and links as a client shows them."""
        body = payload(notification, self._config)
        blocks = body["attachments"][0]["blocks"]
        texts = [part["text"] for block in blocks for part in block.get("elements", [block.get("text")])]
        return integration.Reading(_unmarked(body["text"]), "\n".join(_unmarked(text) for text in texts) + "\n")

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()


def payload(notification: alerts.Notification, config: Config) -> dict[str, Any]:
    """The body for the webhook."""
    content = message.compose(notification, limit=ALERTS, send_resolved=config.send_resolved)
    title = config.title or content.title
    extras = {name: getattr(config, name) for name in ("channel", "username", "icon_emoji", "icon_url")}
    return {
        **{name: value for name, value in extras.items() if value},
        "text": f"*{_fit(title, TITLE)}*",
        "attachments": [
            {
                "color": colour(content),
                "fallback": _fit(title, TITLE),
                "blocks": _blocks(content, config)[:BLOCKS],
            }
        ],
    }


def _unmarked(text: str) -> str:
    """Slack's markup as plain text: a date's fallback in UTC, a link as text and address, no stars and ticks."""
    text = _DATE.sub(r"\1", text)
    text = _LINK.sub(r"\2: \1", text)
    text = text.replace("```", "").replace("`", "").replace("*", "")
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def colour(content: message.Message) -> str:
    """Green when all is over, else by severity."""
    return COLOURS.get(content.severity, FIRING) if content.firing else RESOLVED


def _blocks(content: message.Message, config: Config) -> list[dict[str, Any]]:
    blocks = [_section(_fit(config.text, TEXT))] if config.text else []
    for item in content.firing:
        blocks += _firing(item, content.at)
    for item in content.resolved:
        blocks.append(_section(_resolved(item, content.at)))
    footer = [f"and {content.left_out} more"] if content.left_out else []
    footer += [_links(content.links)] if content.links else []
    if content.labels:
        footer.append(_labels(content.labels))
    if footer:
        blocks.append(_context(footer))
    return blocks


def _firing(item: message.Item, now: float) -> list[dict[str, Any]]:
    facts = [f"Value *{_escape(item.value)}*"] if item.value else []
    facts.append(f"since {_time(item.since, now)} ({item.duration})")
    heading = f"*{_fit(item.summary or item.name, 600)}*\n" + "  ·  ".join(facts)
    if item.description:
        heading += f"\n{_fit(item.description, 1200)}"
    blocks = [_section(heading)]
    if item.lines:
        blocks.append(_section(_code(item.lines)))
    tail = [f"`{_fit(item.name, 200)}`"] if item.summary else []
    tail += [_labels(item.labels)] if item.labels else []
    tail += [f"_{_fit(item.note, 300)}_"] if item.note else []
    tail += [_links(item.links)] if item.links else []
    if tail:
        blocks.append(_context(tail))
    return blocks


def _resolved(item: message.Item, now: float) -> str:
    facts = [f"Lasted *{item.duration}*, {_time(item.since, now)} to {_time(item.until, now)}"]
    facts += [f"peak *{_escape(item.peak)}*"] if item.peak else []
    about = f"  ·  {_labels(item.labels)}" if item.labels else ""
    return f":white_check_mark: *{_fit(item.summary or item.name, 600)}*\n" + "  ·  ".join(facts) + about


def _code(lines: tuple[message.Line, ...]) -> str:
    room = TEXT // len(lines) - 10
    return "```" + "\n".join(_fit(str(line).replace("```", "'''"), room) for line in lines) + "```"


def _links(links: tuple[message.Link, ...]) -> str:
    return "  ".join(f"<{_url(link.url)}|{_escape(link.text)}>" for link in links)


def _labels(of: labels.Labels) -> str:
    return _fit(" ".join(f"{name}={value}" for name, value in of), 400)


def _time(at: float, near: float) -> str:
    """Slack's own date form; the text after the bar is for clients that do not know it."""
    day = "" if message.clock(at, near).count(" ") == 1 else "{date_short_pretty} "
    return f"<!date^{int(at)}^{day}{{time}}|{message.clock(at, near)}>"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:TEXT]}}


def _context(parts: Sequence[str]) -> dict[str, Any]:
    """Small print: as many of the parts as there is room for. Half a link would be worse than none."""
    text = ""
    for part in parts:
        longer = f"{text}  ·  {part}" if text else part
        text = longer if len(longer) <= TEXT else text
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _url(url: str) -> str:
    return _escape(url).replace("|", "%7C").replace(" ", "%20")


def _escape(text: str) -> str:
    """The three characters that mean something to Slack."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _fit(text: str, limit: int) -> str:
    """Escaped, and cut so that the result keeps the limit and no escape is split."""
    escaped = _escape(text)
    while len(escaped) > limit:
        text = text[: max(len(text) - max((len(escaped) - limit) // 5, 1) - 1, 0)]
        escaped = _escape(text) + "…"
    return escaped
