"""Log rules as they are written: what they fire on, at which time, with which labels and lines; and what is refused."""

from __future__ import annotations

import pathlib
import re

import pytest
import yaml
from click import testing

from tidegate.cli import ruletests
from tidegate.logs import kql
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine
from tidegate.model import problems, rules
from tidegate.rules import evidence, load


def loaded(folder: pathlib.Path, text: str) -> rules.RuleSet:
    path = folder / "rules.yaml"
    path.write_text(text)
    return load.load([(path, "rules.yaml")], load.Checks(engine.Engine(nothing.Nothing()), kql.check, 15.0))


def fires(folder: pathlib.Path, rule: str, logs: list[str], wanted: dict[str, list[dict[str, str]]]) -> None:
    """Write lines, and hold the alerts at some times against what they should be."""
    (folder / "r.yaml").write_text(f"log_rules: [{rule}]")
    alert = yaml.safe_load(rule)["alert"]
    tests = [
        {"eval_time": at, "alertname": alert, "exp_alerts": [{"exp_labels": one} for one in alerts]}
        for at, alerts in wanted.items()
    ]
    given = [yaml.safe_load(one) for one in logs]
    test = {"interval": "15s", "input_logs": given, "alert_rule_test": tests}
    body = {"rule_files": ["r.yaml"], "evaluation_interval": "15s", "tests": [test]}
    (folder / "t.yaml").write_text(yaml.safe_dump(body))
    done = testing.CliRunner().invoke(ruletests.rules, [str(folder / "t.yaml")])
    assert done.exit_code == 0, done.output


LINE = "{{at: {}, format: json, service: {}, lines: ['{}']}}"


def line(at: str, body: str, service: str = "shop") -> str:
    return LINE.format(at, service, body)


def test_a_value_is_new_once_after_learning(tmp_path: pathlib.Path) -> None:
    fires(
        tmp_path,
        "{alert: NewUser, query: 'action:login', by: {service: service.name}, "
        "new_value: {field: user.name, learn: 5m, window: 2m}}",
        [
            line("1m", '{"action":"login","user.name":"ann"}'),
            line("6m", '{"action":"login","user.name":"ann"}'),
            line("7m", '{"action":"login","user.name":"bob"}'),
            line("7m10s", '{"action":"logout","user.name":"eve"}'),
            line("10m", '{"action":"login","user.name":"bob"}'),
        ],
        {
            "6m30s": [],
            "7m15s": [{"service": "shop", "value": "bob"}],
            "9m30s": [],
            "10m30s": [],
        },
    )


def test_a_template_is_new_once_whatever_its_numbers(tmp_path: pathlib.Path) -> None:
    fires(
        tmp_path,
        "{alert: NewError, query: 'level:error', new_template: {learn: 5m, window: 2m}}",
        [
            line("1m", '{"level":"error","message":"timeout after 30 ms"}'),
            line("6m", '{"level":"error","message":"timeout after 31 ms"}'),
            line("7m", '{"level":"error","message":"cannot reach db at 10.0.0.1"}'),
            line("7m5s", '{"level":"error","message":"cannot reach db at 10.0.0.2"}'),
        ],
        {"6m30s": [], "7m30s": [{"template": "cannot reach db at <*>"}], "9m30s": []},
    )


def test_since_a_deploy_holds_what_came_with_the_version(tmp_path: pathlib.Path) -> None:
    def said(at: str, version: str, message: str) -> str:
        return (
            f"{{at: {at}, format: json, service: shop, version: '{version}', lines: ['{{\"message\":\"{message}\"}}']}}"
        )

    fires(
        tmp_path,
        "{alert: NewSinceDeploy, by: {service: service.name}, new_template: {learn: 1m, window: 1h, since: deploy}}",
        [
            said("30s", "1", "alpha beta gamma"),
            said("5m", "1", "old but later"),
            said("10m", "2", "alpha beta gamma"),
            said("11m", "2", "brand new words here now"),
            said("20m", "3", "alpha beta gamma"),
        ],
        {
            "6m": [],
            "10m30s": [],
            "12m": [{"service": "shop", "template": "brand new words here now"}],
            "21m": [],
        },
    )


