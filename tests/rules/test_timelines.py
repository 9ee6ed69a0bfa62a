"""Random rules over random series: the same alerts fire at the same times as in the real `promtool test rules`."""

from __future__ import annotations

import json
import pathlib
import random
import re
import subprocess
from typing import Any

import pytest

from tidegate.cli import ruletests
from tidegate.logs import kql
from tidegate.rules import unittest

STEPS = 24
HALF_MINUTES = range(STEPS * 2)
FAILED = re.compile(r"alertname: (\w+), time: (\w+),(.*?)(?=alertname: |\Z)", re.DOTALL)
FIRING = re.compile(r"Labels:(\{.*\})")
LABEL = re.compile(r'(\w+)="([^"]*)"')


def made(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rule file, and a test file that expects nothing to fire."""
    dice = random.Random(seed)
    rules = [
        {
            "alert": f"A{number}",
            "expr": dice.choice(["x > 0", "x", "x > 0 and x < 3", "sum by (i) (x) > 1", "x > 0 unless x == 2"]),
            "for": dice.choice(["0s", "30s", "1m", "90s", "3m"]),
            "keep_firing_for": dice.choice(["0s", "30s", "1m", "90s", "3m"]),
            "labels": {"severity": dice.choice(["page", "{{ $labels.i }}"])},
        }
        for number in range(6)
    ]
    seen = {
        "expr": 'ALERTS{alertstate="firing", alertname="A0"} and on (i) ALERTS_FOR_STATE',
        "labels": {"seen": "yes"},
    }
    rules.append({"alert": "Seen", **seen})
    series = [
        {
            "series": f'x{{i="{i}"}}',
            "values": " ".join(dice.choice("00112_3s") for _ in range(STEPS)).replace("s", "stale"),
        }
        for i in range(3)
    ]
    asked = [
        {"eval_time": f"{half * 30}s", "alertname": rule["alert"], "exp_alerts": []}
        for half in HALF_MINUTES
        for rule in rules
    ]
    test = {
        "rule_files": ["r.yaml"],
        "evaluation_interval": "30s",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": asked}],
    }
    return {"groups": [{"name": "g", "rules": rules}]}, test


def seconds(text: str) -> int:
    """`1m30s` in seconds."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)([hms])", text))


def fired(folder: pathlib.Path, promtool: pathlib.Path, test: dict[str, Any]) -> dict[tuple[str, int], list[Any]]:
    """For each alert name and time the label sets that fire, as promtool finds them; `test` expects nothing to fire."""
    (folder / "t.yaml").write_text(json.dumps(test))
    done = subprocess.run(
        [promtool, "test", "rules", "t.yaml"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    said = done.stdout + done.stderr
    found = FAILED.findall(said)
    assert found or "SUCCESS" in said, said
    return {(name, seconds(at)): [dict(LABEL.findall(one)) for one in FIRING.findall(rest)] for name, at, rest in found}


async def agree(folder: pathlib.Path, test: dict[str, Any], fired: dict[tuple[str, int], list[Any]]) -> None:
    """Our own tests of the rules find that the same alerts fire at the same times."""
    for asked in test["tests"][0]["alert_rule_test"]:
        found = fired.get((asked["alertname"], seconds(asked["eval_time"])), [])
        asked["exp_alerts"] = [
            {"exp_labels": {name: text for name, text in one.items() if name != "alertname"}} for one in found
        ]
    (folder / "t.yaml").write_text(json.dumps(test))
    cases = await unittest.run([folder / "t.yaml"], ruletests.world, kql.check)
    assert len(cases) == len(test["tests"][0]["alert_rule_test"])
    assert [(case.name, case.difference) for case in cases if not case.passed] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
async def test_the_same_alerts_fire_at_the_same_times(
    seed: int, tmp_path: pathlib.Path, promtool: pathlib.Path
) -> None:
    rules, test = made(seed)
    (tmp_path / "r.yaml").write_text(json.dumps(rules))
    found = fired(tmp_path, promtool, test)
    assert sum(map(len, found.values())) > 50
    await agree(tmp_path, test, found)
