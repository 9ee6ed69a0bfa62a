"""Finding targets: written, in files, behind names; and what is said about those that cannot be used."""

from __future__ import annotations

import asyncio
import json
import pathlib

import pytest

from tidegate.discovery import dns, files, manager, static
from tidegate.kit import clock, config, tasks
from tidegate.model import labels, settings, targets

DEFAULTS = settings.Scrape()


def job(**more: object) -> settings.Job:
    return settings.Job.model_validate({"job_name": "shop", **more})


@pytest.mark.parametrize(
    ("address", "more", "url", "instance"),
    [
        ("shop:8080", {}, "http://shop:8080/metrics", "shop:8080"),
        ("shop", {}, "http://shop:80/metrics", "shop:80"),
        ("shop", {"scheme": "https"}, "https://shop:443/metrics", "shop:443"),
        ("[::1]:9090", {}, "http://[::1]:9090/metrics", "[::1]:9090"),
        ("[::1]", {}, "http://[::1]:80/metrics", "[::1]:80"),
        ("a:1", {"metrics_path": "/m", "params": {"x": ["1", "2 3"]}}, "http://a:1/m?x=1&x=2+3", "a:1"),
    ],
)
def test_an_address_becomes_a_target(address: str, more: dict[str, object], url: str, instance: str) -> None:
    found = static.target(address, {"team": "a"}, job(**more), DEFAULTS)
    assert found.url == url
    assert found.labels == labels.make(job="shop", instance=instance, team="a")


def test_labels_may_replace_job_and_instance() -> None:
    found = static.target("a:1", {"job": "x", "instance": "y"}, job(), DEFAULTS)
    assert found.labels == labels.make(job="x", instance="y")


def test_the_timeout_is_never_longer_than_the_interval() -> None:
    found = static.target("a:1", {}, job(scrape_interval="5s"), DEFAULTS)
    assert (found.interval, found.timeout) == (5, 5)


def test_a_token_is_sent_and_not_shown() -> None:
    found = static.target("a:1", {}, job(bearer_token="hunter2"), DEFAULTS)
    assert found.headers == (("authorization", "Bearer hunter2"),)
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize("address", ["", "http://a:1", "a b", "a:port", "a:99999", "user@a", ":80"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        static.target(address, {}, job(), DEFAULTS)


def test_written_targets_are_checked_with_their_places(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "scrape:\n  jobs:\n    - job_name: a\n      static_configs:\n"
        "        - targets: [ok:1, 'http://bad']\n    - job_name: a\n"
    )
    loaded = config.load(path, {})
    found = manager.check(loaded.settings.scrape, loaded.document)
    assert [(problem.code, problem.line) for problem in found] == [("targets-address", 5), ("targets-job-twice", 6)]


def urls(found: list[targets.Target]) -> list[str]:
    return [target.url.removeprefix("http://").removesuffix("/metrics") for target in found]


def test_files_are_read_again_and_bad_ones_keep_their_last_list(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps([{"targets": ["a:1"], "labels": {"x": "1"}}]))
    (tmp_path / "two.yaml").write_text("- targets: [b:2]\n")
    reader = files.Files(job(file_sd_configs=[{"files": ["*.json", "*.yaml"]}]), DEFAULTS, tmp_path)
    assert urls(reader.read()) == ["a:1", "b:2"]
    (tmp_path / "one.json").write_text('[{"targets": ["a:1", "c:3"]}]')
    (tmp_path / "two.yaml").write_text("- target: [b:2]\n")
    assert urls(reader.read()) == ["a:1", "c:3", "b:2"]
    said = {(problem.code, problem.line) for problem in reader.problems}
    assert said == {("targets-missing-field", 1), ("targets-unknown-field", 1)}
    (tmp_path / "two.yaml").unlink()
    assert urls(reader.read()) == ["a:1", "c:3"]
    assert reader.problems == ()


async def test_names_become_targets_and_a_lost_resolver_changes_nothing() -> None:
    reader = dns.Names(job(dns_sd_configs=[{"names": ["localhost"], "port": 9320}]), DEFAULTS)
    assert urls(await reader.read()) == ["127.0.0.1:9320"]
    gone = dns.Names(job(dns_sd_configs=[{"names": ["no-such-name.invalid"], "port": 1}]), DEFAULTS)
    assert await gone.read() == []
    assert gone.problems[0].code == "targets-dns"


@pytest.mark.looptime
async def test_changes_are_told_once_each(tmp_path: pathlib.Path) -> None:
    scrape = settings.Scrape(
        jobs=(
            job(
                static_configs=[{"targets": ["s:1"]}],
                file_sd_configs=[{"files": ["*.json"], "refresh_interval": "30s"}],
            ),
        )
    )
    seen: list[list[str]] = []
    told = asyncio.Event()

    def changed(found: tuple[targets.Target, ...]) -> None:
        seen.append(urls(list(found)))
        told.set()

    finder = manager.Discovery(scrape, tmp_path)
    running = asyncio.create_task(finder.run(clock.LoopClock(), changed))
    await told.wait()
    (tmp_path / "a.json").write_text('[{"targets": ["f:2"]}]')
    told.clear()
    await told.wait()
    await tasks.cancel(running)
    assert seen == [["s:1"], ["s:1", "f:2"]]
