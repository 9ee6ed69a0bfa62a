"""A verdict for those who asked: as JSON (every key always there), as text, as `health+json`; and its status code.

Sources: `docs/gate.md`; draft-inadarei-api-health-check-06 for `application/health+json`.
"""

from __future__ import annotations

from typing import Any

from tidegate.api import times
from tidegate.model import gate

BLOCKED = 409


def as_json(verdict: gate.Verdict) -> dict[str, Any]:
    """The documented object."""
    elapsed = verdict.evaluated_at - verdict.soak.clean_since if verdict.soak.clean_since else None
    return {
        "verdict": verdict.verdict,
        "allowed": verdict.verdict == "allow",
        "final": verdict.final,
        "status": "pass" if verdict.verdict == "allow" else "fail",
        "environment": verdict.environment,
        "service": verdict.service,
        "version": verdict.version,
        "direction": verdict.direction,
        "decision_id": verdict.decision_id,
        "message": verdict.message,
        "reasons": [_reason(reason) for reason in verdict.reasons],
        "coverage": {
            "pods_expected": verdict.coverage.targets_expected,
            "pods_reporting": verdict.coverage.targets_reporting,
            "last_sample_age_s": _rounded(verdict.coverage.last_sample_age),
        },
        "soak": {
            "required_s": verdict.soak.required,
            "elapsed_s": _rounded(elapsed),
            "clean_since": times.optional(verdict.soak.clean_since),
        },
        "retry_after_s": verdict.retry_after,
        "earliest_allow_at": times.optional(verdict.earliest_allow_at),
        "approvals": {"required": 0, "given": []},
        "override": None,
        "policy": {"name": verdict.policy, "revision": verdict.policy_revision},
        "dry_run": False,
        "evaluated_at": times.rfc3339(verdict.evaluated_at),
        "expires_at": times.rfc3339(verdict.expires_at),
        "url": verdict.url,
    }


def _reason(reason: gate.Reason) -> dict[str, Any]:
    return {
        "rule": reason.rule,
        "kind": reason.kind,
        "severity": reason.severity,
        "state": reason.state,
        "since": times.optional(reason.since),
        "value": reason.value,
        "threshold": reason.threshold,
        "scope": reason.scope,
        "message": reason.message,
        "evidence_url": reason.evidence_url,
        "blocking": reason.blocking,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def as_text(verdict: gate.Verdict) -> str:
    """The verdict's name and message in one line, then one line for each reason."""
    lines = [f"{verdict.verdict}: {verdict.message}"]
    lines += [
        f"{'-' if reason.blocking else '~'} [{reason.kind}] {reason.rule} ({reason.state}): {reason.message}"
        for reason in verdict.reasons
    ]
    return "\n".join(lines) + "\n"


def as_health(verdict: gate.Verdict) -> dict[str, Any]:
    """`application/health+json`: each reason is a check."""
    checks: dict[str, list[dict[str, Any]]] = {}
    for reason in verdict.reasons:
        check: dict[str, Any] = {
            "componentId": reason.scope,
            "componentType": "system",
            "status": "fail" if reason.blocking else "warn",
            "output": reason.message,
        }
        if reason.value is not None:
            check["observedValue"] = reason.value
        if reason.since:
            check["time"] = times.rfc3339(reason.since)
        checks.setdefault(f"{reason.kind}:{reason.rule}", []).append(check)
    return {
        "status": "pass" if verdict.verdict == "allow" else "fail",
        "version": verdict.version,
        "serviceId": f"{verdict.environment}/{verdict.service}",
        "output": "" if verdict.verdict == "allow" else verdict.message,
        "notes": [f"verdict: {verdict.verdict}", f"decision: {verdict.decision_id}"],
        "checks": checks,
        "links": {"about": verdict.url},
    }
