"""`tidegate rules export`: what is written where, what is said, and with which exit code."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest
import yaml
from click import testing

from tests.rules import test_export
from tidegate import cli
from tidegate.logs import kql
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine as engine_
from tidegate.rules import load

ROOT = pathlib.Path(__file__).parents[2]
PLAIN = "groups:\n  # a comment\n  - name: g\n    rules: [{record: a, expr: x}]\n"
BAND = "groups:\n  - name: g\n    rules: [{alert: A, expr: x > 3, resolve_expr: x < 1}]\n"
OFTEN = "groups:\n  - name: g\n    rules: [{alert: A, expr: x > 3, for: 2 of 3}]\n"


def run(*arguments: object) -> testing.Result:
    return testing.CliRunner().invoke(cli.cli, ["rules", "export", "--prometheus", *map(str, arguments)])


def written(folder: pathlib.Path, text: str, name: str = "r.yaml") -> pathlib.Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_plain_file_is_handed_on_as_it_is(tmp_path: pathlib.Path) -> None:
    done = run(written(tmp_path, PLAIN), "--strict")
    assert (done.exit_code, done.stdout, done.stderr) == (0, PLAIN, "")


@pytest.mark.parametrize(
    ("ours", "rule"),
    [
        ("for: 90", {"for": "1m30s"}),
        ("keep_firing_for: 0.5, for: 0", {"keep_firing_for": "500ms", "for": "0s"}),
        ('resolve_expr: ""', {}),
        ("no_data: ok", {}),
        ("no_data: null", {}),
    ],
)
def test_what_prometheus_does_not_read_is_not_handed_on(
    tmp_path: pathlib.Path, promtool: pathlib.Path, ours: str, rule: dict[str, str]
) -> None:
    text = "groups:\n  - {name: g, interval: 60, datasource: '', rules: [{alert: A, expr: x > 3, OURS}]}\n"
    done = run(written(tmp_path, text.replace("OURS", ours)), "--strict")
    (made,) = yaml.safe_load(done.stdout)["groups"]
    assert made == {"name": "g", "interval": "1m", "rules": [{"alert": "A", "expr": "x > 3", **rule}]}
    path = written(tmp_path, done.stdout, "out.yaml")
    subprocess.run([promtool, "check", "rules", path], check=True, capture_output=True, timeout=60)


def test_the_packs_are_plain_but_for_log_metrics(tmp_path: pathlib.Path, promtool: pathlib.Path) -> None:
    files = sorted((ROOT / "rules").glob("*.yaml"))
    done = run(*files, "--to", tmp_path)
    assert (done.exit_code, {*re.findall(r"\[(.*)\]", done.stderr)}) == (0, {"export-log-metrics"})
    out = sorted(tmp_path.iterdir())
    assert [path.name for path in out] == [path.name for path in files]
    subprocess.run([promtool, "check", "rules", *out], check=True, capture_output=True, timeout=60)


def test_exact_rules_pass_strict_and_others_are_not_written(tmp_path: pathlib.Path) -> None:
    assert run(written(tmp_path, BAND), "--strict").exit_code == 0
    to = tmp_path / "out.yaml"
    done = run(written(tmp_path, OFTEN), "--strict", "--to", to)
    assert (done.exit_code, to.exists()) == (1, False)
    assert [*re.findall(r"^warning\[(.*)\]", done.stderr, re.MULTILINE)] == ["export-pending", "export-interval"]
    assert ":3:37\n" in done.stderr
    assert run(tmp_path / "r.yaml", "--to", to).exit_code == 0
    assert yaml.safe_load(to.read_text())["groups"][0]["interval"] == "1m"


def test_a_file_that_does_not_load_says_why(tmp_path: pathlib.Path) -> None:
    done = run(written(tmp_path, BAND.replace("x < 1", "x <")), "--to", tmp_path / "out.yaml")
    assert (done.exit_code, (tmp_path / "out.yaml").exists()) == (1, False)
    assert "error[rule-expr]" in done.stderr


def test_usage(tmp_path: pathlib.Path) -> None:
    one, other = written(tmp_path, PLAIN), written(tmp_path, PLAIN, "s.yaml")
    (tmp_path / "sub").mkdir()
    twin = written(tmp_path / "sub", PLAIN)
    assert "need --to" in run(one, other).stderr
    assert "write over" in run(one, "--to", one).stderr
    assert "write over" in run(one, "--to", tmp_path).stderr
    assert "same name" in run(one, twin, "--to", tmp_path / "out").stderr
    assert testing.CliRunner().invoke(cli.cli, ["rules", "export", str(one)]).exit_code == 2
    assert one.read_text() == PLAIN


def codes(folder: pathlib.Path, rule: str, group: str = "", top: str = "") -> list[str]:
    text = f"{top}groups:\n  - name: g\n    interval: 1m\n    {group}\n    rules:\n      - {{alert: A, {rule}}}\n"
    return [notice.code for notice in test_export.exported(written(folder, text)).notices]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("expr: x > 3, no_data: keep", []),
        ("expr: x > 3, for: 2 of 3", ["export-pending"]),
        ("expr: x > 3, for: 2 of 3, no_data: keep", ["export-no-data", "export-pending"]),
        ("expr: x > 3, no_data: keep, labels: {a: '{{ $labels.b }}'}", []),
        ("expr: x > 3, no_data: keep, labels: {a: '{{ $labels.a }}'}", ["export-label"]),
        ("expr: x > 3, no_data: keep, labels: {a: '{{ $value }}'}", ["export-label"]),
        ("expr: x > 3, no_data: ok, labels: {a: '{{ $value }}'}", []),
        ("expr: x > 3, no_data: keep, annotations: {a: '{{ $value | humanize }}'}", ["export-value"]),
        ("expr: x > 3, for: 2m, annotations: {a: '{{ $value }}'}", []),
        ("expr: x, severities: {low: '> 1', high: '> 2'}", []),
        ("expr: x, severities: {low: '> 1', high: '> 2'}, labels: {a: '{{ $value }}'}", ["export-label"]),
    ],
)
def test_what_is_not_the_same_is_said(tmp_path: pathlib.Path, rule: str, expected: list[str]) -> None:
    assert sorted(codes(tmp_path, rule)) == expected


def test_what_is_left_out_is_said(tmp_path: pathlib.Path) -> None:
    metrics = "log_metrics: [{name: e_total, query: 'level:error'}]\n"
    assert codes(tmp_path, "expr: x > 3", "datasource: mimir", metrics) == ["export-log-metrics", "export-datasource"]
    (out,) = test_export.exported(tmp_path / "r.yaml").files
    assert yaml.safe_load(out.text) == {
        "groups": [{"name": "g", "interval": "1m", "rules": [{"alert": "A", "expr": "x > 3"}]}]
    }


MANIFESTS = """\
apiVersion: v1
kind: List
items:
  - apiVersion: monitoring.coreos.com/v1
    kind: PrometheusRule
    metadata: {name: one}
    spec: {groups: [{name: g, interval: 1m, rules: [{alert: "A b/c", expr: x > 3, for: 2 of 3}]}]}
  - apiVersion: monitoring.coreos.com/v1
    kind: PrometheusRule
    metadata: {name: two}
    spec: {groups: [{name: g, interval: 1m, rules: [{alert: "A b c", expr: x > 3, for: 2 of 3}]}]}
