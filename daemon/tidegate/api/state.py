"""Prometheus' HTTP API v1: the state of rules, alerts and targets, which is read from memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint, goformat, prometheus, times
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure, Params
from tidegate.model import alerts, labels, ports, rules, targets


async def list_rules(context: Context, request: Request) -> Response:
    """The rule groups with their rules and, for alerting rules, their alerts."""
    params = await endpoint.params(request)
    kind = params.get("type", "")
    if kind not in ("", "alert", "record"):
        raise Failure(400, f"not supported value {kind!r} for `type`")
    live: dict[str, list[alerts.Alert]] = {}
    for alert in _live(context):
        live.setdefault(alert.rule, []).append(alert)
    bare = bool(params.get("exclude_alerts")) and endpoint.flag(params["exclude_alerts"], "exclude_alerts")
    groups = [_group(status, _wanted(status, params), live, bare=bare) for status in _groups(context, params)]
    narrow = kind or params.getlist("rule_name[]")
    return endpoint.json(
        {"status": "success", "data": {"groups": [one for one in groups if one["rules"] or not narrow]}}
    )


def _groups(context: Context, params: Params) -> Iterator[ports.GroupStatus]:
    names, files = params.getlist("rule_group[]"), params.getlist("file[]")
    for status in context.rules.groups():
        if (not names or status.group.name in names) and (not files or status.group.file in files):
            yield status


def _wanted(status: ports.GroupStatus, params: Params) -> list[ports.RuleStatus]:
    names, kind = params.getlist("rule_name[]"), params.get("type", "")
    wanted = {"alert": rules.AlertingRule, "record": rules.RecordingRule}.get(kind, object)
    return [one for one in status.rules if isinstance(one.rule, wanted) and (not names or _name(one.rule) in names)]


def _name(rule: rules.Rule) -> str:
    return rule.alert if isinstance(rule, rules.AlertingRule) else rule.record


def _group(
    status: ports.GroupStatus, chosen: Sequence[ports.RuleStatus], live: dict[str, list[alerts.Alert]], *, bare: bool
) -> dict[str, Any]:
    group = status.group
    return {
        "name": group.name,
        "file": group.file,
        "rules": [_rule(group, one, live, bare=bare) for one in chosen],
        "interval": group.interval,
        "limit": group.limit,
        "evaluationTime": status.duration,
        "lastEvaluation": times.rfc3339(status.last_evaluation),
    }


def _rule(
    group: rules.Group, status: ports.RuleStatus, live: dict[str, list[alerts.Alert]], *, bare: bool
) -> dict[str, Any]:
    rule = status.rule
    common = {
        "name": _name(rule),
        "query": rule.expr,
        "labels": dict(group.labels) | dict(rule.labels),
        "health": {"ok": "ok", "err": "err"}.get(status.health, "unknown"),
        "evaluationTime": status.duration,
        "lastEvaluation": times.rfc3339(status.last_evaluation),
    }
    if status.error:
        common["lastError"] = status.error
    if isinstance(rule, rules.RecordingRule):
        return {**common, "type": "recording"}
    mine = [one for one in live.get(f"{group.key};{rule.alert}", ()) if made_by(one, rule)]
    found = {
        **common,
        "type": "alerting",
        "state": next(
            (state for state in ("firing", "pending") if any(one.state == state for one in mine)), "inactive"
        ),
        "duration": rule.hold,
        "keepFiringFor": rule.keep_firing_for,
        "annotations": dict(rule.annotations),
    }
    return found if bare else {**found, "alerts": [_alert(one) for one in mine]}


def made_by(alert: alerts.Alert, rule: rules.AlertingRule) -> bool:
    """Whether an alert is this rule's, among rules of one name: it bears the rule's labels that are not templates."""
    return all(labels.get(alert.labels, name) == value for name, value in rule.labels if "{{" not in value)


async def list_alerts(context: Context, _request: Request) -> Response:
    """The alerts that are pending or fire."""
    return endpoint.json({"status": "success", "data": {"alerts": [_alert(alert) for alert in _live(context)]}})


def _live(context: Context) -> list[alerts.Alert]:
    found = [alert for alert in context.book.all() if alert.state in ("pending", "firing")]
    return sorted(found, key=lambda alert: (alert.name, alert.labels))


def _alert(alert: alerts.Alert) -> dict[str, Any]:
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "state": alert.state,
        "activeAt": times.rfc3339(alert.active_at),
        "value": goformat.scientific(alert.value) if not math.isnan(alert.value) else "NaN",
    }


async def list_targets(context: Context, request: Request) -> Response:
    """The targets and how their last scrape went."""
    params = await endpoint.params(request)
    state, pool = params.get("state", "any").lower(), params.get("scrapePool", "")
    active = [_target(one) for one in context.targets.targets() if not pool or one.target.job == pool]
    data = {
        "activeTargets": active if state != "dropped" else [],
        "droppedTargets": [],
        "droppedTargetCounts": {},
    }
    return endpoint.json({"status": "success", "data": data})


def _target(status: targets.TargetStatus) -> dict[str, Any]:
    target = status.target
    return {
        "discoveredLabels": dict(target.discovered),
        "labels": dict(target.labels),
        "scrapePool": target.job,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": status.error,
        "lastScrape": times.rfc3339(status.last_scrape),
        "lastScrapeDuration": status.duration,
        "health": status.health,
        "scrapeInterval": goformat.duration(target.interval),
        "scrapeTimeout": goformat.duration(target.timeout),
    }


_Endpoint = functools.partial(Endpoint, say=prometheus.say)
ENDPOINTS = (
    _Endpoint(("GET",), "/api/v1/rules", list_rules),
    _Endpoint(("GET",), "/api/v1/alerts", list_alerts),
    _Endpoint(("GET",), "/api/v1/targets", list_targets),
)
