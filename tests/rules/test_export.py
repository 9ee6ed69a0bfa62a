"""Rules with our fields, rewritten: the real promtool finds that the plain ones fire at the same times as ours."""

from __future__ import annotations

import json
import pathlib
import random
import subprocess
from typing import Any

import pytest

from tests.rules import test_timelines
from tidegate.logs import kql
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine as engine_
from tidegate.rules import export, load

STEPS = 30
NOT_EXACT = {"export-no-data", "export-label"}
NO_DATA = ("ok", "keep", "alert")
Maker = Any


def often(dice: random.Random) -> dict[str, Any]:
    of = dice.randint(1, 6)
    return {"expr": dice.choice(["x > 0", "x > 1", "sum by (i) (x) > 1"]), "for": f"{dice.randint(1, of)} of {of}"}


def band(dice: random.Random) -> dict[str, Any]:
    return {
        "expr": dice.choice(["x > 2", "sum by (i) (x) > 1"]),
        "for": dice.choice(["0s", "30s", "1m"]),
        "resolve_expr": dice.choice(["x < 1", "x == 0", "x < 2 unless x == 1"]),
        **dice.choice([{}, {"no_data": "ok"}, {"no_data": "keep"}, {"no_data": "alert"}]),
    }


def blind(dice: random.Random) -> dict[str, Any]:
    return {
        "expr": dice.choice(["x > 1", "sum by (i) (x > 1) > 0", "x > 0 and x < 3", "x > 1 and on (i) x != 3"]),
        "for": dice.choice(["0s", "30s", "1m"]),
        "no_data": dice.choice(["ok", "keep", "alert"]),
    }


def levels(dice: random.Random) -> dict[str, Any]:
    more = dice.choice([{}, {"resolve_expr": "x < 1"}]) | dice.choice([{}, *({"no_data": one} for one in NO_DATA)])
    return {
        "expr": "x",
        "for": dice.choice(["0s", "30s", "1m", "90s" if more.get("no_data") in ("keep", "alert") else "2 of 3"]),
        "severities": {"info": "> 0", "warning": "> 1", "critical": {"when": "> 2", "for": dice.choice(["0s", "1m"])}},
        **more,
    }


def mixed(dice: random.Random) -> dict[str, Any]:
    return often(dice) | dice.choice([{"resolve_expr": "x < 1", "no_data": "ok"}, {"no_data": "ok"}])


def scaled(rule: dict[str, Any], step: int) -> dict[str, Any]:
    """The rule with its durations, which are for evaluations 30 s apart, for others."""
    times = {
        name: f"{test_timelines.seconds(text) * step // 30}s"
        for name, text in rule.items()
        if name in ("for", "keep_firing_for") and " of " not in text
    }
    levels = {
        name: scaled(one, step) if isinstance(one, dict) else one for name, one in rule.get("severities", {}).items()
    }
    return rule | times | ({"severities": levels} if levels else {})


def made(seed: int, make: Maker, step: int = 30) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rule file, and a test that asks at every evaluation what fires."""
    dice = random.Random(seed)
    rules = [
        {
            "alert": f"A{number}",
            **make(dice),
            "keep_firing_for": dice.choice(["0s", "0s", "30s", "90s"]),
            "labels": dice.choice([{}, {"team": "shop"}, {"team": "{{ $labels.i }}"}]),
        }
        for number in range(6)
    ]
    down = [dice.random() < 0.25 for _ in range(STEPS)]
    series = [
        {
            "series": f'x{{i="{i}"}}',
            "values": " ".join("stale" if gone else dice.choice("0122333__s").replace("s", "stale") for gone in down),
        }
        for i in range(3)
    ]
    asked = [
        {"eval_time": f"{number * step}s", "alertname": rule["alert"], "exp_alerts": []}
        for number in range(STEPS * 2)
        for rule in rules
    ]
    # From further apart than Prometheus looks back, each evaluation has samples of its own.
    one = {"interval": f"{step if step > 60 else 2 * step}s", "input_series": series, "alert_rule_test": asked}
    test = {"rule_files": ["r.yaml"], "evaluation_interval": f"{step}s", "tests": [one]}
    group = {"name": "g", "interval": f"{step}s", "rules": [scaled(rule, step) for rule in rules]}
    return {"groups": [group | dice.choice([{}, {"labels": {"zone": "a"}}])]}, test


def exported(path: pathlib.Path) -> export.Export:
    return export.run([(path, path.name)], load.Checks(engine_.Engine(nothing.Nothing()), kql.check, 30.0))


@pytest.mark.slow
@pytest.mark.parametrize("make", [often, band, blind, levels, mixed])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("step", [30, 600])
async def test_plain_rules_fire_at_the_same_times(
    seed: int, make: Maker, step: int, tmp_path: pathlib.Path, promtool: pathlib.Path
) -> None:
    rules, test = made(seed, make, step)
    path = tmp_path / "r.yaml"
    path.write_text(json.dumps(rules))
    inexact = {notice.line: notice for notice in exported(path).notices if notice.code in NOT_EXACT}
    assert not inexact
    (out,) = exported(path).files
    path.write_text(out.text)
    subprocess.run([promtool, "check", "rules", "r.yaml"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    found = test_timelines.fired(tmp_path, promtool, test)
    assert sum(map(len, found.values())) > 20
    path.write_text(json.dumps(rules))
    await test_timelines.agree(tmp_path, test, found)
