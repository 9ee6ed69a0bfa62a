"""The Dockerfile and the compose files: what they promise is what they say."""

from __future__ import annotations

import pathlib
import re

import yaml

from tidegate.kit import config

ROOT = pathlib.Path(__file__).parents[2]


def test_compose_settings_are_good_settings() -> None:
    loaded = config.load(ROOT / "deploy/compose/tidegate.yaml", {})
    assert loaded.settings.logs.elasticsearch.urls == ("http://elasticsearch:9200",)


def test_compose_runs_tidegate_without_rights_and_only_for_this_machine() -> None:
    compose = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())
    tidegate = compose["services"]["tidegate"]
    assert tidegate["read_only"] is True
    assert tidegate["cap_drop"] == ["ALL"]
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / "deploy/compose" / source).exists(), source


def test_image_runs_as_nobody_from_locked_dependencies() -> None:
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    final = text.split("FROM ")[-1]
    assert "USER 65532:65532" in final
    assert "--require-hashes" in text
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for part in source.replace("${LOCK}", "requirements.lock requirements-extras.lock").split():
            assert (ROOT / part).exists(), part
