"""One of our alerting rules as PromQL that every Prometheus evaluates to the same alerts. Pure.

What a rule of ours remembers is in series there: `ALERTS` says what fires, a recording rule in which evaluations the
expression held. docs/rules.md shows each form.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable

from tidegate.model import ports, rules, section
from tidegate.rules import unknowns

LOOKBACK = 300.0
"""Seconds that an instant selector looks back in Prometheus."""
_CLASSIC = re.compile(r"[a-zA-Z_]\w*\Z", re.ASCII)
_LABEL = re.compile(r"\{\{\s*\$labels\.([a-zA-Z_]\w*)\s*\}\}")
_VALUE = re.compile(r"\{\{[^}]*(?:\$value|\.Value)")


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """Something that is not the same in Prometheus."""

    code: str
    summary: str
    field: str
    """The rule's field that it is about."""


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    """What stands for a rule."""

    expr: str
    hold: float
    """`for`, in seconds."""
    record: str = ""
    """Name of a recording rule that comes before it; empty for none."""
    recorded: str = ""
    """Its expression."""
    notices: tuple[Notice, ...] = ()


def extended(rule: rules.AlertingRule) -> bool:
    """Whether the rule has a field that Prometheus does not have."""
    return bool(rule.share or rule.resolve_expr or rule.no_data or rule.severity)


def counts(rule: rules.AlertingRule) -> bool:
    """Whether evaluations are counted: also for a lower severity, whose `for` goes on while a higher one stands in."""
    return bool(rule.share or (rule.above and rule.hold))


def plain(rule: rules.AlertingRule, query: ports.Query, interval: float, record: str) -> Plain:
    """The same rule without our fields; `record` names the recording rule if one is needed."""
    return _Rewrite(rule, query, interval).done(record)


class _Rewrite:
    def __init__(self, rule: rules.AlertingRule, query: ports.Query, interval: float) -> None:
        self._rule, self._query, self._interval = rule, query, interval
        self._own = sorted(name for name, _ in rule.labels)

    def done(self, record: str) -> Plain:
        """Each part around the one before it."""
        held, share = self._rule.expr, self._rule.share
        if self._rule.no_data == "alert":
            held = f"{grouped(held)} or {self._says_so()}"
        counted = counts(self._rule)
        expr = held
        if counted:
            expr = self._often(record, share) if share else self._long(record)
        kept = self._kept()
        if kept:
            expr = f"{grouped(expr)} or{_ignoring(self._own)} {grouped(kept)}"
        if self._rule.above:
            expr = f"{grouped(expr)} unless{_ignoring(['alertname', 'alertstate', *self._own])} {self._higher()}"
        notices = tuple(self._notices(kept=bool(kept)))
        if counted:
            return Plain(expr, 0.0, record, held, notices)
        return Plain(expr, self._rule.hold, notices=notices)

    def _often(self, record: str, share: rules.Share) -> str:
        """The window ends between two evaluations, so that it does not matter whether its start belongs to it."""
        window = section.duration((share.of - 0.5) * self._interval)
        return f"last_over_time({record}[{window}]) and count_over_time({record}[{window}]) >= {share.needed}"

    def _long(self, record: str) -> str:
        """`for` by counting: in as many evaluations as fit, or now and firing already."""
        needed = math.ceil(self._rule.hold / self._interval) + 1
        window = section.duration((needed - 0.5) * self._interval)
        long = f"({record} and count_over_time({record}[{window}]) >= {needed})"
        return f"{long} or ({record} and{_ignoring(['alertname', 'alertstate', *self._own])} {self._firing()})"

    def _says_so(self) -> str:
        name, value = unknowns.LABEL
        absent = f"vector(1) unless on () {grouped(self._query.presence)}"
        return f'label_replace({absent}, "{name}", "{value}", "", "")'

    def _kept(self) -> str:
        """What fires already and goes on."""
        rule, firing = (
            self._rule,
            f"sum without ({_list(['alertname', 'alertstate', *self._own])}) ({self._firing(marked=False)})",
        )
        keeps = rule.no_data in ("alert", "keep")
        if not rule.resolve_expr:
            return f"{firing} unless on () {grouped(self._query.presence)}" if keeps else ""
        over = grouped(rule.resolve_expr)
        if keeps:
            over = f"({over} and on () {grouped(self._query.presence)})"
        kept = f"{firing} unless{_ignoring(self._own)} {over}"
        if rule.no_data != "ok":
            return kept
        if self._query.operand:
            return f"({kept}) and{_ignoring(self._own)} {grouped(self._query.operand)}"
        return f"({kept}) and on () {grouped(self._query.presence)}" if self._query.presence else kept

    def _firing(self, *, marked: bool = True) -> str:
        """What fired at the evaluation before; perhaps without the alert that says: no data."""
        more = {} if marked or self._rule.no_data != "alert" else {unknowns.LABEL[0]: ""}
        found = self._alerts({**dict(rules.fixed_labels(self._rule)), **more})
        if self._interval < LOOKBACK:
            return found
        # The evaluation before is the only one in the window, however far apart they are.
        return f"last_over_time({found}[{section.duration(1.5 * self._interval)}])"

    def _higher(self) -> str:
        fixed = {name: text for name, text in rules.fixed_labels(self._rule) if name != "severity"}
        pattern = "|".join(re.escape(name) for name in self._rule.above)
        return self._alerts(fixed, f"severity=~{_quoted(pattern)}")

    def _alerts(self, equal: dict[str, str], *more: str) -> str:
        fixed = {"alertname": self._rule.alert, "alertstate": "firing", **equal}
        return "ALERTS{" + ", ".join([*(f"{_name(name)}={_quoted(text)}" for name, text in fixed.items()), *more]) + "}"

    def _notices(self, *, kept: bool) -> Iterable[Notice]:
        rule = self._rule
        if counts(rule):
            yield Notice("export-pending", f"{rule.alert} is not pending before it fires", "for")
        if rule.share and rule.no_data in ("alert", "keep"):
            what = f"{rule.alert} counts evaluations without data as such in which the expression did not hold"
            yield Notice("export-no-data", what, "for")
        for name, text in rule.labels:
            if (kept or rule.above) and not self._renders(text):
                what = f"the label {name!r} may be another one while {rule.alert} is kept firing, or a higher severity fires"
                yield Notice("export-label", what, "labels")
        if kept and any(_VALUE.search(text) for _, text in rule.annotations):
            what = f"`$value` is 1 in the annotations while {rule.alert} is kept firing"
            yield Notice("export-value", what, "annotations")

    def _renders(self, text: str) -> bool:
        """Whether a label comes out the same from the labels that are left of an alert."""
        return "{{" not in _LABEL.sub("", text) and not set(_LABEL.findall(text)) & set(self._own)


def grouped(expr: str) -> str:
    """In brackets; a comment on its last line must not swallow the closing one."""
    return f"({expr.strip()}\n)" if "#" in expr else f"({expr.strip()})"


def _ignoring(names: list[str]) -> str:
    return f" ignoring ({_list(names)})" if names else ""


def _list(names: list[str]) -> str:
    return ", ".join(map(_name, names))


def _name(label: str) -> str:
    """A label's name, quoted where it has to be."""
    return label if _CLASSIC.match(label) else _quoted(label)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
