"""The decision: frozen facts in, a verdict with all its reasons out. No clock, no I/O, no state.

Precedence: an alert that fires makes `deny`; what we cannot see makes `unknown`; time that has to pass makes `wait`; else
`allow`. All reasons are listed, whichever of them decided. Messages hold times and names but no ages or values, so that
the same situation says the same words: whoever asks again and again can tell a change by comparing.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import math
import urllib.parse
from collections.abc import Sequence

from tidegate.model import alerts, gate, labels, ports, settings, targets

MESSAGE = 200
NAMED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class AlertFact:
    """An alert that is pending or fires, of this service or of its whole environment, and meets the conditions."""

    alert: alerts.Alert
    silences: tuple[str, ...] = ()
    """Ids of the active silences on it."""
    threshold: str = ""
    blind: bool = False
    """It says that Tidegate cannot see, not that the service is ill."""


@dataclasses.dataclass(frozen=True, slots=True)
class GroupFact:
    """A rule group, with those of its rules that could shut this gate."""

    status: ports.GroupStatus
    rules: tuple[ports.RuleStatus, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """All that is known about one environment and service at one time."""

    environment: str
    service: str
    version: str = ""
    direction: gate.Direction | None = None
    """What a deploy of `version` would be; None when no version was named."""
    alerts: tuple[AlertFact, ...] = ()
    targets: tuple[targets.TargetStatus, ...] = ()
    groups: tuple[GroupFact, ...] = ()
    deployed_at: float = 0.0
    """The last deploy; 0 when there was none."""
    resolved_at: float = 0.0
    """The end of the last alert that shut this gate; 0 when there was none."""
    near: str = ""
    """A known service with a similar name, when this one is not known."""


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """What the settings ask of one environment."""

    name: str
    revision: str
    environment: settings.Environment
    retry_after: float = 30.0
    external_url: str = ""


def judge(facts: Facts, policy: Policy, now: float) -> gate.Verdict:
    """Decide at a time (unix seconds)."""
    soak = gate.Soak(policy.environment.soak, max(facts.deployed_at, facts.resolved_at))
    reasons = (
        *_alerts(facts, policy),
        *_targets(facts, policy.environment, now),
        *_rules(facts, policy.environment, now),
        *_soak(soak, facts, now),
    )
    if facts.direction == "rollback" and policy.environment.rollback == "allow":
        reasons = tuple(dataclasses.replace(reason, blocking=False) for reason in reasons)
    name = _name(reasons)
    retry_after = _retry_after(name, reasons, soak, policy, now)
    return gate.Verdict(
        verdict=name,
        environment=facts.environment,
        service=facts.service,
        version=facts.version,
        message=_message(name, reasons, facts),
        reasons=reasons,
        coverage=_coverage(facts, policy.environment, now),
        evaluated_at=now,
        expires_at=now + max(min(policy.environment.max_age, policy.retry_after), 1.0),
        decision_id=_decision(name, reasons, facts, policy),
        policy=policy.name,
        policy_revision=policy.revision,
        retry_after=retry_after,
        soak=soak,
        earliest_allow_at=soak.clean_since + soak.required if _only_soak(name, reasons) else 0.0,
        direction=facts.direction or "",
        url=f"{policy.external_url}/#gate-{urllib.parse.quote(f'{facts.environment}-{facts.service}')}",
    )


def _name(reasons: Sequence[gate.Reason]) -> gate.VerdictName:
    blocking = [reason for reason in reasons if reason.blocking]
    if any(reason.kind == "alert" and reason.state == "firing" for reason in blocking):
        return "deny"
    if any(reason.kind == "no_data" for reason in blocking):
        return "unknown"
    return "wait" if blocking else "allow"


def _alerts(facts: Facts, policy: Policy) -> list[gate.Reason]:
    found = [_alert(fact, policy) for fact in facts.alerts]
    return sorted(
        found, key=lambda reason: (not reason.blocking, reason.state, reason.since, reason.rule, reason.scope)
    )


def _alert(fact: AlertFact, policy: Policy) -> gate.Reason:
    alert = fact.alert
    blocking = not fact.silences and (alert.state == "firing" or policy.environment.alerts.include_pending)
    said = labels.get(alert.annotations, "summary") or labels.get(alert.annotations, "description")
    note = f" (silenced by {', '.join(fact.silences)})" if fact.silences else ""
    return gate.Reason(
        rule=alert.name,
        kind="no_data" if fact.blind else "alert",
        state="silenced" if fact.silences else alert.state,
        since=(alert.fired_at or alert.active_at) if alert.state == "firing" else alert.active_at,
        message=(_line(said) or f"{alert.name} {'fires' if alert.state == 'firing' else 'is pending'}") + note,
        severity=labels.get(alert.labels, "severity"),
        value=alert.value if math.isfinite(alert.value) else None,
        threshold=fact.threshold,
        scope=labels.text(labels.without(alert.labels, "alertname", "severity")),
        evidence_url=f"{policy.external_url}/#alert-{alert.fingerprint}",
        blocking=blocking,
    )


def _fresh(status: targets.TargetStatus, environment: settings.Environment, now: float) -> bool:
    limit = max(environment.max_age, 2 * status.target.interval)
    return status.health == "up" and now - status.last_scrape <= limit


def _targets(facts: Facts, environment: settings.Environment, now: float) -> list[gate.Reason]:
    """Nothing that reports is `unknown`; something that does not, beside others that do, is worth a line."""
    if not facts.targets:
        if not environment.require_targets:
            return []
        hint = f"; did you mean {facts.near}?" if facts.near else ""
        message = f"no target of {facts.service} in {facts.environment}{hint}"
        return [_missing("targets", "none", 0.0, message, facts.service)]
    silent = [status for status in facts.targets if not _fresh(status, environment, now)]
    alone = len(silent) == len(facts.targets) and environment.require_targets
    return [
        _missing(
            f"target {status.target.job}",
            "stale" if status.health == "up" else status.health,
            status.last_scrape,
            _silence(status),
            labels.text(status.target.labels),
            blocking=alone,
        )
        for status in silent
    ]


def _silence(status: targets.TargetStatus) -> str:
    instance = labels.get(status.target.labels, "instance") or status.target.url
    if not status.last_scrape:
        return f"{instance} was not scraped yet"
    if status.health == "up":
        return f"{instance} gave no sample since {_clock(status.last_scrape)}"
    return _line(f"{instance} does not answer: {status.error or 'no reason given'}")


def _rules(facts: Facts, environment: settings.Environment, now: float) -> list[gate.Reason]:
    """Rules that were not evaluated lately, or could not be, leave us blind; so does having none at all."""
    found = []
    for group in facts.groups:
        status = group.status
        if now - status.last_evaluation > max(2 * status.group.interval, environment.max_age):
            since = f"since {_clock(status.last_evaluation)}" if status.last_evaluation else "yet"
            message = f"the rules of group {status.group.name} were not evaluated {since}"
            state = "stale" if status.last_evaluation else "never"
            found.append(
                _missing(f"group {status.group.name}", state, status.last_evaluation, message, status.group.key)
            )
        found += [
            _missing(
                _rule_name(rule),
                "error",
                rule.last_evaluation,
                _line(f"{_rule_name(rule)}: {rule.error}"),
                status.group.key,
            )
            for rule in group.rules
            if rule.health == "err"
        ]
    if environment.require_targets and not facts.groups:
        found.append(_missing("rules", "none", 0.0, f"no rule watches {facts.service}", ""))
    return found


def _rule_name(status: ports.RuleStatus) -> str:
    rule = status.rule
    return getattr(rule, "alert", "") or getattr(rule, "record", "")


def _missing(rule: str, state: str, since: float, message: str, scope: str, *, blocking: bool = True) -> gate.Reason:
    return gate.Reason(rule, "no_data", state, since, message, scope=scope, blocking=blocking)


def _soak(soak: gate.Soak, facts: Facts, now: float) -> list[gate.Reason]:
    if not soak.clean_since or now - soak.clean_since >= soak.required:
        return []
    cause = "the last deploy" if facts.deployed_at >= facts.resolved_at else "the last alert's end"
    message = f"{cause} was at {_clock(soak.clean_since)}; quiet is asked for until {_clock(soak.clean_since + soak.required)}"
    return [gate.Reason("soak", "soak", "waiting", soak.clean_since, message)]


def _only_soak(name: gate.VerdictName, reasons: Sequence[gate.Reason]) -> bool:
    return name == "wait" and all(reason.kind == "soak" for reason in reasons if reason.blocking)


def _retry_after(
    name: gate.VerdictName, reasons: Sequence[gate.Reason], soak: gate.Soak, policy: Policy, now: float
) -> int:
    if name == "allow":
        return 0
    advice = policy.retry_after
    if _only_soak(name, reasons):
        advice = min(advice, soak.clean_since + soak.required - now)
    return max(math.ceil(advice), 1)


def _coverage(facts: Facts, environment: settings.Environment, now: float) -> gate.Coverage:
    reporting = [status for status in facts.targets if _fresh(status, environment, now)]
    answered = [status.last_scrape for status in facts.targets if status.health == "up" and status.last_scrape]
    age = max(now - max(answered), 0.0) if answered else None
    return gate.Coverage(len(facts.targets), len(reporting), age)


def _message(name: gate.VerdictName, reasons: Sequence[gate.Reason], facts: Facts) -> str:
    blocking = [reason for reason in reasons if reason.blocking]
    if name == "deny":
        firing = [reason for reason in blocking if reason.kind == "alert" and reason.state == "firing"]
        verb = "alert fires" if len(firing) == 1 else "alerts fire"
        listed = ", ".join(f"{reason.rule} since {_clock(reason.since)}" for reason in firing[:NAMED])
        return _cut(f"{len(firing)} {verb}: {listed}{_more(firing)}")
    if name == "unknown":
        missing = [reason for reason in blocking if reason.kind == "no_data"]
        return _cut(f"cannot tell: {'; '.join(reason.message for reason in missing[:NAMED])}{_more(missing)}")
    if name == "wait":
        return _cut("; ".join(reason.message for reason in blocking[:NAMED]) + _more(blocking))
    return _cut(_allowed(reasons, facts))


def _allowed(reasons: Sequence[gate.Reason], facts: Facts) -> str:
    if facts.direction == "rollback" and reasons:
        return f"going back to {facts.version}, which ran here before, passes whatever fires"
    quiet = [reason for reason in reasons if reason.kind == "alert"]
    silenced = sum(reason.state == "silenced" for reason in quiet)
    parts = [f"no alert of {facts.service} fires in {facts.environment}"]
    if silenced:
        parts.append(f"{silenced} silenced")
    if len(quiet) > silenced:
        parts.append(f"{len(quiet) - silenced} pending")
    return ", ".join(parts)


def _more(of: Sequence[gate.Reason]) -> str:
    return f" and {len(of) - NAMED} more" if len(of) > NAMED else ""


def _decision(name: str, reasons: Sequence[gate.Reason], facts: Facts, policy: Policy) -> str:
    """Equal as long as the question, the policy, the verdict and its reasons are; values and ages do not count."""
    said = [
        [
            reason.rule,
            reason.kind,
            reason.state,
            reason.since,
            reason.severity,
            reason.threshold,
            reason.scope,
            reason.blocking,
        ]
        for reason in reasons
    ]
    for parts in said:
        if parts[1] == "no_data" and parts[2] in ("down", "error"):
            parts[3] = 0  # the time of the last failed try, not of a beginning
    whole = [facts.environment, facts.service, facts.version, name, policy.revision, said]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:20]


def _clock(at: float) -> str:
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return moment.strftime("%H:%M:%S UTC")


def _line(text: str) -> str:
    return " ".join(text.split())[:MESSAGE]


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE else text[: MESSAGE - 1] + "…"
