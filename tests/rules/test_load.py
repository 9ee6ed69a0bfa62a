"""Rule files: judged as Prometheus judges them, with the place of everything that is wrong."""

from __future__ import annotations

import pathlib

import pytest

from tidegate.logs import kql
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine
from tidegate.model import problems, rules
from tidegate.rules import load

CHECKS = load.Checks(engine.Engine(nothing.Nothing()), kql.check, 60.0)
ROOT = pathlib.Path(__file__).parents[2]


def read(path: pathlib.Path) -> rules.RuleSet:
    return load.load([(path, path.name)], CHECKS)


def wrong(tmp_path: pathlib.Path, text: str) -> list[tuple[str, int, int]]:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(problems.ConfigError) as caught:
        read(path)
    return [(problem.code, problem.line, problem.column) for problem in caught.value.problems]


def test_prometheus_own_files_are_judged_as_their_names_say(conformance: pathlib.Path) -> None:
    judged = {}
    for path in sorted((conformance / "rulefmt").iterdir()):
        try:
            read(path)
            judged[path.name] = "good"
        except problems.ConfigError:
            judged[path.name] = "bad"
    expected = {name: "bad" if ".bad." in name else "good" for name in judged}
    # Only bad under Prometheus' legacy naming; UTF-8 names are its default.
    expected["legacy_validation_annotation.bad.yaml"] = "good"
    assert len(judged) == 16
    assert judged == expected


def test_every_rule_of_kube_prometheus_loads(conformance: pathlib.Path) -> None:
    loaded = [read(path) for path in sorted((conformance / "rules/kube-prometheus").iterdir())]
    assert sum(len(group.rules) for one in loaded for group in one.groups) == 234


def test_the_packs_load() -> None:
    for path in sorted((ROOT / "rules").glob("*.yaml")):
        assert read(path).groups


FILE = """\
groups:
  - name: a
    interval: 5s
    rules:
      - alert: Down
        expr: up{job="x"} == 0
        for: 1m
        labels: {severity: 1}
        annotations: {summary: "{{ $labels.job }}"}
      - record: a:b
        expr: sum(up)
log_metrics:
  - {name: errors_total, query: "level:error", by: {path: labels.path}}
"""


def test_what_a_file_means(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(FILE)
    loaded = read(path)
    (group,) = loaded.groups
    assert (group.key, group.interval) == ("r.yaml;a", 5)
    alert, recording = group.rules
    assert isinstance(alert, rules.AlertingRule)
    assert (alert.hold, alert.labels) == (60, (("severity", "1"),))
    assert (alert.place.line, recording.expr) == (5, "sum(up)")
    assert loaded.log_metrics[0].by == (("path", "labels.path"),)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("for: 1m", "fro: 1m", [("rule-unknown-field", 7, 9)]),
        ("for: 1m", "for: soon", [("rule-wrong-value", 7, 14)]),
        ('up{job="x"} == 0', "up{", [("rule-expr", 6, 17)]),
        ("sum(up)", "rate(up)", [("rule-expr", 11, 20)]),
        ("{{ $labels.job }}", "{{ $labels.job", [("rule-template", 9, 32)]),
        ("{{ $labels.job }}", "{{ nothing }}", [("rule-template", 9, 32)]),
        ("record: a:b", "record: a{b}", [("rule-name", 10, 17)]),
        ("record: a:b", "record: a:b\n        for: 5m", [("rule-field-of-alerts", 11, 9)]),
        ("level:error", "level:", [("rule-log-query", 13, 39)]),
        ("name: errors_total", "name: 0rrors", [("rule-name", 13, 12)]),
        ("- name: a", "- name: a\n  - name: a", [("rule-group-twice", 3, 11)]),
        ("alert: Down", "alert: Down\n        record: x", [("rule-record-or-alert", 5, 9)]),
    ],
)
def test_problems_have_places(
    tmp_path: pathlib.Path, before: str, after: str, expected: list[tuple[str, int, int]]
) -> None:
    assert before in FILE
    found = wrong(tmp_path, FILE.replace(before, after, 1))
    assert [one[:2] for one in found] == [one[:2] for one in expected]
    assert found[0][2] == expected[0][2]


