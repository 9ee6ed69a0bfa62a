"""From settings to outputs: which are on, and what is said when a client library is missing."""

from __future__ import annotations

import importlib.util
import pathlib

import pytest

from tidegate.kit import clock, telemetry
from tidegate.logs.outputs import build
from tidegate.model import problems, settings

EACH = {
    "logstash": {"url": "http://logstash:8080"},
    "otlp": {"url": "http://collector:4318/v1/logs"},
    "cloudwatch": {"group": "shop"},
    "google": {"project": "shop-1"},
    "azure": {"endpoint": "https://shop.ingest.monitor.azure.com", "rule": "dcr-1", "stream": "Custom-Logs"},
    "file": {"path": "lines.json"},
}
EXTRAS = {"cloudwatch": "aws", "google": "google", "azure": "azure"}


def made(folder: pathlib.Path, given: dict[str, object]) -> list[str]:
    config = settings.Logs.model_validate(given)
    found = [each.name for each in build.outputs(config, folder, clock.SystemClock(), telemetry.Registry())]
    assert found == list(build.names(config))
    return found


def test_none_by_itself(tmp_path: pathlib.Path) -> None:
    assert made(tmp_path, {}) == []


@pytest.mark.parametrize("name", EACH)
def test_one(tmp_path: pathlib.Path, name: str) -> None:
    assert made(tmp_path, {name: EACH[name]}) == [name]


def test_all_at_once(tmp_path: pathlib.Path) -> None:
    assert sorted(made(tmp_path, dict(EACH))) == sorted(EACH)


@pytest.mark.parametrize(("name", "extra"), EXTRAS.items())
def test_a_library_that_is_missing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, extra: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(problems.ConfigError) as caught:
        made(tmp_path, {name: EACH[name]})
    [problem] = caught.value.problems
    assert problem.code == "logs-extra-missing"
    assert problem.hint == f"pip install 'tidegate[{extra}]'"