def test_a_stream_that_stops_is_silent_until_it_is_back(tmp_path: pathlib.Path) -> None:
    fires(
        tmp_path,
        "{alert: Silent, by: {service: service.name}, silence: {window: 5m, forget: 20m}}",
        [
            "{at: 0s, every: 10s, repeat: 30, format: json, service: shop, lines: ['{}']}",
            "{at: 0s, every: 10s, repeat: 300, format: json, service: bank, lines: ['{}']}",
            line("15m", "{}"),
        ],
        {
            "9m": [],
            "10m30s": [{"service": "shop"}],
            "15m30s": [],
            "21m": [{"service": "shop"}],
            "36m": [],
        },
    )


def test_a_sequence_needs_its_order_its_key_and_its_time(tmp_path: pathlib.Path) -> None:
    fires(
        tmp_path,
        "{alert: Guessed, by: {user: user.name}, "
        "sequence: {steps: ['outcome:failure', 'outcome:success'], without: 'outcome:reset', within: 1m, window: 2m}}",
        [
            line("1m", '{"outcome":"failure","user.name":"ann"}'),
            line("1m30s", '{"outcome":"success","user.name":"bob"}'),
            line("1m40s", '{"outcome":"success","user.name":"ann"}'),
            line("5m", '{"outcome":"failure","user.name":"ann"}'),
            line("6m5s", '{"outcome":"success","user.name":"ann"}'),
            line("10m", '{"outcome":"failure","user.name":"ann"}'),
            line("10m5s", '{"outcome":"reset","user.name":"ann"}'),
            line("10m10s", '{"outcome":"success","user.name":"ann"}'),
        ],
        {"1m30s": [], "2m": [{"user": "ann"}], "4m": [], "6m30s": [], "10m30s": []},
    )


def test_a_line_that_nothing_follows(tmp_path: pathlib.Path) -> None:
    fires(
        tmp_path,
        "{alert: NotDone, by: {task: labels.job}, "
        "sequence: {steps: ['action:start'], without: 'action:end', within: 5m, window: 2m}}",
        [
            line("1m", '{"action":"start","job":"a"}'),
            line("2m", '{"action":"end","job":"a"}'),
            line("3m", '{"action":"start","job":"b"}'),
        ],
        {"7m45s": [], "8m30s": [{"task": "b"}], "11m": []},
    )


def test_a_field_that_changes(tmp_path: pathlib.Path) -> None:
    fires(
        tmp_path,
        "{alert: Moved, by: {user: user.name}, change: {field: labels.country, within: 1h, window: 1m}}",
        [
            line("1m", '{"user.name":"ann","country":"de"}'),
            line("2m", '{"user.name":"ann"}'),
            line("3m", '{"user.name":"bob","country":"fr"}'),
            line("4m", '{"user.name":"ann","country":"fr"}'),
        ],
        {"3m30s": [], "4m30s": [{"user": "ann", "value": "fr"}], "6m": []},
    )


def test_a_spike_against_the_window_before(tmp_path: pathlib.Path) -> None:
    fires(
        tmp_path,
        "{alert: Spike, by: {service: service.name}, spike: {height: 3, window: 10m, days: 0, min_current: 50}}",
        [
            "{at: 9m, every: 30s, repeat: 62, format: json, service: shop, lines: ['{}']}",
            "{at: 11m, every: 5s, repeat: 48, format: json, service: new, lines: ['{}']}",
            "{at: 0s, every: 30s, repeat: 80, format: json, service: bank, lines: ['{}']}",
            "{at: 30m, every: 5s, repeat: 120, format: json, service: shop, lines: ['{}']}",
        ],
        {"11m": [], "15m": [], "29m": [], "36m": [{"service": "shop"}], "50m": []},
    )


def test_a_spike_against_earlier_days(tmp_path: pathlib.Path) -> None:
    """Every day has the same busy hour: that is no spike; the one without a day like it is."""
    fires(
        tmp_path,
        "{alert: Spike, spike: {height: 3, window: 1h, days: 2, min_current: 5}}",
        [
            "{at: 0s, every: 1h, repeat: 60, format: json, lines: ['{}']}",
            "{at: 10h, every: 1m, repeat: 60, format: json, lines: ['{}']}",
            "{at: 34h, every: 1m, repeat: 60, format: json, lines: ['{}']}",
            "{at: 40h, every: 1m, repeat: 20, format: json, lines: ['{}']}",
        ],
        {"34h55m": [], "39h55m": [], "40h30m": [{}]},
    )


