"""What an alerting rule asks beside its expression: is there data to judge, and is what fires over (`no_data`, `resolve_expr`).

Series are matched to alerts by the labels that the rule does not set. The queries are asked only when their answer matters. The
semantics are those of docs/decisions/0004-rule-extensions.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from tidegate.model import labels as labels_
from tidegate.model import ports, rules

LABEL = ("no_data", "true")
"""Marks the alert which says that a rule has no data."""
Question: TypeAlias = Literal["presence", "resolve", "operand"]
Found: TypeAlias = Mapping[Question, Iterable[labels_.Labels]]


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What is known at one evaluation beside the result."""

    absent: bool = False
    """The expression had nothing to judge."""
    resolved: frozenset[labels_.Labels] = frozenset()
    """Keys of the series that `resolve_expr` gave."""
    known: frozenset[labels_.Labels] | None = None
    """Keys of the series that still have data; `None` where it does not matter."""


PLAIN = Facts()


class Unknowns:
    """One rule's questions."""

    def __init__(self, rule: rules.AlertingRule, query: ports.Query, engine: ports.QueryEngine) -> None:
        """Raises `QueryError`."""
        self._rule = rule
        self._set = (labels_.NAME, "alertname", *(name for name, _ in rule.labels))
        texts: dict[Question, str] = {"resolve": rule.resolve_expr}
        if rule.no_data in ("alert", "keep") or (rule.no_data and rule.resolve_expr):
            texts["presence"] = query.presence
        if rule.no_data == "ok" and rule.resolve_expr:
            texts["operand"] = query.operand
        self.queries: dict[Question, ports.Query] = {name: engine.prepare(text) for name, text in texts.items() if text}

    def wanted(self, *, holds: bool, fires: bool) -> list[Question]:
        """What has to be asked, when the expression holds for some series or none, and something fires or not."""
        wanted: list[Question] = [] if holds else ["presence"]
        wanted += ["resolve", "operand"] if fires else []
        return [name for name in wanted if name in self.queries]

    def facts(self, found: Found) -> Facts:
        """What the answers say."""
        known = found.get("operand")
        return Facts(
            absent="presence" in found and not [*found["presence"]],
            resolved=frozenset(self.key(one) for one in found.get("resolve", ())),
            known=None if known is None else frozenset(self.key(one) for one in known),
        )

    def key(self, of: labels_.Labels) -> labels_.Labels:
        """What names the series in an alert's labels, and in those of a series."""
        return labels_.without(of, *self._set)

    def blind(self, facts: Facts) -> bool:
        """Whether the evaluation judges nothing: Prometheus (`ok`) takes it for one at which nothing held."""
        return facts.absent and self._rule.no_data in ("alert", "keep")

    def says_so(self, facts: Facts) -> bool:
        """Whether there is an alert that says: no data."""
        return facts.absent and self._rule.no_data == "alert"

    def held(self, alert: labels_.Labels, facts: Facts) -> Literal["", "band", "no data"]:
        """Why an alert that fires goes on though the expression does not hold; empty when it does not."""
        if LABEL in alert and self._rule.no_data == "alert":
            return ""
        if self.blind(facts):
            return "no data"
        if not self._rule.resolve_expr or (facts.absent and self._rule.no_data == "ok"):
            return ""
        key = self.key(alert)
        known = facts.known is None or key in facts.known
        return "band" if known and key not in facts.resolved else ""