ALERT = """\
groups:
  - name: a
    rules:
      - alert: A
        expr: x
        FIELD
"""


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("for: 3 of 2", ("rule-wrong-value", 6, 14)),
        ("for: 0 of 2", ("rule-wrong-value", 6, 14)),
        ("for: 1 of 1001", ("rule-wrong-value", 6, 14)),
        ("for: 3 in 5", ("rule-wrong-value", 6, 14)),
        ("for: [1]", ("rule-wrong-value", 6, 14)),
        ("for: -5", ("rule-wrong-value", 6, 14)),
        ("for: true", ("rule-wrong-value", 6, 14)),
        ("for: .inf", ("rule-wrong-value", 6, 14)),
        ('for: ""', ("rule-wrong-value", 6, 14)),
        ("resolve_expr: sum(", ("rule-expr", 6, 26)),
        ("no_data: maybe", ("rule-wrong-value", 6, 18)),
        ("severities: {}", ("rule-severities", 6, 21)),
        ('severities: {warning: "5"}', ("rule-severities", 6, 31)),
        ('severities: {warning: "> bool 5"}', ("rule-severities", 6, 31)),
        ('severities: {warning: "> 5", critical: "> 3"}', ("rule-severities", 6, 48)),
        ('severities: {warning: "< 5", critical: "< 6"}', ("rule-severities", 6, 48)),
        ('severities: {warning: "> 5 +"}', ("rule-expr", 6, 31)),
        ('severities: {warning: {when: "> 5", four: 5m}}', ("rule-unknown-field", 6, 45)),
        ('severities: {warning: {when: "> 5", for: 2 of 1}}', ("rule-wrong-value", 6, 50)),
        ('labels: {severity: x}\n        severities: {warning: "> 5"}', ("rule-severities", 7, 21)),
    ],
)
def test_problems_of_our_fields_have_places(tmp_path: pathlib.Path, field: str, expected: tuple[str, int, int]) -> None:
    assert wrong(tmp_path, ALERT.replace("FIELD", field)) == [expected]


def test_no_data_needs_data_that_can_be_missing(tmp_path: pathlib.Path) -> None:
    text = ALERT.replace("FIELD", "no_data: alert").replace("expr: x", "expr: absent(x)")
    assert wrong(tmp_path, text) == [("rule-no-data", 6, 18)]


def test_our_fields_have_no_meaning_in_recording_rules(tmp_path: pathlib.Path) -> None:
    for field in ("for: 3 of 5", "resolve_expr: y", "no_data: ok", 'severities: {a: "> 1"}'):
        text = ALERT.replace("FIELD", field).replace("alert: A", "record: a")
        assert wrong(tmp_path, text) == [("rule-field-of-alerts", 6, 9)]


def test_severities_are_rules_of_their_own(tmp_path: pathlib.Path) -> None:
    levels = 'for: 2 of 3\n        severities: {low: "> 1", mid: {when: "> 5", for: 1m}, high: "> 9 # ten"}'
    path = tmp_path / "r.yaml"
    path.write_text(ALERT.replace("FIELD", levels).replace("expr: x", "expr: |\n          x # all"))
    (group,) = read(path).groups
    found = [
        (one.expr, one.hold, str(one.share), one.above) for one in group.rules if isinstance(one, rules.AlertingRule)
    ]
    assert found == [
        ("(x # all\n) > 9 # ten", 0, "2 of 3", ()),
        ("(x # all\n) > 5", 60, "None", ("high",)),
        ("(x # all\n) > 1", 0, "2 of 3", ("mid", "high")),
    ]
    assert [one.labels for one in group.rules] == [(("severity", name),) for name in ("high", "mid", "low")]