@pytest.mark.parametrize(
    ("rule", "code", "says"),
    [
        ("{alert: A, query: x}", "rule-log-rule-kind", "here: none"),
        ("{alert: A, silence: {}, spike: {height: 2}}", "rule-log-rule-kind", "`spike` and `silence`"),
        ("{alert: A, query: 'x:(', silence: {}}", "rule-log-query", "KQL"),
        ("{alert: A, sequence: {steps: [a], within: 5m}}", "rule-log-rule-sequence", "`without`"),
        ("{alert: A, sequence: {steps: [a, 'b:('], within: 5m}}", "rule-log-query", "KQL"),
        ("{alert: A, by: {value: x}, new_value: {field: y}}", "rule-label-name", "value"),
        ("{alert: A, by: {job: x}, silence: {}}", "rule-label-name", "job"),
        ("{alert: A, by: {day: x}, spike: {height: 2}}", "rule-label-name", "day"),
        ("{alert: A, spike: {height: 1}}", "rule-wrong-value", "greater than 1"),
        ("{alert: A, silence: {wimdow: 5m}}", "rule-unknown-field", "wimdow"),
        ("{alert: A, silence: {}, annotations: {a: '{{'}}", "rule-template", "template"),
        ("{alert: A, silence: {}}, {alert: A, spike: {height: 2}}", "rule-log-metric-twice", "log rule"),
    ],
)
def test_what_is_refused(tmp_path: pathlib.Path, rule: str, code: str, says: str) -> None:
    with pytest.raises(problems.ConfigError) as error:
        loaded(tmp_path, f"log_rules: [{rule}]")
    (found,) = error.value.problems
    assert (found.code, says in found.summary, found.line) == (code, True, 1)


def test_every_kind_can_do_without_by(tmp_path: pathlib.Path) -> None:
    found = loaded(
        tmp_path,
        """
        log_rules:
          - {alert: A, new_value: {field: x, since: deploy}}
          - {alert: B, new_template: {since: deploy}}
          - {alert: C, change: {field: x}}
          - {alert: D, spike: {height: 2, direction: both}}
          - {alert: E, silence: {}}
          - {alert: F, sequence: {steps: [a, b], within: 1m}}
        """,
    )
    assert [(group.name, group.interval, len(group.rules)) for group in found.groups] == [
        ("log_rules", 15.0, 6),
        ("log_rules:spikes", 60.0, 3),
    ]
    assert [one.name for one in found.log_metrics] == ["log_rule:D:lines_total"]
    assert [one.kind for one in found.log_detectors] == ["new_value", "new_template", "change", "silence", "sequence"]


def test_a_group_of_the_same_name_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(problems.ConfigError, match="that of log rules"):
        loaded(tmp_path, "{groups: [{name: log_rules}], log_rules: [{alert: A, silence: {}}]}")


def test_the_lines_behind_an_alert(tmp_path: pathlib.Path) -> None:
    found = loaded(
        tmp_path,
        """
        log_rules:
          - {alert: Value, query: 'level:error', by: {service: service.name}, new_value: {field: user.name}}
          - {alert: Template, query: 'level:error', new_template: {}}
          - {alert: Steps, query: 'level:error', by: {user: user.name}, sequence: {steps: [a, b], within: 1m}}
          - {alert: More, by: {service: service.name}, spike: {height: 2}}
        """,
    )
    asked = evidence.Evidence(found)

    def query(alert: str, **labels: str) -> str:
        (rule,) = (one for group in found.groups for one in group.rules if rules.name_of(one) == alert)
        names = engine.Engine(nothing.Nothing()).prepare(rule.expr).names
        return asked.query(names, tuple(sorted(labels.items())))

    assert query("Value", service="shop", value='a"b') == '(level:error) and service.name:"shop" and user.name:"a\\"b"'
    assert query("Template", template="<*> cannot reach <*> host: <*>") == (
        '(level:error) and message:"cannot reach" and message:"host:"'
    )
    assert query("Steps", user="x") == '(((level:error) and (a)) or ((level:error) and (b))) and user.name:"x"'
    assert query("More", service="shop") == 'service.name:"shop"'
    for rule in (one for group in found.groups for one in group.rules):
        kql.check(query(rules.name_of(rule), template="x y"))


def test_the_examples_of_the_page_load(tmp_path: pathlib.Path) -> None:
    page = (pathlib.Path(__file__).parents[2] / "docs/log-rules.md").read_text()
    examples = [block.removeprefix("log_rules:\n") for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    found = loaded(tmp_path, "log_rules:\n" + "".join(examples))
    assert len(examples) == 6
    assert len(found.log_detectors) + len(found.log_metrics) == 7
