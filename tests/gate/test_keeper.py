"""From the stages' state to verdicts: whose alert is it, whose target, which rules count."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.gate import fakes
from tidegate.gate import keeper, scope
from tidegate.kit import telemetry
from tidegate.model import gate, labels, ports, problems, rules, settings

NOW = fakes.NOW


class Setup:
    """A gate among fakes."""

    def __init__(self, **given: Any) -> None:
        base: dict[str, Any] = {"environments": {"production": {}, "staging": {}}, "default_environment": "production"}
        self.given = settings.Gate.model_validate(base | given)
        self.clock = fakes.Clock()
        self.book, self.targets = fakes.Book(), fakes.Targets([fakes.target()])
        self.rules, self.ledger = fakes.Rules([fakes.group()]), fakes.Ledger()
        self.registry = telemetry.Registry()
        self.gate = keeper.Gate(
            self.given,
            self.book,
            self.targets,
            self.rules,
            self.ledger,
            self.clock,
            "http://tg/",
            self.registry,
            threshold=lambda expr: expr.removeprefix("x "),
        )

    def verdict(self, service: str = "shop", environment: str = "production", **more: str) -> str:
        self.clock.at += 0.2
        return self.gate.ask(environment, service, **more).verdict


@pytest.mark.parametrize(
    ("alert", "verdict"),
    [
        ({}, "deny"),
        ({"service": "", "job": "shop"}, "deny"),
        ({"service": "cart", "job": "shop"}, "allow"),
        ({"service": "", "instance": "node-1"}, "deny"),
        ({"environment": "staging"}, "allow"),
        ({"environment": ""}, "deny"),
        ({"environment": "elsewhere"}, "allow"),
        ({"severity": "info"}, "allow"),
        ({"severity": "none"}, "allow"),
        ({"severity": ""}, "deny"),
        ({"gate": "blind", "service": "tidegate"}, "unknown"),
        ({"no_data": "true", "service": "shop"}, "unknown"),
        ({"no_data": "true", "service": "other"}, "allow"),
        ({"gate": "blind", "service": "tidegate", "severity": "info"}, "unknown"),
        ({"gate": "blind", "environment": "staging"}, "allow"),
    ],
    ids=str,
)
def test_whose_alert(alert: dict[str, str], verdict: str) -> None:
    setup = Setup()
    setup.book.alerts = [fakes.alert(**alert)]  # type: ignore[arg-type]  # mypy cannot tell the labels from `state`
    assert setup.verdict() == verdict


def test_without_a_default_environment_an_alert_counts_everywhere_and_a_target_nowhere() -> None:
    setup = Setup(default_environment="")
    setup.targets.found.append(fakes.target("x", environment="", service="cart"))
    assert setup.verdict() == "allow"
    assert setup.verdict("cart") == "unknown"
    setup.book.alerts = [fakes.alert(environment="")]
    assert setup.verdict() == "deny"
    assert setup.gate.ask("staging", "shop").reasons[0].rule == "ShopErrors"


def test_marks_of_an_environment_may_be_any_labels() -> None:
    setup = Setup(environments={"eu": {"labels": {"cluster": "eu", "tier": "1"}}}, default_environment="")
    setup.targets.found = [fakes.target(environment="", cluster="eu", tier="1")]
    assert setup.verdict(environment="eu") == "allow"
    setup.book.alerts = [fakes.alert(environment="", cluster="us", tier="1")]
    assert setup.verdict(environment="eu") == "deny", "it names no environment and fits none: it may be anywhere"
    setup.book.alerts = [fakes.alert(environment="", cluster="eu", tier="1")]
    assert setup.verdict(environment="eu") == "deny"


def test_silenced_alert_is_listed_but_does_not_block() -> None:
    setup = Setup()
    setup.book.alerts = [fakes.alert()]
    setup.book.silenced = {fakes.alert().labels: ("s1",)}
    found = setup.gate.ask("production", "shop")
    assert found.verdict == "allow"
    assert [(one.state, one.blocking) for one in found.reasons] == [("silenced", False)]
    assert found.reasons[0].message == "ShopErrors fires (silenced by s1)"


def test_threshold_comes_from_the_rule() -> None:
    setup = Setup()
    setup.book.alerts = [fakes.alert()]
    assert setup.gate.ask("production", "shop").reasons[0].threshold == "> 0.05"


def test_pushed_alert_whose_time_is_up_is_over() -> None:
    setup = Setup(environments={"production": {"soak": "1m"}})
    setup.book.alerts = [dataclasses.replace(fakes.alert(), rule="api", expires_at=NOW + 10)]
    assert setup.verdict() == "deny"
    setup.clock.at = NOW + 11
    setup.targets.found = [fakes.target(age=-11)]
    found = setup.gate.ask("production", "shop")
    assert (found.verdict, found.earliest_allow_at) == ("wait", NOW + 70)


def test_soak_outlives_the_book() -> None:
    setup = Setup(environments={"production": {"soak": "10m"}})
    setup.book.alerts = [fakes.alert(state="resolved")]
    assert setup.verdict() == "wait"
    setup.book.alerts = []
    assert setup.verdict() == "wait"
    setup.clock.at = NOW + 571
    setup.targets.found = [fakes.target(age=-570)]
    setup.rules.found = [dataclasses.replace(fakes.group(), last_evaluation=NOW + 570)]
    assert setup.verdict() == "allow"


def test_alert_that_never_fired_starts_no_soak() -> None:
    setup = Setup(environments={"production": {"soak": "10m"}})
    setup.book.alerts = [dataclasses.replace(fakes.alert(state="resolved"), fired_at=0.0)]
    assert setup.verdict() == "allow"


def rule_of(service: str, **more: str) -> ports.RuleStatus:
    return fakes.rule("Other", health="err", error="boom", service=service, **more)


@pytest.mark.parametrize(
    ("broken", "verdict"),
    [
        (fakes.rule(health="err", error="boom"), "unknown"),
        (rule_of("shop"), "unknown"),
        (rule_of("cart"), "allow"),
        (rule_of("{{ $labels.service }}"), "unknown"),
        (rule_of("shop", severity="info"), "allow"),
        (rule_of("shop", severity="{{ $labels.severity }}"), "unknown"),
        (rule_of("shop", environment="staging"), "allow"),
        (rule_of("cart", gate="blind"), "unknown"),
        (ports.RuleStatus(rules.RecordingRule("a:b", "c"), "err", "boom"), "unknown"),
        (ports.RuleStatus(rules.RecordingRule("a:b", "c", labels.make(service="cart")), "err", "boom"), "allow"),
    ],
    ids=lambda value: str(value.rule.labels) if isinstance(value, ports.RuleStatus) else value,
)
def test_which_failing_rule_leaves_us_blind(broken: ports.RuleStatus, verdict: str) -> None:
    setup = Setup()
    setup.rules.found = [fakes.group(), fakes.group(broken, name="other")]
    assert setup.verdict() == verdict


def test_unknown_service_is_unknown_and_gets_a_hint() -> None:
    found = Setup().gate.ask("production", "shpo")
    assert found.verdict == "unknown"
    assert found.message == "cannot tell: no target of shpo in production; did you mean shop?"


def test_unknown_environment_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Setup().gate.ask("prod", "shop")


def test_rollback_passes_and_the_answer_says_so() -> None:
    setup = Setup()
    setup.ledger.directions = {"1.3.9": "rollback"}
    setup.book.alerts = [fakes.alert()]
    assert setup.verdict(version="1.4.3") == "deny"
    found = setup.gate.ask("production", "shop", "1.3.9")
    assert (found.verdict, found.direction) == ("allow", "rollback")
    assert found.message == "going back to 1.3.9, which ran here before, passes whatever fires"


def test_known_pairs_come_from_targets_alerts_and_deploys() -> None:
    setup = Setup()
    setup.book.alerts = [fakes.alert(service="cart"), fakes.alert(service=""), fakes.alert(environment="elsewhere")]
    setup.ledger.found = [dataclasses.replace(DEPLOY, service="orders", environment="staging")]
    assert setup.gate.known() == [("production", "cart"), ("production", "shop"), ("staging", "orders")]


DEPLOY = gate.Deploy("1", "production", "shop", "1.0", NOW - 10)


def test_gauges_show_the_verdict_in_force_and_its_age() -> None:
    setup = Setup()
    setup.gate.refresh()
    setup.clock.at += 7

    def value(name: str, **more: str) -> float | None:
        return setup.registry.get_sample_value(name, {"environment": "production", "service": "shop"} | more)

    assert value("tidegate_gate_verdict", verdict="allow") == 1
    assert value("tidegate_gate_verdict", verdict="deny") == 0
    assert value("tidegate_gate_verdict_age_seconds") == 7
    setup.book.alerts = [fakes.alert()]
    setup.gate.refresh()
    assert value("tidegate_gate_verdict", verdict="deny") == 1
    setup.targets.found, setup.book.alerts = [], []
    setup.clock.at += 1
    setup.gate.refresh()
    assert value("tidegate_gate_verdict", verdict="deny") is None, "a service that is gone has no gauge"


def test_answers_are_counted() -> None:
    setup = Setup()
    setup.verdict()
    setup.verdict("nobody")
    assert setup.registry.get_sample_value("tidegate_gate_verdicts_total", {"verdict": "allow"}) == 1
    assert setup.registry.get_sample_value("tidegate_gate_verdicts_total", {"verdict": "unknown"}) == 1


def test_bad_matchers_are_refused_and_the_old_settings_stay() -> None:
    setup = Setup()
    bad = settings.Gate.model_validate({"environments": {"production": {"alerts": {"matchers": ['severity=~"("']}}}})
    with pytest.raises(problems.ConfigError, match=r"gate\.environments\.production\.alerts\.matchers"):
        setup.gate.reload(bad)
    assert list(setup.gate.environments()) == ["production", "staging"]
    setup.gate.reload(settings.Gate.model_validate({"environments": {"production": {"max_age": "5m"}}}))
    assert list(setup.gate.environments()) == ["production"]


def test_revision_changes_with_the_settings() -> None:
    one, two = Setup().gate.ask("production", "shop"), Setup().gate.ask("production", "shop")
    other = Setup(environments={"production": {"soak": "1m"}}).gate.ask("production", "shop")
    assert one.policy_revision == two.policy_revision != other.policy_revision


def test_service_is_the_first_label_present() -> None:
    found = scope.Scope(settings.Gate.model_validate({"service_labels": ["app", "service"]}))
    assert found.service(labels.make(service="a", app="b", job="c")) == "b"
    assert found.service(labels.make(job="c")) == ""


def test_silenced_alert_starts_no_soak() -> None:
    setup = Setup(environments={"production": {"soak": "10m"}})
    setup.book.alerts = [fakes.alert(state="resolved")]
    setup.book.silenced = {fakes.alert().labels: ("s1",)}
    assert setup.verdict() == "allow"
