"""Log rules on a server that scrapes several agents: what they saw is judged together."""

from __future__ import annotations

import pathlib

import pytest
import yaml
from click import testing

from tidegate.cli import ruletests

NEW = "{alert: A, by: {service: s}, new_value: {field: f, learn: 10m, window: 5m}}"
SILENT = "{alert: A, by: {service: s}, silence: {window: 5m}}"
FIRST = 'log_rule:A:first_seen_timestamp_seconds{service="shop", value="%s", instance="%s", job="agents"}'
SINCE = 'log_rule:A:since_timestamp_seconds{instance="%s", job="agents"}'
IDLE = 'log_rule:A:idle_seconds{service="shop", instance="%s", job="agents"}'
UP = 'up{instance="%s", job="agents"}'


def fires(folder: pathlib.Path, rule: str, series: dict[str, str], wanted: dict[str, int]) -> None:
    """Samples once a minute, and how many alerts fire at some times."""
    (folder / "r.yaml").write_text(f"log_rules: [{rule}]")
    given = [{"series": name, "values": values} for name, values in series.items()]
    expr = 'count(ALERTS{alertname="A", alertstate="firing"}) or vector(0)'
    tests = [{"eval_time": at, "expr": expr, "exp_samples": [{"value": count}]} for at, count in wanted.items()]
    body = {"rule_files": ["r.yaml"], "evaluation_interval": "1m"}
    test = {"interval": "1m", "input_series": given, "promql_expr_test": tests}
    (folder / "t.yaml").write_text(yaml.safe_dump({**body, "tests": [test]}))
    done = testing.CliRunner().invoke(ruletests.rules, [str(folder / "t.yaml")])
    assert done.exit_code == 0, done.output


def test_a_value_that_two_agents_see_is_new_once(tmp_path: pathlib.Path) -> None:
    fires(
        tmp_path,
        NEW,
        {
            SINCE % "a": "0x60",
            SINCE % "b": "0x60",
            FIRST % ("x", "a"): "_x20 1200x40",
            FIRST % ("x", "b"): "_x22 1320x38",
        },
        {"19m": 0, "21m": 1, "24m": 1, "26m": 0, "29m": 0},
    )


def test_what_one_agent_knows_is_not_new_to_another(tmp_path: pathlib.Path) -> None:
    """Agent b is fresh: what a knows is no news; what nobody knows is, though b has not learned for long."""
    fires(
        tmp_path,
        NEW,
        {
            SINCE % "a": "0x60",
            SINCE % "b": "_x20 1200x40",
            FIRST % ("old", "a"): "300x60",
            FIRST % ("old", "b"): "_x20 1200x40",
            FIRST % ("new", "b"): "_x21 1260x39",
        },
        {"20m": 0, "22m": 1, "28m": 0},
    )


def test_while_all_learn_nothing_is_new(tmp_path: pathlib.Path) -> None:
    fires(tmp_path, NEW, {SINCE % "a": "0x20", FIRST % ("x", "a"): "_x5 300x15"}, {"6m": 0, "12m": 0})


def test_without_an_agent_nothing_is_said(tmp_path: pathlib.Path) -> None:
    fires(tmp_path, NEW, {SINCE % "a": "0x10 stale", FIRST % ("x", "a"): "_x10 stale"}, {"5m": 0, "12m": 0})


def test_a_restarted_agent_does_not_make_its_values_new(tmp_path: pathlib.Path) -> None:
    fires(
        tmp_path,
        "{alert: A, by: {service: s}, new_value: {field: f, learn: 10m, window: 15m}}",
        {
            SINCE % "a": "0x60",
            SINCE % "b": "0x60",
            FIRST % ("x", "a"): "60x20 stale stale stale 60x36",
            FIRST % ("x", "b"): "_x22 1320x38",
        },
        {"23m": 0, "25m": 0},
    )


@pytest.mark.parametrize(
    ("series", "wanted"),
    [
        pytest.param({IDLE % "a": "0+60x20"}, {"4m": 0, "6m": 1}, id="one agent"),
        pytest.param({IDLE % "a": "0+60x20", IDLE % "b": "0x20"}, {"15m": 0}, id="the stream moved to another node"),
        pytest.param(
            {IDLE % "a": "0+60x20", IDLE % "b": "0x4 stale", UP % "a": "1x20", UP % "b": "1x4 0x15"},
            {"6m": 0, "15m": 0},
            id="the agent that saw it last is down",
        ),
        pytest.param(
            {IDLE % "a": "0+60x20", IDLE % "b": "0x4 stale", UP % "a": "1x20", UP % "b": "1x4 stale"},
            {"6m": 1},
            id="its node is gone from discovery",
        ),
        pytest.param({IDLE % "a": "0+60x3 stale", UP % "a": "1x3 0x15"}, {"10m": 0}, id="the only agent is down"),
    ],
)
def test_silence(tmp_path: pathlib.Path, series: dict[str, str], wanted: dict[str, int]) -> None:
    fires(tmp_path, SILENT, series, wanted)
