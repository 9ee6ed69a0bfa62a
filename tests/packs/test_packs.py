"""The shipped rule packs: plain Prometheus files, tested alert by alert, each alert with its runbook paragraph."""

from __future__ import annotations

import collections
import functools
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.services import cache, prometheus
from tidegate import packs
from tidegate.cli import ruletests
from tidegate.logs import kql
from tidegate.rules import unittest

ROOT = pathlib.Path(__file__).parents[2]
SEVERITIES = {"critical", "warning", "info"}

pack = pytest.mark.parametrize("pack", packs.NAMES)


@functools.cache
def read(path: pathlib.Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def rules(pack: str) -> Iterator[dict[str, Any]]:
    for group in read(packs.rules(pack))["groups"]:
        yield from group["rules"]


def alerts(pack: str) -> list[dict[str, Any]]:
    return [rule for rule in rules(pack) if "alert" in rule]


def unit_tests(pack: str) -> pathlib.Path:
    return ROOT / f"rules/tests/{pack}_test.yaml"


def promtool(*arguments: str | pathlib.Path) -> str:
    try:
        program = prometheus.promtool()
    except cache.UnavailableError as error:
        pytest.skip(str(error))
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pack
def test_prometheus_takes_it(pack: str) -> None:
    assert "SUCCESS" in promtool("check", "rules", packs.rules(pack))


@pytest.mark.timeout(180)
@pack
def test_its_tests_hold_in_prometheus(pack: str) -> None:
    promtool("test", "rules", unit_tests(pack))


@pytest.mark.timeout(180)
@pack
async def test_its_tests_hold_here(pack: str) -> None:
    cases = await unittest.run([unit_tests(pack)], ruletests.world, kql.check)
    assert cases
    assert [(case.name, case.difference) for case in cases if not case.passed] == []


@pack
def test_every_alert_is_tested_firing_and_quiet(pack: str) -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for test in read(unit_tests(pack))["tests"]:
        for case in test.get("alert_rule_test", ()):
            expected = case.get("exp_alerts") or []
            (fires if expected else quiet).add(case["alertname"])
            assert all(one.get("exp_labels") and one.get("exp_annotations") for one in expected), test["name"]
            # An alert without either would shut the gates of all services.
            assert all({"job", "service"} & set(one["exp_labels"]) for one in expected), test["name"]
    names = {rule["alert"] for rule in alerts(pack)}
    assert (names - fires, names - quiet) == (set(), set())
    assert fires | quiet <= names


async def test_without_any_data_nothing_fires(tmp_path: pathlib.Path) -> None:
    """A pack may be switched on before its exporters are there."""
    names = [rule["alert"] for pack in packs.NAMES for rule in alerts(pack)]
    cases = [{"eval_time": "20m", "alertname": name, "exp_alerts": []} for name in names]
    path = tmp_path / "nothing_test.yaml"
    files = [str(packs.rules(pack)) for pack in packs.NAMES]
    path.write_text(yaml.safe_dump({"rule_files": files, "tests": [{"interval": "1m", "alert_rule_test": cases}]}))
    found = await unittest.run([path], ruletests.world, kql.check)
    assert len(found) == len(names)
    assert [(case.name, case.difference) for case in found if not case.passed] == []


@pack
def test_every_alert_says_what_it_is(pack: str) -> None:
    for rule in alerts(pack):
        name, notes = rule["alert"], rule["annotations"]
        assert rule["labels"]["severity"] in SEVERITIES, name
        assert set(notes) >= {"summary", "description", "runbook_url"}, name
        assert notes["runbook_url"] == f"{{{{ $externalURL }}}}/runbooks/{pack}#{name.lower()}"
        assert "{{ $labels." in notes["summary"] + notes["description"], f"{name}: tells nobody where"


@pack
def test_every_alert_has_its_runbook_paragraph(pack: str) -> None:
    parts = re.split(r"^## ", packs.runbook(pack).read_text("utf-8"), flags=re.MULTILINE)[1:]
    sections = {part.splitlines()[0].strip(): part.partition("\n")[2].strip() for part in parts}
    assert sorted(sections) == sorted(rule["alert"] for rule in alerts(pack))
    thin = [name for name, text in sections.items() if len(text) < 150]
    assert thin == []


@pack
def test_links_within_its_runbook_lead_somewhere(pack: str) -> None:
    text = packs.runbook(pack).read_text("utf-8")
    anchors = {name.lower() for name in re.findall(r"^## (\w+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= anchors


def test_no_two_packs_share_a_name() -> None:
    for kind in ("alert", "record"):
        seen = collections.Counter(
            name for pack in packs.NAMES for name in {rule[kind] for rule in rules(pack) if kind in rule}
        )
        assert [name for name, times in seen.items() if times > 1] == []
    groups = collections.Counter(group["name"] for pack in packs.NAMES for group in read(packs.rules(pack))["groups"])
    assert [name for name, times in groups.items() if times > 1] == []


@pack
def test_what_it_needs_is_documented(pack: str) -> None:
    page = (ROOT / "docs/packs.md").read_text("utf-8")
    assert f"## {pack}\n" in page
    assert f"(runbooks/{pack}.md)" in page
    section = page.split(f"## {pack}\n")[1].split("\n## ")[0]
    missing = [rule["record"] for rule in rules(pack) if "record" in rule and f"`{rule['record']}`" not in section]
    assert missing == []


def test_a_wheel_carries_every_pack_and_its_runbook() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {
        "docs/runbooks": "tidegate/shipped/runbooks",
        **{f"rules/{name}.yaml": f"tidegate/shipped/{name}.yaml" for name in packs.NAMES},
    }
    assert {path.stem for path in (ROOT / "rules").glob("*.yaml")} == {*packs.NAMES, "shop"}


def test_a_name_that_is_no_pack_has_no_file() -> None:
    with pytest.raises(KeyError):
        packs.rules("../../etc/passwd")


def test_an_installed_wheel_finds_them_without_the_source_tree(tmp_path: pathlib.Path) -> None:
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "from tidegate import packs; print(*(f(n) for n in packs.NAMES for f in (packs.rules, packs.runbook)), sep='\\n')"
    environ = {"PYTHONPATH": str(tmp_path / "site"), "PATH": os.environ["PATH"]}
    shown = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    found = [pathlib.Path(line) for line in shown.stdout.split()]
    assert len(found) == 2 * len(packs.NAMES)
    assert all(path.is_relative_to(tmp_path / "site") and path.is_file() for path in found)


@pytest.mark.parametrize("pack", ["elasticsearch", "tidegate"])
def test_metrics_of_ours_exist(pack: str) -> None:
    pages = [path for path in (ROOT / "docs").glob("*.md") if path.name != "packs.md"]
    known = set(re.findall(r"`(tidegate_\w+)", "\n".join(path.read_text("utf-8") for path in pages)))
    used = {name for rule in rules(pack) for name in re.findall(r"\btidegate_\w+", rule["expr"])}
    assert used
    assert used - known == set()
