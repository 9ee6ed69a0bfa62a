"""Prometheus' API: the rules and the alerts, read from memory."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint, goformat, times
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure, Params
from tidegate.api.prom import answers, params
from tidegate.model import alerts, labels, ports, rules

KINDS = {"alert": rules.AlertingRule, "record": rules.RecordingRule}


async def all_rules(context: Context, request: Request) -> Response:
    """The rule groups with their rules and, for alerting rules, their alerts."""
    given = await endpoint.params(request)
    wanted = _wanted(context, given)
    page, token = _page(given)
    live = _by_rule(context)
    statuses = [status for status in context.rules.groups() if wanted.group(status)]
    groups = [_group(status, wanted, live) for status in _from(statuses, token)]
    kept = [(key, group) for key, group in groups if group["rules"]]
    data: dict[str, Any] = {"groups": [group for _, group in (kept[:page] if page else kept)]}
    if page and len(kept) > page:
        data["groupNextToken"] = kept[page][0]
    return answers.raw(answers.success(data))


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """What a request asks for."""

    groups: frozenset[str]
    files: frozenset[str]
    names: frozenset[str]
    kind: str
    selectors: tuple[Callable[[labels.Labels], bool], ...]
    bare: bool

    def group(self, status: ports.GroupStatus) -> bool:
        return (not self.groups or status.group.name in self.groups) and (
            not self.files or status.group.file in self.files
        )

    def rule(self, group: rules.Group, rule: rules.Rule) -> bool:
        if self.kind and not isinstance(rule, KINDS[self.kind]):
            return False
        if self.names and rules.name_of(rule) not in self.names:
            return False
        of = labels.make(_labels(group, rule))
        return not self.selectors or any(selects(of) for selects in self.selectors)


def _wanted(context: Context, given: Params) -> _Wanted:
    selectors = [functools.partial(context.queries.selects, one) for one in given.getlist("match[]")]
    if any(selects(()) for selects in selectors):
        raise Failure(400, "match[] must contain at least one non-empty matcher")
    return _Wanted(
        frozenset(given.getlist("rule_group[]")),
        frozenset(given.getlist("file[]")),
        frozenset(given.getlist("rule_name[]")),
        params.choice(given, "type", KINDS),
        tuple(selectors),
        _bare(given),
    )


def _bare(given: Params) -> bool:
    text = params.text(given, "exclude_alerts")
    try:
        return bool(text) and endpoint.flag(text, "exclude_alerts")
    except Failure as failure:
        raise params.bad("exclude_alerts", f"error converting exclude_alerts: {failure.detail}") from None


def _page(given: Params) -> tuple[int, str]:
    """How many groups at most (0: all), and the token of the first one."""
    size, token = params.text(given, "group_limit"), params.text(given, "group_next_token")
    if token and not size:
        why = "group_limit needs to be present in order to paginate over the groups"
        raise params.bad("group_next_token", why)
    if not size:
        return 0, ""
    if not size.removeprefix("-").isdecimal():
        raise params.bad("group_limit", f"group_limit needs to be a valid number: {size!r} is none")
    if int(size) <= 0:
        raise params.bad("group_limit", "group_limit needs to be greater than 0")
    return int(size), token


def _from(statuses: Sequence[ports.GroupStatus], token: str) -> Sequence[ports.GroupStatus]:
    if not token:
        return statuses
    for number, status in enumerate(statuses):
        if _token(status.group) == token:
            return statuses[number:]
    why = f"invalid group_next_token '{token}'. were rule groups changed?"
    raise params.bad("group_next_token", why)


def _token(group: rules.Group) -> str:
    return hashlib.sha256(group.key.encode()).hexdigest()


def _by_rule(context: Context) -> dict[str, list[alerts.Alert]]:
    live: dict[str, list[alerts.Alert]] = {}
    for alert in _live(context):
        live.setdefault(alert.rule, []).append(alert)
    return live


def _labels(group: rules.Group, rule: rules.Rule) -> dict[str, str]:
    return dict(group.labels) | dict(rule.labels)


def _group(
    status: ports.GroupStatus, wanted: _Wanted, live: dict[str, list[alerts.Alert]]
) -> tuple[str, dict[str, Any]]:
    group = status.group
    keyed = zip(group.rule_keys(), status.rules, strict=True)
    chosen = [(key, one) for key, one in keyed if wanted.rule(group, one.rule)]
    shown = {
        "name": group.name,
        "file": group.file,
        "rules": [_rule(group, one, live.get(key, ()), bare=wanted.bare) for key, one in chosen],
        "interval": group.interval,
        "limit": group.limit,
        "evaluationTime": status.duration,
        "lastEvaluation": times.rfc3339(status.last_evaluation),
    }
    return _token(group), shown


def _rule(group: rules.Group, status: ports.RuleStatus, mine: Sequence[alerts.Alert], *, bare: bool) -> dict[str, Any]:
    rule = status.rule
    common = {
        "name": rules.name_of(rule),
        "query": rule.expr,
        "labels": _labels(group, rule),
        "health": {"ok": "ok", "err": "err"}.get(status.health, "unknown"),
        "evaluationTime": status.duration,
        "lastEvaluation": times.rfc3339(status.last_evaluation),
    }
    if status.error:
        common["lastError"] = status.error
    if isinstance(rule, rules.RecordingRule):
        return {**common, "type": "recording"}
    return {
        **common,
        "type": "alerting",
        "state": next(
            (state for state in ("firing", "pending") if any(one.state == state for one in mine)), "inactive"
        ),
        "duration": rule.wait(group.interval),
        "keepFiringFor": rule.keep_firing_for,
        "annotations": dict(rule.annotations),
        "alerts": None if bare else [_alert(one) for one in mine],
        **_ours(rule),
    }


def _ours(rule: rules.AlertingRule) -> dict[str, Any]:
    """The fields that Prometheus does not have, where the rule has them."""
    given = {
        "for": str(rule.share or ""),
        "resolveQuery": rule.resolve_expr,
        "noData": rule.no_data,
        "severity": rule.severity,
    }
    return {name: text for name, text in given.items() if text}


async def all_alerts(context: Context, _request: Request) -> Response:
    """The alerts that are pending or fire."""
    return answers.raw(answers.success({"alerts": [_alert(alert) for alert in _live(context)]}))


def _live(context: Context) -> list[alerts.Alert]:
    found = [alert for alert in context.book.all() if alert.state in ("pending", "firing")]
    return sorted(found, key=lambda alert: (alert.name, alert.labels))


def _alert(alert: alerts.Alert) -> dict[str, Any]:
    """Prometheus' fields, and `noDataSince` while the alert cannot be judged."""
    times_ = {"keepFiringSince": alert.keep_since, "noDataSince": alert.no_data_since}
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": alert.state,
        "activeAt": times.rfc3339(alert.active_at),
        "value": goformat.scientific(alert.value) if not math.isnan(alert.value) else "NaN",
        **{name: times.rfc3339(at) for name, at in times_.items() if at},
    }


_Endpoint = functools.partial(Endpoint, say=answers.say)
ENDPOINTS = (
    _Endpoint(("GET",), "/api/v1/rules", all_rules),
    _Endpoint(("GET",), "/api/v1/alerts", all_alerts),
)
