"""The gate's nouns: verdicts with their reasons, and deploys.

The JSON form of a verdict is documented in `docs/gate.md`; every key is always present.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

VerdictName = Literal["allow", "deny", "wait", "unknown"]
ReasonKind = Literal["alert", "no_data", "soak", "freeze", "approval", "policy", "dependency"]
Direction = Literal["forward", "rollback", "config"]


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for the verdict. Those with `blocking` keep the gate shut."""

    rule: str
    """What it comes from: an alert's name, a policy's name, a target."""
    kind: ReasonKind
    state: str
    since: float
    """Unix seconds; 0 when unknown."""
    message: str
    severity: str = ""
    value: float | None = None
    threshold: str = ""
    """As written in the rule, e.g. `> 0.05`."""
    scope: str = ""
    """The labels it is about."""
    evidence_url: str = ""
    blocking: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Coverage:
    """What the gate could see of the service."""

    targets_expected: int
    targets_reporting: int
    last_sample_age: float | None
    """Seconds; None when there never was a sample."""


@dataclasses.dataclass(frozen=True, slots=True)
class Soak:
    """How long all has been quiet, and how long it must be."""

    required: float = 0.0
    """Seconds."""
    clean_since: float = 0.0
    """Unix seconds of the last deploy or the end of the last alert; 0 when neither is known."""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question, with everything it rests on."""

    verdict: VerdictName
    environment: str
    service: str
    version: str
    message: str
    """At most 200 characters, one line."""
    reasons: tuple[Reason, ...]
    coverage: Coverage
    evaluated_at: float
    expires_at: float
    decision_id: str
    policy: str
    policy_revision: str
    retry_after: int
    """Seconds."""
    final: bool = False
    """Asking again cannot change it."""
    soak: Soak = Soak()
    earliest_allow_at: float = 0.0
    """Unix seconds before which the gate cannot open; 0 when nobody can say."""
    direction: Direction | Literal[""] = ""
    """What a deploy of `version` would be; empty when no version was named."""
    url: str = ""
    """The page that shows the gate."""


@dataclasses.dataclass(frozen=True, slots=True)
class Deploy:
    """A version of a service came to an environment."""

    id: str
    environment: str
    service: str
    version: str
    at: float
    digest: str = ""
    direction: Direction | Literal[""] = ""
    """Empty when it is given to the ledger: it works it out."""
    by: str = ""
    url: str = ""