def test_every_problem_of_every_file_comes_at_once(tmp_path: pathlib.Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(FILE.replace("for: 1m", "fro: 1m"))
    with pytest.raises(problems.ConfigError) as caught:
        load.load([(tmp_path / name, name) for name in ("a.yaml", "b.yaml")], CHECKS)
    assert [problem.file for problem in caught.value.problems] == ["a.yaml", "b.yaml"]


def test_a_log_metric_twice_is_refused(tmp_path: pathlib.Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(FILE)
    with pytest.raises(problems.ConfigError) as caught:
        load.load([(tmp_path / name, name) for name in ("a.yaml", "b.yaml")], CHECKS)
    assert [problem.code for problem in caught.value.problems] == ["rule-log-metric-twice"]


def test_a_negative_limit_is_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "r.yaml").write_text("groups:\n  - name: a\n    limit: -1\n")
    assert read(tmp_path / "r.yaml").groups[0].limit == -1  # as promtool takes it


def test_an_unknown_datasource_is_refused(tmp_path: pathlib.Path) -> None:
    assert wrong(tmp_path, "groups:\n  - name: a\n    datasource: mimir\n") == [("rule-datasource", 3, 17)]


BLOCK = """\
groups:
  - name: a
    rules:
      - alert: Down
        expr: |

          sum(up)
            ==  foo(up)
"""


def test_an_error_inside_a_block_stands_at_its_own_line(tmp_path: pathlib.Path) -> None:
    assert wrong(tmp_path, BLOCK) == [("rule-expr", 8, 17)]


MANIFEST = """\
---
# one
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: one, namespace: shop}
spec: {groups: [{name: g, rules: [{record: a, expr: x}]}]}
---
apiVersion: v1
kind: List
items:
  - apiVersion: monitoring.coreos.com/v1
    kind: PrometheusRule
    metadata: {name: two}
    spec:
      groups:
        - name: g
          rules:
            - record: b
              expr: EXPR
---
"""


def test_manifests_in_lists_and_several_documents(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(MANIFEST.replace("EXPR", "y"))
    assert [group.key for group in read(path).groups] == ["r.yaml:shop/one;g", "r.yaml:two;g"]
    assert wrong(tmp_path, MANIFEST.replace("EXPR", "sum(")) == [("rule-expr", 19, 24)]
    other = MANIFEST.replace("kind: PrometheusRule\n    meta", "kind: ConfigMap\n    meta")
    assert [code for code, _, _ in wrong(tmp_path, other)] == ["rule-wrong-value"]


def test_plain_rule_files_are_one_document(tmp_path: pathlib.Path) -> None:
    (code,) = {code for code, _, _ in wrong(tmp_path, "groups: []\n---\ngroups: []\n")}
    assert code == "yaml-syntax"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("function: sum", [("rule-log-metric-field", 2)]),
        ("field: labels.x", [("rule-log-metric-field", 2)]),
        ("function: sum, field: x, buckets: [1]", [("rule-log-metric-buckets", 2)]),
        ("function: percentile, field: x, buckets: [1, 1]", [("rule-log-metric-buckets", 2)]),
        ("function: percentile, field: x, buckets: [.inf]", [("rule-log-metric-buckets", 2)]),
        ("function: percentile, field: x, by: {le: x}", [("rule-label-name", 2)]),
        ("by: {overflow: x}", [("rule-label-name", 2)]),
        ("function: median, field: x", [("rule-wrong-value", 2)]),
        ("window: 0s, function: max, field: x", [("rule-wrong-value", 2)]),
    ],
)
def test_functions_of_log_metrics(tmp_path: pathlib.Path, metric: str, expected: list[tuple[str, int]]) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"log_metrics:\n  - {{name: took, query: 'a', {metric}}}\n")
    with pytest.raises(problems.ConfigError) as caught:
        read(path)
    assert [(problem.code, problem.line) for problem in caught.value.problems] == expected


def test_series_of_two_log_metrics_must_differ(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "r.yaml"
    one = "{name: took, query: a, function: percentile, field: x}"
    path.write_text(f"log_metrics:\n  - {one}\n  - {{name: took_sum, query: b}}\n")
    with pytest.raises(problems.ConfigError, match="series of the log metric 'took'"):
        read(path)
    path.write_text(f"log_metrics:\n  - {one}\n")
    (metric,) = read(path).log_metrics
    assert metric.series == ("took_bucket", "took_sum", "took_count")
    assert (metric.bounds[0], metric.bounds[1], metric.bounds[-1], len(metric.bounds)) == (0.001, 0.0025, 10_000, 22)
