"""`severities:`: one rule with several thresholds becomes an alerting rule for each, the most severe first.

They share everything but the threshold, the label `severity` and, where written, the times. While a more severe one fires,
the less severe ones of the same series do not: each rule names those `above` it, and comes after them in its group.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from tidegate.model import labels as labels_
from tidegate.model import rules
from tidegate.rules import files

LABEL = "severity"
_WHEN = re.compile(r"\s*(==|!=|<=|>=|<|>)\s*(?!bool\b)(\S.*?)\s*\Z", re.DOTALL)
Wrong: TypeAlias = Callable[[str, str, str], None]
"""Takes a code, what is wrong, and the severity that it is about."""


def expression(expr: str, when: str) -> str:
    """The rule's expression with a threshold."""
    end = "\n" if "#" in expr else ""  # a comment on its last line must not swallow the bracket
    return f"({expr.strip()}{end}) {when.strip()}"


def expanded(rule: rules.AlertingRule, severities: Mapping[str, files.Severity]) -> list[rules.AlertingRule]:
    """A rule for each severity, the most severe first."""
    names = list(severities)
    return [_one(rule, name, severities[name], tuple(names[place + 1 :])) for place, name in enumerate(names)][::-1]


def _one(rule: rules.AlertingRule, name: str, given: files.Severity, above: tuple[str, ...]) -> rules.AlertingRule:
    hold, share = times(given.for_)
    if given.for_ is None:
        hold, share = rule.hold, rule.share
    return dataclasses.replace(
        rule,
        expr=expression(rule.expr, given.when),
        labels=labels_.merge(rule.labels, {LABEL: name}),
        hold=hold,
        share=share,
        keep_firing_for=rule.keep_firing_for if given.keep_firing_for is None else given.keep_firing_for,
        severity=name,
        above=above,
    )


def times(given: rules.Share | float | None) -> tuple[float, rules.Share | None]:
    """`for` as seconds and as a share: one of the two."""
    return (0.0, given) if isinstance(given, rules.Share) else (given or 0.0, None)


def check(severities: Mapping[str, files.Severity], labels: Mapping[str, str], wrong: Wrong) -> None:
    """Say what cannot be meant."""
    if not severities:
        wrong("rule-severities", "`severities` names none", "")
    if LABEL in labels:
        wrong("rule-severities", f"the label `{LABEL}` is set by `severities` here", "")
    before: tuple[str, str, float] | None = None
    for name, one in severities.items():
        found = _WHEN.match(one.when)
        if not name or "{{" in name:
            wrong("rule-severities", f"{name!r} is no severity", name)
        elif found is None:
            wrong("rule-severities", f"{one.when!r} is no comparison such as `> 0.2`", name)
        else:
            number = _number(found[2])
            if before and number is not None and not _worse(found[1], number, before):
                what = f"{name!r} is not more severe than {before[0]!r}: write the least severe first"
                wrong("rule-severities", what, name)
            before = (name, found[1], number) if number is not None else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _worse(op: str, number: float, before: tuple[str, str, float]) -> bool:
    """Whether a threshold lies beyond the one before it; of different operators nothing can be said."""
    _, other, less = before
    if op[0] != other[0] or op[0] not in "<>":
        return True
    return number > less if op[0] == ">" else number < less
