"""Relabelling against a real Prometheus: the same jobs, the same targets, dropped ones and refusals."""

from __future__ import annotations

import pathlib
import random
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.services import prometheus
from tidegate.discovery import build
from tidegate.kit import relabel
from tidegate.model import labels, relabelling, scraping

NAMES = ["job", "a", "b", "c", "__meta_x", "__meta_y_z", "__address__", "__tmp_1", "instance", "__scheme__"]
REGEXES = ["(.*)", "(.+)", "a(.*)b", "x|y", "", "[a-c]+", "(?i)XY", "(?P<n>.)(.*)", "__meta_(.+)", "b.*", ".", "x.y"]
MAPS = ["(.*)", "(.+)", "a(.*)", "__meta_(.+)", "(a|b)", ""]
TEMPLATES = ["$1", "${1}_t", "const", "", "$n", "${n}$2", "$$1", "$1$2$3", "x.y", "$0"]
VALUES = ["", "x", "xy", "abb", "XY", "a b", "b;c", "ä", "x.y", "http", "0"]
GROUPS = [
    {"a": "x", "__meta_x": "abb", "__meta_y_z": "xy"},
    {"a": "xy", "b": "b;c", "c": "a b"},
    {"b": "XY", "instance": "given", "__tmp_1": "x"},
    {"a": "ä", "job": "own", "__meta_x": "x.y"},
]


def step(rng: random.Random) -> dict[str, Any]:
    """One that Prometheus accepts, mostly."""
    action = rng.choice(["replace"] * 6 + ["keep", "drop", "keepequal", "dropequal", "hashmod", "labelmap"] * 2
                        + ["labeldrop", "labelkeep", "lowercase", "uppercase"])  # fmt: skip
    sources = rng.sample(NAMES, rng.randint(0, 3))
    found: dict[str, Any] = {"action": rng.choice([action, action.title()])}
    if action in ("labeldrop", "labelkeep"):
        return found | {"regex": rng.choice(["a", "b|c", "__tmp_.*", "x.*", "(job|instance|__.*|a)"])}
    if action in ("keepequal", "dropequal"):
        return found | {"source_labels": sources, "target_label": rng.choice(NAMES)}
    if action in ("lowercase", "uppercase"):
        return found | {"source_labels": sources, "target_label": rng.choice(["a", "b", "new"])}
    if action == "hashmod":
        return found | {"source_labels": sources, "target_label": "shard", "modulus": rng.choice([1, 7, 2**63])}
    if action == "labelmap":
        return found | {"regex": rng.choice(MAPS), "replacement": rng.choice(["$1", "m_$1"])}
    found |= {"source_labels": sources, "regex": rng.choice(REGEXES)}
    if action == "replace":
        found |= {
            "target_label": rng.choice(["a", "b", "new", "n_$1", "x.y", "${n}"]),
            "replacement": rng.choice(TEMPLATES),
        }
    if rng.random() < 0.3:
        found["separator"] = rng.choice(["", "-", ";;"])
    return found


def jobs() -> list[dict[str, Any]]:
    rng = random.Random(11)
    found = []
    for number in range(150):
        groups = [
            {"targets": [f"h{number}:{place}"], "labels": dict(group)} for place, group in enumerate(GROUPS, start=1)
        ]
        steps = [step(rng) for _ in range(rng.randint(1, 5))]
        found.append(
            {"job_name": f"j{number}", "static_configs": groups, "relabel_configs": steps, "scrape_interval": "1h"}
        )
    return found


@pytest.fixture(scope="module")
def judged(prometheus_binary: pathlib.Path) -> Iterator[dict[str, dict[str, Any]]]:
    """What Prometheus makes of the jobs: active labels by discovered address, dropped addresses."""
    assert prometheus_binary
    with prometheus.running(yaml.safe_dump({"scrape_configs": jobs()})) as server:
        found, before = server.get("/api/v1/targets"), -1
        while not before or before != _number(found):
            before = _number(found)
            time.sleep(0.5)
            found = server.get("/api/v1/targets")
        active = {one["discoveredLabels"]["__address__"]: one for one in found["activeTargets"]}
        dropped = {one["discoveredLabels"]["__address__"]: one for one in found["droppedTargets"]}
        yield {"active": active, "dropped": dropped}


def _number(found: dict[str, Any]) -> int:
    return len(found["activeTargets"]) + len(found["droppedTargets"])


def test_targets_are_those_of_prometheus(judged: dict[str, dict[str, Any]]) -> None:
    active = dropped = 0
    for given in jobs():
        builder = build.Builder(scraping.Job.model_validate(given), scraping.Scrape())
        for group in given["static_configs"]:
            address = group["targets"][0]
            found, wrong = builder.found([({"__address__": address}, group["labels"])])
            context = f"{given['relabel_configs']} on {group}"
            if found.targets:
                theirs = judged["active"].get(address)
                assert theirs is not None, context
                assert dict(found.targets[0].labels) == theirs["labels"], context
                assert found.targets[0].url == theirs["scrapeUrl"], context
                active += 1
            elif found.dropped:
                assert address in judged["dropped"], context
                dropped += 1
            else:
                assert wrong
                assert address not in judged["active"], context
    assert active > 100
    assert dropped > 50


BAD: list[dict[str, Any]] = [
    {"action": "hashmod", "target_label": "a"},
    {"action": "replace"},
    {"action": "lowercase", "target_label": "a", "replacement": "x"},
    {"action": "keepequal", "target_label": "a", "regex": "x"},
    {"action": "labeldrop", "regex": "a", "source_labels": ["a"]},
    {"action": "labelkeep", "regex": "a", "target_label": "x"},
    {"action": "dropequal"},
    {"action": "nothing"},
    {"regex": "(", "target_label": "a"},
    {"regex": "a{2000}", "target_label": "a"},
    {"target_label": "a", "modulus": -1},
    {"unknown": 1},
]
GOOD: list[dict[str, Any]] = [
    {"target_label": "a", "replacement": "b"},
    {"target_label": "a-b", "replacement": "b"},
    {"target_label": "$1", "regex": "(.*)"},
    {"action": "KEEP", "source_labels": ["a"], "regex": "x"},
    {"action": "labelmap", "regex": "x_(.*)"},
    {"action": "keep", "source_labels": ["a"], "regex": 5},
    {"action": "hashmod", "target_label": "a", "modulus": 3, "source_labels": ["a", "b"]},
]


@pytest.mark.parametrize("given", [*BAD, *GOOD], ids=str)
def test_steps_are_judged_as_promtool_does(
    tmp_path: pathlib.Path, promtool: pathlib.Path, given: dict[str, Any]
) -> None:
    (tmp_path / "p.yml").write_text(yaml.safe_dump({"scrape_configs": [{"job_name": "a", "relabel_configs": [given]}]}))
    done = subprocess.run(
        [str(promtool), "check", "config", str(tmp_path / "p.yml")], capture_output=True, text=True, check=False
    )
    try:
        wrong = relabel.problem(scraping.RelabelConfig.model_validate(given).step(legacy_names=False))
    except ValueError as error:
        wrong = str(error)
    assert (done.returncode == 0) == (not wrong), done.stdout + done.stderr
    assert (given in GOOD) == (not wrong)


def test_empty_labels_are_taken_out() -> None:
    steps = [
        relabelling.Step(action="replace", target_label="a", replacement=""),
        relabelling.Step(action="labeldrop", regex="b"),
    ]
    given = {"a": "1", "b": "2", "c": "3", "d": ""}
    assert relabel.Relabelling(steps).apply(given)
    assert given == {"c": "3"}
    assert labels.make(given) == labels.make(c="3")
