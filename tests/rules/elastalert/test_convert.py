"""Every type of rule becomes a rule file that loads and fires when it should; what has no counterpart is named."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
import yaml
from click import testing

from tidegate import cli
from tidegate.cli import ruletests
from tidegate.rules.elastalert import kinds

COMMON = """
name: The rule
index: logs-*
filter: [{term: {level: error}}]
alert: [debug]
"""


def run(folder: pathlib.Path, *arguments: str) -> testing.Result:
    return testing.CliRunner().invoke(cli.cli, ["import", "elastalert", *arguments], catch_exceptions=False)


def converted(folder: pathlib.Path, text: str) -> tuple[testing.Result, dict[str, Any]]:
    (folder / "given.yaml").write_text(COMMON + text)
    done = run(folder, str(folder / "given.yaml"), "--to", str(folder / "out.yaml"))
    out = folder / "out.yaml"
    return done, yaml.safe_load(out.read_text()) if out.exists() else {}


LINE = "{{at: {}, every: {}, repeat: {}, format: json, service: {}, lines: ['{}']}}"


def lines(at: str, every: str, repeat: int, service: str = "shop", **fields: str) -> str:
    body = ", ".join(f'"{name}": "{value}"' for name, value in {"level": "error", **fields}.items())
    return LINE.format(at, every, repeat, service, "{" + body + "}")


CASES = {
    "any": ("type: any", [lines("5m", "1s", 1)], {"4m": 0, "5m30s": 1, "8m": 0}),
    "blacklist": (
        "type: blacklist\ncompare_key: user.name\nblacklist: [eve, mallory]",
        [lines("5m", "1s", 1, **{"user.name": "eve"}), lines("5m", "1s", 1, **{"user.name": "ann"})],
        {"4m": 0, "5m30s": 1},
    ),
    "whitelist": (
        "type: whitelist\ncompare_key: user.name\nwhitelist: [ann]\nignore_null: true",
        [
            lines("5m", "1s", 1, **{"user.name": "eve"}),
            lines("5m", "1s", 1, **{"user.name": "bob"}),
            lines("5m", "1s", 1, **{"user.name": "ann"}),
            lines("5m", "1s", 1),
        ],
        {"4m": 0, "5m30s": 2},
    ),
    "change": (
        "type: change\ncompare_key: country\nignore_null: true\nquery_key: user.name\ntimeframe: {days: 1}",
        [
            lines("5m", "1s", 1, country="de", **{"user.name": "ann"}),
            lines("6m", "1s", 1, country="fr", **{"user.name": "bob"}),
            lines("7m", "1s", 1, country="fr", **{"user.name": "ann"}),
        ],
        {"6m30s": 0, "7m30s": 1},
    ),
    "frequency": (
        "type: frequency\nnum_events: 20\ntimeframe: {minutes: 5}\nquery_key: service.name",
        [lines("5m", "5s", 60), lines("5m", "30s", 10, "bank")],
        {"5m30s": 0, "8m": 1, "16m": 0},
    ),
    "spike": (
        "type: spike\nspike_height: 3\nspike_type: up\ntimeframe: {minutes: 10}\nthreshold_cur: 30\nquery_key: service.name",
        [lines("0s", "60s", 40), lines("30m", "5s", 120), lines("0s", "60s", 60, "bank")],
        {"29m": 0, "36m": 1},
    ),
    "flatline": (
        "type: flatline\nthreshold: 10\ntimeframe: {minutes: 5}",
        [lines("0s", "10s", 60)],
        {"4m": 0, "9m": 0, "14m": 1},
    ),
    "flatline by key": (
        "type: flatline\nthreshold: 1\ntimeframe: {minutes: 5}\nquery_key: service.name",
        [lines("0s", "10s", 60), lines("0s", "10s", 120, "bank")],
        {"9m": 0, "16m": 1},
    ),
    "new_term": (
        "type: new_term\nfields: [user.name]\nterms_window_size: {minutes: 10}",
        [lines("5m", "1m", 20, **{"user.name": "ann"}), lines("15m", "1s", 1, **{"user.name": "bob"})],
        {"14m": 0, "16m": 1},
    ),
    "cardinality": (
        "type: cardinality\ncardinality_field: user.name\nmax_cardinality: 2\ntimeframe: {minutes: 5}",
        [lines("5m", "1s", 1, **{"user.name": name}) for name in ("a", "b")]
        + [lines("7m", "1s", 1, **{"user.name": "c"})],
        {"6m": 0, "7m30s": 1, "11m": 0},
    ),
    "metric_aggregation": (
        (
            "type: metric_aggregation\nmetric_agg_key: user.name\nmetric_agg_type: value_count\n"
            "max_threshold: 5\nbuffer_time: {minutes: 5}"
        ),
        [lines("5m", "5s", 10, **{"user.name": "a"}), lines("20m", "5s", 10)],
        {"5m10s": 0, "7m": 1, "12m": 0, "22m": 0},
    ),
    **{
        f"metric_aggregation of {function}": (
            (
                "type: metric_aggregation\nmetric_agg_key: event.duration\nbuffer_time: {minutes: 5}\n"
                f"max_threshold: {threshold}\nmetric_agg_type: {function}"
            ),
            [
                lines("5m", "5s", 10, **{"event.duration": "100"}),
                lines("15m", "5s", 10, **{"event.duration": "700"}),
            ],
            {"7m": 0, "17m": 1, "29m": 0},
        )
        for function, threshold in (
            ("avg", 300),
            ("sum", 4000),
            ("max", 300),
            ("min", 300),
            ("percentiles\npercentile_range: 95", 400),
        )
    },
    "spike_aggregation": (
        (
            "type: spike_aggregation\nmetric_agg_key: event.duration\nmetric_agg_type: avg\nspike_height: 3\nspike_type: up\n"
            "buffer_time: {minutes: 5}"
        ),
        [
            lines("0s", "5s", 120, **{"event.duration": "100"}),
            lines("10m", "5s", 60, **{"event.duration": "700"}),
            lines("15m", "5s", 120, **{"event.duration": "700"}),
        ],
        {"9m": 0, "14m": 1, "24m": 0},
    ),
    "percentage_match": (
        (
            "type: percentage_match\nmatch_bucket_filter: [{term: {outcome: success}}]\nmin_percentage: 95\n"
            "buffer_time: {minutes: 5}\nmin_denominator: 10\nquery_key: service.name"
        ),
        [lines("0s", "5s", 400, outcome="success"), lines("15m", "10s", 60, outcome="failure")],
        {"14m": 0, "17m": 1},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_type_fires_when_it_should(tmp_path: pathlib.Path, name: str) -> None:
    text, logs, wanted = CASES[name]
    done, out = converted(tmp_path, text)
    assert (done.exit_code, bool(out)) == (0, True), done.output
    every = [*(rule for group in out.get("groups", []) for rule in group["rules"]), *out.get("log_rules", [])]
    (alert,) = every
    alert.pop("annotations", None)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(out))
    expr = f'count(ALERTS{{alertname="{alert["alert"]}", alertstate="firing"}}) or vector(0)'
    tests = [{"eval_time": at, "expr": expr, "exp_samples": [{"value": count}]} for at, count in wanted.items()]
    given = [yaml.safe_load(one) for one in logs]
    body = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_logs": given, "promql_expr_test": tests}],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(body))
    done = testing.CliRunner().invoke(ruletests.rules, [str(tmp_path / "test.yaml")])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("type: metric_aggregation\nmetric_agg_key: a\nmetric_agg_type: median\nmax_threshold: 1", 8, "`median`"),
        ("type: spike_aggregation\nmetric_agg_type: value_count\nmetric_agg_key: a", 7, "`value_count`"),
        (
            "type: spike_aggregation\nmetric_agg_type: sum\nmetric_agg_key: a\nspike_height: 2\nspike_type: sideways",
            10,
            "no direction",
        ),
        ("type: my.module.Rule", 6, "my.module.Rule"),
        ("type: frequency\nnum_events: 5", 2, "`timeframe` is missing"),
        ("type: frequency\nnum_events: many\ntimeframe: {hours: 1}", 7, "no number"),
        ("type: frequency\nnum_events: 5\ntimeframe: soon", 8, "no time"),
        ("type: any\nis_enabled: false", 7, "not enabled"),
        ("type: new_term\nfields: [a]\nalert_on_missing_field: true", 8, "without the field"),
        ("type: spike\nfield_value: x", 7, "field's value"),
        ("type: blacklist\ncompare_key: a\nblacklist: ['!file nowhere']", 8, "cannot read"),
        ("type: percentage_match\nmatch_bucket_filter: [{regexp: {a: b}}]\nmin_percentage: 1", 7, "regexp"),
        ("type: cardinality\ncardinality_field: a\ntimeframe: {hours: 1}", 2, "is missing"),
    ],
)
def test_a_rule_of_which_half_would_be_wrong_is_left_out(
    tmp_path: pathlib.Path, text: str, line: int, says: str
) -> None:
    done, out = converted(tmp_path, text)
    assert (done.exit_code, out) == (1, {})
    assert f"given.yaml:{line}:" in done.output
    assert "error[import-left-out]" in done.output
    assert says in done.output


def test_a_filter_that_is_no_kql_here_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.yaml").write_text("name: A\ntype: any\nfilter: [{range: {status: {gte: 500}}}]")
    done = run(tmp_path, str(tmp_path / "a.yaml"))
    assert (done.exit_code, "as KQL it is 'status >= 500'" in done.output) == (1, True)


@pytest.mark.parametrize("text", ["query_key: user\ntype: any", "type: new_term\nfields: [user]"])
def test_a_group_of_fields_has_no_value(tmp_path: pathlib.Path, text: str) -> None:
    done, out = converted(tmp_path, text)
    assert (done.exit_code, out) == (1, {})
    assert "labels.user here" in done.output


def test_fields_are_named_with_their_place_and_secrets_are_never_shown(tmp_path: pathlib.Path) -> None:
    text = """type: any