"""


def test_manifests_become_one_rule_file(tmp_path: pathlib.Path, promtool: pathlib.Path) -> None:
    (out,) = test_export.exported(written(tmp_path, MANIFESTS)).files
    groups = yaml.safe_load(out.text)["groups"]
    assert [group["name"] for group in groups] == ["r.yaml:one:g", "r.yaml:two:g"]
    assert [group["rules"][0]["record"] for group in groups] == ["g:A_b_c:held", "g:A_b_c:held_2"]
    path = written(tmp_path, out.text, "out.yaml")
    subprocess.run([promtool, "check", "rules", path], check=True, capture_output=True, timeout=60)


STRANGE = """\
groups:
  - name: g
    interval: 10m
    labels: {zone: a}
    rules:
      - alert: 'Ünusual "name"'
        expr: |
          sum by ("host.name") (x) # all
        severities: {lo-w: "> 1", hi"gh: "> 2 # two"}
        resolve_expr: sum by ("host.name") (x) < 1 # few
        no_data: alert
        labels: {"team.name": 'a\\b', number: 007, page: yes}
        annotations: {summary: "two\\nlines"}
"""


def test_whatever_a_rule_holds_comes_out_readable(tmp_path: pathlib.Path, promtool: pathlib.Path) -> None:
    (out,) = test_export.exported(written(tmp_path, STRANGE)).files
    path = written(tmp_path, out.text, "out.yaml")
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    checks = load.Checks(engine_.Engine(nothing.Nothing()), kql.check, 60.0)
    first, second = load.load([(path, "out.yaml")], checks).groups[0].rules
    assert dict(first.labels) == {"team.name": r"a\b", "number": "007", "page": "yes", "severity": 'hi"gh', "zone": "a"}
    assert "last_over_time(ALERTS{" in second.expr


def whole(folder: pathlib.Path, rules: str) -> pathlib.Path:
    indented = "".join(f"      {line}\n" for line in rules.splitlines())
    return written(folder, f"groups:\n  - name: payments\n    interval: 1m\n    rules:\n{indented}")


def test_the_examples_in_the_docs_are_what_is_exported(tmp_path: pathlib.Path, promtool: pathlib.Path) -> None:
    page = (ROOT / "docs/rules.md").read_text().partition("## Beyond Prometheus")[2].partition("## Log metrics")[0]
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 8
    for ours, plain in zip(blocks[::2], blocks[1::2], strict=True):
        (out,) = test_export.exported(whole(tmp_path, ours)).files
        path = whole(tmp_path, plain)
        subprocess.run([promtool, "check", "rules", path], check=True, capture_output=True, timeout=60)
        said, made = (yaml.safe_load(text)["groups"][0]["rules"] for text in (path.read_text(), out.text))
        assert [{**one, "expr": ""} for one in said] == [{**one, "expr": ""} for one in made]
        assert [pieces(one["expr"]) for one in said] == [pieces(one["expr"]) for one in made]


def pieces(expr: str) -> list[str]:
    """What an expression is made of, whatever its brackets and order."""
    return sorted(re.findall(r"[^\s()]+", expr))
