"""Messages as plain text: the text part of a mail, and the console.

Lines are at most as long as what they show; nothing is wrapped, so that log lines and links stay whole.
"""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model import labels
from tidegate.notify import message


def text(content: message.Message) -> str:
    """The whole message, ending in a newline."""
    return "\n".join([content.title, "", *_body(content)]).rstrip() + "\n"


def body(content: message.Message) -> str:
    """The message below its title."""
    return "\n".join(_body(content)).rstrip() + "\n"


def _body(content: message.Message) -> Iterator[str]:
    if content.labels:
        yield from (_labels(content.labels), "")
    for item in content.firing:
        yield from (*_firing(item, content), "")
    for item in content.resolved:
        yield from (*_resolved(item, content), "")
    if content.left_out:
        yield from (f"and {content.left_out} more", "")
    yield from (f"{link.text}: {link.url}" for link in content.links)


def _firing(item: message.Item, content: message.Message) -> Iterator[str]:
    yield item.summary or item.name
    facts = [f"value {item.value}"] if item.value else []
    facts.append(f"since {message.clock(item.since, content.at)} ({item.duration})")
    yield "  " + ", ".join(facts)
    yield from _details(item)
    if item.description:
        yield from (f"  {line}" for line in item.description.splitlines())
    yield from (f"  | {line}" for line in item.lines)
    if item.note:
        yield f"  ({item.note})"
    yield from (f"  {link.text}: {link.url}" for link in item.links)


def _resolved(item: message.Item, content: message.Message) -> Iterator[str]:
    yield f"Resolved: {item.summary or item.name}"
    times = f"{message.clock(item.since, content.at)} to {message.clock(item.until, content.at)}"
    yield f"  lasted {item.duration} ({times})" + (f", peak {item.peak}" if item.peak else "")
    yield from _details(item)


def _details(item: message.Item) -> Iterator[str]:
    if item.summary and item.labels:
        yield f"  {item.name} {_labels(item.labels)}"
    elif item.summary or item.labels:
        yield f"  {item.name if item.summary else _labels(item.labels)}"


def _labels(of: labels.Labels) -> str:
    return " ".join(f"{name}={value}" for name, value in of)
