"""Jobs with `probe`: what is probed, with which module, and what is wrong."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from tidegate.discovery import build, manager
from tidegate.kit import config
from tidegate.model import probing, problems, scraping, targets

PROBES = probing.Probes.model_validate({"modules": {"own": {"prober": "tcp"}, "later": {"prober": "grpc"}}})


def target(address: str, **fields: Any) -> targets.Target:
    job = scraping.Job.model_validate({"job_name": "p", "probe": "http_2xx", **fields})
    found = build.Builder(job, scraping.Scrape(), pathlib.Path("/etc"), PROBES).target({"__address__": address}, {})
    assert isinstance(found, targets.Target)
    return found


def test_the_address_is_what_is_probed() -> None:
    found = target("https://shop.example/health?x=1&y=a b".replace(" ", "+"))
    assert found.probe is not None
    assert (found.probe.address, found.probe.module) == ("https://shop.example/health?x=1&y=a+b", "http_2xx")
    assert dict(found.labels) == {"instance": "https://shop.example/health?x=1&y=a+b", "job": "p"}
    assert found.url == "probe:http_2xx?target=https://shop.example/health%3Fx%3D1%26y%3Da%2Bb"


def test_relabelling_for_the_exporter_counts() -> None:
    steps = [
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"source_labels": ["__param_target"], "target_label": "instance"},
        {"target_label": "__param_module", "replacement": "own"},
        {"target_label": "__param_hostname", "replacement": "shop.example"},
        {"target_label": "__address__", "replacement": "blackbox:9115"},
    ]
    found = target("10.0.0.1:443", relabel_configs=steps, metrics_path="/probe", params={"module": ["http_2xx"]})
    assert found.probe is not None
    assert (found.probe.address, found.probe.module, found.probe.hostname) == ("10.0.0.1:443", "own", "shop.example")
    assert dict(found.labels)["instance"] == "10.0.0.1:443"


@pytest.mark.parametrize(
    ("module", "address", "why"),
    [
        ("none", "a:1", "there is no module 'none'"),
        ("later", "a:1", "the prober `grpc` is not supported"),
        ("own", "a b", "nothing to probe"),
    ],
)
def test_targets_that_cannot_be_probed(module: str, address: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        target(address, relabel_configs=[{"target_label": "__param_module", "replacement": module}])


def test_equal_targets_stay_through_a_reload() -> None:
    assert target("a:1") == target("a:1")
    assert hash(target("a:1")) == hash(target("a:1"))
    job = scraping.Job.model_validate({"job_name": "p", "probe": "own"})
    other = probing.Probes.model_validate({"modules": {"own": {"prober": "tcp", "timeout": "1s"}}})
    before, after = (
        build.Builder(job, scraping.Scrape(), probes=one).target({"__address__": "a:1"}, {}) for one in (PROBES, other)
    )
    assert before != after


@pytest.mark.parametrize(
    ("job", "code", "place"),
    [
        ("{job_name: p, probe: http_2x}", "probe-no-module", (3, 28)),
        ("{job_name: p, probe: later}", "probe-unsupported", (3, 28)),
        ("{job_name: p, probe: own, tls_config: {insecure_skip_verify: true}}", "settings-wrong-value", (3, 7)),
        ("{job_name: p, probe: own, params: {x: [y]}}", "settings-wrong-value", (3, 7)),
    ],
)
def test_problems_have_a_place(tmp_path: pathlib.Path, job: str, code: str, place: tuple[int, int]) -> None:
    (tmp_path / "t.yaml").write_text(
        f"scrape:\n  jobs:\n    - {job}\nprobes: {{modules: {{own: {{prober: tcp}}, later: {{prober: grpc}}}}}}\n"
    )
    try:
        loaded = config.load(tmp_path / "t.yaml", {})
        found = manager.check(loaded.settings.scrape, loaded.document, loaded.settings.probes)
    except problems.ConfigError as error:
        found = list(error.problems)
    assert [(one.code, (one.line, one.column)) for one in found] == [(code, place)]