slack_webhook_url: https://hooks.example/SECRET
jira_password: SECRET
es_password: SECRET
query_delay: {minutes: 1}
"""
    (tmp_path / "a.yaml").write_text(COMMON.replace("[debug]", "[slack, {jira: {jira_token: SECRET}}]") + text)
    done = run(tmp_path, str(tmp_path / "a.yaml"))
    assert done.exit_code == 1, "there is no receiver for jira"
    assert "SECRET" not in done.output
    assert "error[import-not-converted]: there is no receiver that does what the alerter `jira` does" in done.output
    assert "warning[import-no-meaning]: `query_delay` has no meaning here" in done.output
    assert "a.yaml:10:1" in done.output
    assert "slack_configs" in done.stdout
    assert "1 of 1 rules converted, 0 of them whole" in done.stderr


def test_what_is_said_and_how_often_goes_into_texts_and_settings(tmp_path: pathlib.Path) -> None:
    done, out = converted(
        tmp_path,
        """
type: frequency
num_events: 2
timeframe: {minutes: 1}
query_key: user.name
priority: 2
description: "{{ braces }}"
alert_subject: "{0} of {1}"
alert_subject_args: [user.name, host.name]
alert_text: "Look at {}"
alert_text_args: [user.name]
realert: {hours: 2}
aggregation: {minutes: 5}
""",
    )
    (rule,) = out["groups"][0]["rules"]
    assert rule["labels"] == {"priority": "2"}
    assert rule["annotations"] == {
        "summary": "{{ $labels.user_name }} of <host.name>",
        "description": '{{ "{{" }} braces }}\n\nLook at {{ $labels.user_name }}',
    }
    text = (tmp_path / "out.yaml").read_text()
    settings = yaml.safe_load("\n".join(line[2:] for line in text.split("\n# For ")[1].splitlines()[1:]))
    (route,) = settings["alerts"]["route"]["routes"]
    assert (route["repeat_interval"], route["group_wait"]) == ("2h", "5m")
    assert route["receiver"] == settings["alerts"]["receivers"][0]["name"]
    assert "no label for host.name" in done.output


def test_imported_fields_count_where_the_rule_says_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "base.yaml").write_text("type: any\npriority: 1\nfilter: [{term: {service: shop}}]\nodd: 1\n")
    done, out = converted(tmp_path, "import: base.yaml\npriority: 3\n")
    assert out["log_metrics"][0]["query"] == 'level:"error" and service:"shop"'
    assert out["groups"][0]["rules"][0]["labels"] == {"priority": "3"}
    assert "base.yaml:4:1" in done.output, "the place is where it was written"
    (tmp_path / "base.yaml").write_text("import: base.yaml\n")
    done = run(tmp_path, str(tmp_path / "given.yaml"))
    assert (done.exit_code, "without end" in done.output) == (2, True)


def test_exit_codes_and_strict(tmp_path: pathlib.Path) -> None:
    good, half, bad = tmp_path / "good.yaml", tmp_path / "half.yaml", tmp_path / "bad.yaml"
    good.write_text(COMMON + "type: any\n")
    half.write_text(COMMON + "type: any\nodd: 1\n")
    bad.write_text("a: [")
    to = tmp_path / "to"
    assert run(tmp_path, str(good), "--to", str(to)).exit_code == 0
    assert run(tmp_path, str(half), "--strict", "--to", str(to)).exit_code == 1
    assert not (to / "half.yaml").exists()
    assert run(tmp_path, str(good), str(half), str(bad), "--to", str(to)).exit_code == 2
    assert sorted(path.name for path in to.iterdir()) == ["good.yaml", "half.yaml"]


def test_labels_that_others_make_are_not_taken(tmp_path: pathlib.Path) -> None:
    done, out = converted(
        tmp_path, "type: flatline\nthreshold: 1\ntimeframe: {minutes: 5}\nquery_key: [job, app.version]"
    )
    assert out["log_rules"][0]["by"] == {"field_job": "job", "app_version": "app.version"}
    assert done.exit_code == 0


def test_files_of_values_are_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "names.txt").write_text("eve\n\nmallory\n")
    done, out = converted(tmp_path, "type: blacklist\ncompare_key: user.name\nblacklist: [bob, '!file names.txt']")
    assert out["log_metrics"][0]["query"] == 'level:"error" and user.name:("bob" or "eve" or "mallory")'
    assert done.exit_code == 0


def test_cardinality_has_room_for_the_values_that_it_counts(tmp_path: pathlib.Path) -> None:
    text = "type: cardinality\ncardinality_field: user.name\nmax_cardinality: {}\ntimeframe: {{hours: 1}}"
    assert "series_limit" not in converted(tmp_path, text.format(50))[1]["log_metrics"][0]
    assert converted(tmp_path, text.format(500))[1]["log_metrics"][0]["series_limit"] == 10_000


PAGE = pathlib.Path(__file__).parents[3] / "docs/migrate/elastalert2.md"
COLUMN = 44
EXAMPLES = re.findall(r"^### ([^\n]*)\n\n```text\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("title", "text"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_the_examples_of_the_page_are_what_the_command_writes(tmp_path: pathlib.Path, title: str, text: str) -> None:
    rows = text.splitlines()
    (tmp_path / "rule.yaml").write_text("\n".join(row[:COLUMN] for row in rows))
    done = run(tmp_path, str(tmp_path / "rule.yaml"))
    assert (done.exit_code, yaml.safe_load(done.stdout)) == (0, yaml.safe_load("\n".join(row[COLUMN:] for row in rows)))


def test_the_page_shows_every_type_that_can_be_converted() -> None:
    shown = {name for title, _ in EXAMPLES for name in title.split(" and ")}
    assert shown == set(kinds._TYPES)
