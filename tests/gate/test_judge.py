"""The decision table: frozen facts in, one verdict out, every reason listed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gate import fakes
from tidegate.gate import judge
from tidegate.model import alerts, gate, settings

NOW = fakes.NOW
FIRING = judge.AlertFact(fakes.alert(), threshold="> 0.05")
SILENCED = dataclasses.replace(FIRING, silences=("s1",))
PENDING = judge.AlertFact(fakes.alert("ShopSlow", state="pending"))
BLIND = judge.AlertFact(fakes.alert("TidegateBlind", gate="blind"), blind=True)
UP = fakes.target()
DOWN = fakes.target("shop-2:80", health="down")
STALE = fakes.target("shop-3:80", age=61)
GROUP = judge.GroupFact(fakes.group(), fakes.group().rules)
OLD_GROUP = judge.GroupFact(fakes.group(age=61), fakes.group().rules)
NEW_GROUP = judge.GroupFact(fakes.group(age=-1), fakes.group().rules)
FAILED = fakes.rule("ShopSlow", health="err", error="many-to-many\n matching")
BROKEN_GROUP = judge.GroupFact(fakes.group(FAILED), (FAILED,))


def policy(**given: Any) -> judge.Policy:
    return judge.Policy("production", "r1", settings.Environment.model_validate(given), 30.0, "http://tg")


def facts(**given: Any) -> judge.Facts:
    base = judge.Facts("production", "shop", targets=(UP,), groups=(GROUP,))
    return dataclasses.replace(base, **given)


TABLE: list[tuple[str, dict[str, Any], dict[str, Any], gate.VerdictName, list[tuple[str, str, bool]]]] = [
    ("all well", {}, {}, "allow", []),
    ("fires", {"alerts": (FIRING,)}, {}, "deny", [("alert", "firing", True)]),
    ("silenced", {"alerts": (SILENCED,)}, {}, "allow", [("alert", "silenced", False)]),
    ("pending", {"alerts": (PENDING,)}, {}, "allow", [("alert", "pending", False)]),
    (
        "pending counts",
        {"alerts": (PENDING,)},
        {"alerts": {"include_pending": True}},
        "wait",
        [("alert", "pending", True)],
    ),
    ("blind", {"alerts": (BLIND,)}, {}, "unknown", [("no_data", "firing", True)]),
    ("no target", {"targets": ()}, {}, "unknown", [("no_data", "none", True)]),
    ("no target asked for", {"targets": ()}, {"require_targets": False}, "allow", []),
    ("all down", {"targets": (DOWN,)}, {}, "unknown", [("no_data", "down", True)]),
    (
        "all down, not asked for",
        {"targets": (DOWN,)},
        {"require_targets": False},
        "allow",
        [("no_data", "down", False)],
    ),
    ("one of two down", {"targets": (UP, DOWN)}, {}, "allow", [("no_data", "down", False)]),
    ("stale", {"targets": (STALE,)}, {}, "unknown", [("no_data", "stale", True)]),
    ("not stale yet", {"targets": (STALE,)}, {"max_age": "61s"}, "allow", []),
    ("rules stale", {"groups": (OLD_GROUP,)}, {}, "unknown", [("no_data", "stale", True)]),
    ("rules never ran", {"groups": (NEW_GROUP,)}, {}, "unknown", [("no_data", "never", True)]),
    ("rule fails", {"groups": (BROKEN_GROUP,)}, {}, "unknown", [("no_data", "error", True)]),
    ("no rules", {"groups": ()}, {}, "unknown", [("no_data", "none", True)]),
    ("no rules, no targets asked for", {"groups": ()}, {"require_targets": False}, "allow", []),
    ("just deployed", {"deployed_at": NOW - 599}, {"soak": "10m"}, "wait", [("soak", "waiting", True)]),
    ("deployed long ago", {"deployed_at": NOW - 600}, {"soak": "10m"}, "allow", []),
    ("just resolved", {"resolved_at": NOW - 1}, {"soak": "10m"}, "wait", [("soak", "waiting", True)]),
    (
        "deny before unknown before wait",
        {"alerts": (FIRING, PENDING), "targets": (DOWN,), "deployed_at": NOW - 1},
        {"soak": "10m", "alerts": {"include_pending": True}},
        "deny",
        [("alert", "firing", True), ("alert", "pending", True), ("no_data", "down", True), ("soak", "waiting", True)],
    ),
    (
        "unknown before wait",
        {"targets": (DOWN,), "deployed_at": NOW - 1},
        {"soak": "10m"},
        "unknown",
        [("no_data", "down", True), ("soak", "waiting", True)],
    ),
    (
        "rollback passes",
        {"alerts": (FIRING,), "targets": (DOWN,), "version": "1.3.9", "direction": "rollback"},
        {},
        "allow",
        [("alert", "firing", False), ("no_data", "down", False)],
    ),
    (
        "rollback is judged where asked for",
        {"alerts": (FIRING,), "version": "1.3.9", "direction": "rollback"},
        {"rollback": "judge"},
        "deny",
        [("alert", "firing", True)],
    ),
    ("forward does not", {"alerts": (FIRING,), "direction": "forward"}, {}, "deny", [("alert", "firing", True)]),
]


@pytest.mark.parametrize(("name", "known", "asked", "verdict", "reasons"), TABLE, ids=[row[0] for row in TABLE])
def test_decision(
    name: str,
    known: dict[str, Any],
    asked: dict[str, Any],
    verdict: gate.VerdictName,
    reasons: list[tuple[str, str, bool]],
) -> None:
    found = judge.judge(facts(**known), policy(**asked), NOW)
    assert found.verdict == verdict
    assert [(one.kind, one.state, one.blocking) for one in found.reasons] == reasons


def test_alert_reason_has_everything() -> None:
    (reason,) = judge.judge(facts(alerts=(FIRING,)), policy(), NOW).reasons
    assert reason == gate.Reason(
        rule="ShopErrors",
        kind="alert",
        state="firing",
        since=NOW - 120,
        message="ShopErrors fires",
        severity="critical",
        value=0.4,
        threshold="> 0.05",
        scope='{environment="production", service="shop"}',
        evidence_url=f"http://tg/#alert-{FIRING.alert.fingerprint}",
    )


def test_messages_say_what_and_since_when() -> None:
    def said(known: dict[str, Any], **asked: Any) -> str:
        return judge.judge(facts(**known), policy(**asked), NOW).message

    assert said({}) == "no alert of shop fires in production"
    assert said({"alerts": (SILENCED,)}) == "no alert of shop fires in production, 1 silenced"
    assert said({"alerts": (FIRING,)}) == "1 alert fires: ShopErrors since 07:11:20 UTC"
    assert said({"targets": ()}) == "cannot tell: no target of shop in production"
    assert said({"targets": (), "near": "shop-api"}).endswith("did you mean shop-api?")
    assert said({"targets": (DOWN,)}) == "cannot tell: shop-2:80 does not answer: connection refused"
    assert said({"groups": (BROKEN_GROUP,)}) == "cannot tell: ShopSlow: many-to-many matching"
    wait = said({"deployed_at": NOW - 60}, soak="10m")
    assert wait == "the last deploy was at 07:12:20 UTC; quiet is asked for until 07:22:20 UTC"


def test_many_alerts_are_cut_to_one_line_but_all_listed() -> None:
    many = tuple(judge.AlertFact(fakes.alert("A" * 80 + str(number), at=NOW - number)) for number in range(20))
    found = judge.judge(facts(alerts=many), policy(), NOW)
    assert found.message.startswith("20 alerts fire: ")
    assert len(found.message) <= judge.MESSAGE
    assert len(found.reasons) == 20


def test_soak_says_when_it_can_open_at_the_earliest() -> None:
    found = judge.judge(facts(deployed_at=NOW - 580, resolved_at=NOW - 595), policy(soak="10m"), NOW)
    assert found.earliest_allow_at == NOW + 20
    assert found.retry_after == 20
    assert found.soak == gate.Soak(600.0, NOW - 580)
    with_alert = judge.judge(facts(deployed_at=NOW - 580, alerts=(FIRING,)), policy(soak="10m"), NOW)
    assert with_alert.earliest_allow_at == 0
    assert with_alert.retry_after == 30


def test_coverage_counts_what_reports() -> None:
    found = judge.judge(facts(targets=(UP, DOWN, STALE)), policy(), NOW)
    assert found.coverage == gate.Coverage(3, 1, 5.0)
    assert judge.judge(facts(targets=(DOWN,)), policy(), NOW).coverage == gate.Coverage(1, 0, None)


def test_slow_targets_and_groups_get_two_intervals() -> None:
    slow = dataclasses.replace(STALE, target=dataclasses.replace(STALE.target, interval=60.0), last_scrape=NOW - 119)
    group = judge.GroupFact(fakes.group(interval=60.0, age=119), GROUP.rules)
    assert judge.judge(facts(targets=(slow,), groups=(group,)), policy(), NOW).verdict == "allow"
    later = judge.judge(facts(targets=(slow,), groups=(group,)), policy(), NOW + 2)
    assert [reason.state for reason in later.reasons] == ["stale", "stale"]


def test_decision_id_is_stable_while_verdict_and_reasons_are() -> None:
    def decision(known: dict[str, Any], now: float = NOW) -> str:
        return judge.judge(facts(**known), policy(), now).decision_id

    worse = dataclasses.replace(FIRING, alert=dataclasses.replace(FIRING.alert, value=0.9))
    assert decision({"alerts": (FIRING,)}) == decision({"alerts": (worse,)}, NOW + 10)
    assert decision({"alerts": (FIRING,)}) != decision({"alerts": (SILENCED,)})
    assert decision({}) != decision({"version": "1.4.0"})
    assert decision({}) != judge.judge(facts(), dataclasses.replace(policy(), revision="r2"), NOW).decision_id
    again = dataclasses.replace(DOWN, last_scrape=NOW + 10)
    assert decision({"targets": (DOWN,)}) == decision({"targets": (again,)}, NOW + 15)


def test_values_that_are_not_numbers_are_left_out() -> None:
    strange = dataclasses.replace(FIRING, alert=dataclasses.replace(FIRING.alert, value=float("inf")))
    assert judge.judge(facts(alerts=(strange,)), policy(), NOW).reasons[0].value is None


STATES: list[alerts.State] = ["pending", "firing"]
some_alerts = st.lists(
    st.builds(
        lambda state, silenced, blind: judge.AlertFact(
            fakes.alert(state=state), ("s1",) if silenced else (), "", blind=blind
        ),
        st.sampled_from(STATES),
        st.booleans(),
        st.booleans(),
    ),
    max_size=4,
).map(tuple)


@given(
    known=st.builds(
        judge.Facts,
        environment=st.just("production"),
        service=st.just("shop"),
        alerts=some_alerts,
        targets=st.lists(st.sampled_from([UP, DOWN, STALE]), max_size=3).map(tuple),
        groups=st.lists(st.sampled_from([GROUP, OLD_GROUP, NEW_GROUP, BROKEN_GROUP]), max_size=3).map(tuple),
        deployed_at=st.sampled_from([0.0, NOW - 1, NOW - 10_000]),
        resolved_at=st.sampled_from([0.0, NOW - 1, NOW - 10_000]),
    ),
    soak=st.sampled_from([0, 600]),
    pending=st.booleans(),
)
def test_never_green_without_reason(known: judge.Facts, soak: int, pending: bool) -> None:
    found = judge.judge(known, policy(soak=soak, alerts={"include_pending": pending}), NOW)
    loud = [fact for fact in known.alerts if fact.alert.state == "firing" and not fact.silences]
    assert (found.verdict == "deny") == any(not fact.blind for fact in loud)
    assert (found.verdict == "allow") == (not any(reason.blocking for reason in found.reasons))
    if found.verdict == "allow":
        assert UP in known.targets
        assert known.groups
        assert set(known.groups) <= {GROUP}
    assert found.message
    assert "\n" not in found.message
    assert (found.retry_after > 0) == (found.verdict != "allow")
