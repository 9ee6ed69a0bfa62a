"""Our own part of rule unit tests: log lines are counted, messages read, gates asked."""

from __future__ import annotations

import pathlib
import xml.etree.ElementTree as ET

from click import testing

from tidegate.cli import ruletests

RULES = """
log_metrics: [{name: errors_total, query: 'log.level: error', by: {service: service.name}}]
groups:
  - name: g
    rules:
      - alert: Errors
        expr: sum by (service) (rate(errors_total[5m])) > 0.05
        labels: {severity: critical}
        annotations: {summary: errors of {{ $labels.service }}}
"""
SETTINGS = """
alerts:
  route: {receiver: team, group_wait: 30s}
  receivers: [{name: team, console_configs: [{}]}]
"""
TEST = """
rule_files: [r.yaml]
CONFIG
tests:
  - input_series: [{series: 'up{job="shop"}', values: 1x30}]
    input_logs: [{at: 5m, every: 5s, repeat: 60, format: json, service: shop, lines: ['{"level":"error","message":"no bank"}']}]
    notification_test:
      - {eval_time: 6m, receiver: team}
      - {eval_time: 9m, receiver: team, exp_notifications: [{title: '[CRITICAL] Errors: SERVICE', lines: ['errors of shop']}]}
    gate_test:
      - {eval_time: 4m, environment: default, service: shop, exp_verdict: allow}
      - {eval_time: 9m, environment: default, service: shop, exp_verdict: deny, exp_reasons: [Errors]}
"""


def run(folder: pathlib.Path, service: str = "shop", config: str = "config: c.yaml") -> testing.Result:
    (folder / "r.yaml").write_text(
        RULES.replace("errors of {{ $labels.service }}", "'errors of {{ $labels.service }}'")
    )
    (folder / "c.yaml").write_text(SETTINGS)
    (folder / "t.yaml").write_text(TEST.replace("SERVICE", service).replace("CONFIG", config))
    return testing.CliRunner().invoke(ruletests.rules, [str(folder / "t.yaml"), "--junit", str(folder / "o.xml")])


def test_they_hold(tmp_path: pathlib.Path) -> None:
    done = run(tmp_path)
    assert (done.exit_code, done.output) == (0, "4 passed, 0 failed\n")


def test_what_differs_is_shown_and_reported_under_promtools_name(tmp_path: pathlib.Path) -> None:
    done = run(tmp_path, "shop, staging")
    assert done.exit_code == 1
    assert "  - [CRITICAL] Errors: shop, staging\n  + [CRITICAL] Errors: shop\n" in done.output
    assert '<testcase name="unnamed#0"><failure' in (tmp_path / "o.xml").read_text()


def test_without_settings_they_cannot_be_run(tmp_path: pathlib.Path) -> None:
    done = run(tmp_path, config="")
    assert (done.exit_code, "error[test-no-config]" in done.output) == (1, True)


def test_a_file_that_cannot_be_used_is_an_error_in_the_report(tmp_path: pathlib.Path) -> None:
    done = run(tmp_path, config="confog: c.yaml")
    (suite,) = ET.fromstring((tmp_path / "o.xml").read_text())
    assert (done.exit_code, suite.get("name"), suite.get("errors")) == (1, str(tmp_path / "t.yaml"), "1")
    (error,) = suite.iter("error")
    assert "confog" in str(error.get("message"))


REDACTED = """
rule_files: [r.yaml]
tests:
  - input_logs:
      - at: 1m
        every: 5s
        repeat: 60
        redact: [email]
        redact_patterns: {ticket: 'T-[0-9]+'}
        format: json
        lines: ['{"level":"error","message":"no bank","who":"ann@example.org","ticket":"T-17"}']
    promql_expr_test:
      - expr: count by (who, ticket) (told_total)
        eval_time: 3m
        exp_samples: [{labels: '{who="[redacted:email]", ticket="[redacted:ticket]"}', value: 1}]
"""


def test_lines_are_redacted_before_anybody_sees_them(tmp_path: pathlib.Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "log_metrics: [{name: told_total, query: error, by: {who: who, ticket: ticket}}]\n"
    )
    (tmp_path / "t.yaml").write_text(REDACTED)
    done = testing.CliRunner().invoke(ruletests.rules, [str(tmp_path / "t.yaml")])
    assert (done.exit_code, done.output) == (0, "1 passed, 0 failed\n")
