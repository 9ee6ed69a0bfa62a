"""Who hears of a rule, how often and in which words: labels and annotations, and what belongs into the settings.

Secrets and addresses are never copied: receivers are named, and where their secret goes is said.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.model import section
from tidegate.rules.elastalert import drafts, reading

RECEIVERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "slack": {"slack_configs": [{"api_url_file": "slack.url", "channel": "#alerts"}]},
    "email": {"email_configs": [{"to": "team@example.com"}]},
    "post": {"webhook_configs": [{"url_file": "webhook.url"}]},
    "post2": {"webhook_configs": [{"url_file": "webhook.url"}]},
    "debug": {"console_configs": [{}]},
}
"""Alerters, and the receivers that do the same."""
OWN: Final = ("slack_", "email", "smtp_", "from_addr", "cc", "bcc", "http_post")
"""What the names of these alerters' own fields begin with."""
_PLACE: Final = re.compile(r"\{(\d*)(?:![rsa])?(?::[^}]*)?\}")


@dataclasses.dataclass(slots=True)
class Telling:
    """What is said, to whom."""

    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    annotations: dict[str, str] = dataclasses.field(default_factory=dict)
    receiver: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What belongs to `alerts.receivers`, without its name."""
    route: dict[str, str] = dataclasses.field(default_factory=dict)
    """What belongs to a route."""
    lost: list[tuple[tuple[str | int, ...], str]] = dataclasses.field(default_factory=list)
    """(place, why) of what has no counterpart."""
    notes: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """(field, what is not quite the same)."""


def of(rule: reading.Rule, known: Mapping[str, str]) -> Telling:
    """What a rule says; `known` are the fields that its alerts have labels of. Raises `NotConvertedError`."""
    found = Telling()
    for name in ("owner", "category", "priority"):
        if (given := rule.take(name)) not in (None, ""):
            found.labels[name] = str(section.text(given))
    if (given := rule.take("description")) is not None:
        found.annotations["description"] = _escaped(str(given))
    _text(rule, "alert_subject", "summary", known, found)
    _text(rule, "alert_text", "description", known, found)
    _receivers(rule, found)
    if rule.take("realert") is not None:
        found.route["repeat_interval"] = section.duration(rule.seconds("realert"))
    aggregation = rule.take("aggregation")
    if isinstance(aggregation, dict) and "schedule" not in aggregation:
        found.route["group_wait"] = section.duration(rule.seconds("aggregation"))
    elif aggregation is not None:
        found.lost.append((("aggregation",), "a time table for messages has no counterpart"))
    if keys := rule.names("aggregation_key"):
        found.route["group_by"] = f"[{', '.join(known.get(key, drafts.label(key)) for key in keys)}]"
    return found


def _text(rule: reading.Rule, name: str, annotation: str, known: Mapping[str, str], found: Telling) -> None:
    """A text with places for values; those that are no labels are left as names."""
    given, arguments = rule.take(name), rule.names(f"{name}_args")
    style = str(rule.take("alert_text_type", ""))
    if given is None:
        return
    text = str(given)
    if style == "alert_text_jinja" or "{{" in text or "{%" in text:
        found.notes.append((name, "templates of Jinja are not rewritten"))
        return
    unknown: list[str] = []
    counted = iter(range(len(arguments)))

    def value(match: re.Match[str]) -> str:
        number = int(match[1]) if match[1] else next(counted, len(arguments))
        field = arguments[number] if number < len(arguments) else "?"
        if field in known:
            return "{{ $labels." + known[field] + " }}"
        unknown.append(field)
        return f"<{field}>"

    before = found.annotations.get(annotation)
    text = _PLACE.sub(value, text)
    found.annotations[annotation] = f"{before}\n\n{text}" if before else text
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        found.notes.append((name, f"alerts have no label for {names}: the lines in the message say it"))


def _receivers(rule: reading.Rule, found: Telling) -> None:
    given = rule.take("alert", [])
    wanted: Sequence[Any] = given if isinstance(given, list) else [given]
    own = list(OWN)
    for place, one in enumerate(wanted):
        name = str(next(iter(one), "")) if isinstance(one, dict) else str(one)
        if name not in RECEIVERS:
            found.lost.append((("alert", place), f"there is no receiver that does what the alerter `{name}` does"))
            own.append(f"{name}_")
            continue
        if isinstance(one, dict):
            found.notes.append(("alert", f"what stands below `{name}` belongs to the receiver, in the settings"))
        found.receiver.update(RECEIVERS[name])
    for name, _ in list(rule.left()):
        if name.startswith(tuple(own)):
            rule.take(name)
            found.notes.append((name, "belongs to the receiver, in the settings"))


def _escaped(text: str) -> str:
    """A text that is no template."""
    return text.replace("{{", '{{ "{{" }}')
