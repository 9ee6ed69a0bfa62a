"""Finding targets: written, in files, behind URLs and names; and what is said about those that cannot be used."""

from __future__ import annotations

import asyncio
import json
import pathlib
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
from aiohttp import web as http_

from tests.gate import fakes
from tidegate.discovery import build, files, manager, web
from tidegate.kit import clock, config, tasks
from tidegate.model import client, labels, scraping, targets

DEFAULTS = scraping.Scrape()


def job(**more: object) -> scraping.Job:
    return scraping.Job.model_validate({"job_name": "shop", **more})


def target(address: str, group: Mapping[str, str], given: scraping.Job) -> targets.Target:
    found = build.Builder(given, DEFAULTS).target({"__address__": address}, group)
    assert isinstance(found, targets.Target)
    return found


@pytest.mark.parametrize(
    ("address", "more", "url"),
    [
        ("shop:8080", {}, "http://shop:8080/metrics"),
        ("shop", {}, "http://shop/metrics"),
        ("shop", {"scheme": "https"}, "https://shop/metrics"),
        ("[::1]:9090", {}, "http://[::1]:9090/metrics"),
        ("a:1", {"metrics_path": "/m", "params": {"x": ["1", "2 3"]}}, "http://a:1/m?x=1&x=2+3"),
        ("a:1", {"params": {"module": "http"}}, "http://a:1/metrics?module=http"),
    ],
)
def test_an_address_becomes_a_target(address: str, more: dict[str, object], url: str) -> None:
    found = target(address, {"team": "a"}, job(**more))
    assert found.url == url
    assert found.labels == labels.make(job="shop", instance=address, team="a")


def test_labels_may_replace_job_and_instance() -> None:
    assert target("a:1", {"job": "x", "instance": "y"}, job()).labels == labels.make(job="x", instance="y")


def test_labels_of_the_target_win_over_those_of_its_group() -> None:
    found = build.Builder(job(), DEFAULTS).target({"__address__": "a:1", "x": "own"}, {"x": "group", "y": "1"})
    assert isinstance(found, targets.Target)
    assert found.labels == labels.make(job="shop", instance="a:1", x="own", y="1")


def test_the_default_timeout_is_never_longer_than_the_interval() -> None:
    found = target("a:1", {}, job(scrape_interval="5s"))
    assert (found.interval, found.timeout) == (5, 5)
    with pytest.raises(ValueError, match="greater than the scrape interval"):
        target("a:1", {}, job(scrape_interval="5s", scrape_timeout="6s"))


def test_relabelling_decides_everything_of_a_target() -> None:
    steps = [
        {"source_labels": ["__meta_port"], "regex": "(.+)", "target_label": "__address__", "replacement": "h:$1"},
        {"target_label": "__scheme__", "replacement": "https"},
        {"target_label": "__metrics_path__", "replacement": "/probe"},
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"target_label": "__scrape_interval__", "replacement": "1m"},
        {"target_label": "__tmp_x", "replacement": "gone"},
        {"regex": "__meta_label_(.+)", "action": "labelmap"},
    ]
    found = target("x", {"__meta_port": "81", "__meta_label_app": "cart"}, job(relabel_configs=steps))
    assert found.url == "https://h:81/probe?target=h%3A81"
    assert found.labels == labels.make(job="shop", instance="h:81", app="cart")
    assert found.interval == 60
    assert labels.get(found.discovered, "__address__") == "x"


def test_dropped_targets_are_counted_and_some_are_kept() -> None:
    given = job(
        relabel_configs=[{"source_labels": ["__address__"], "regex": "a.*", "action": "keep"}], keep_dropped_targets=1
    )
    found, wrong = build.Builder(given, DEFAULTS).found([({"__address__": name}, {}) for name in ("a:1", "b:1", "c:1")])
    assert [one.url for one in found.targets] == ["http://a:1/metrics"]
    assert [labels.get(one.discovered, "__address__") for one in found.dropped] == ["b:1"]
    assert found.dropped_counts == {"shop": 2}
    assert wrong == []


def test_too_many_targets_are_all_refused() -> None:
    found, _ = build.Builder(job(target_limit=1), DEFAULTS).found([({"__address__": name}, {}) for name in ("a", "b")])
    assert [one.refused for one in found.targets] == ["target_limit exceeded (number of targets: 2, limit: 1)"] * 2


def test_a_token_is_not_shown_and_its_file_is_beside_the_settings(tmp_path: pathlib.Path) -> None:
    found = target("a:1", {}, job(bearer_token="hunter2"))
    assert found.client.credentials == client.Secret("hunter2")
    assert "hunter2" not in repr(found)
    builder = build.Builder(job(basic_auth={"username": "u", "password_file": "pw"}), DEFAULTS, tmp_path)
    other = builder.target({"__address__": "a:1"}, {})
    assert isinstance(other, targets.Target)
    assert other.client.password == client.Secret("", str(tmp_path / "pw"))


@pytest.mark.parametrize("address", ["", "http://a:1", "a b", "a:port", "a:99999", "user@a", ":80", "a:"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        target(address, {}, job())


def test_jobs_are_checked_with_their_places(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "scrape:\n  jobs:\n    - job_name: a\n      static_configs:\n"
        "        - targets: [ok:1, 'http://bad']\n"
        "    - job_name: a\n      scrape_timeout: 1m\n      relabel_configs:\n        - action: hashmod\n"
    )
    loaded = config.load(path, {})
    found = manager.check(loaded.settings.scrape, loaded.document)
    assert [(problem.code, problem.line) for problem in found] == [
        ("targets-address", 5),
        ("targets-job-twice", 6),
        ("targets-timeout", 7),
        ("targets-relabel", 9),
    ]


def addresses(found: list[build.Discovered]) -> list[str]:
    return [own["__address__"] for own, _ in found]


def test_files_are_read_again_and_bad_ones_keep_their_last_list(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps([{"targets": ["a:1"], "labels": {"x": "1"}}]))
    (tmp_path / "two.yaml").write_text("- targets: [b:2]\n")
    reader = files.Files(scraping.FileConfig(files=("*.json", "*.yaml")), tmp_path)
    assert reader.read() == [
        ({"__address__": "a:1"}, {"x": "1", "__meta_filepath": str(tmp_path / "one.json")}),
        ({"__address__": "b:2"}, {"__meta_filepath": str(tmp_path / "two.yaml")}),
    ]
    (tmp_path / "one.json").write_text('[{"targets": ["a:1", "c:3"]}]')
    (tmp_path / "two.yaml").write_text("- target: [b:2]\n")
    assert addresses(reader.read()) == ["a:1", "c:3", "b:2"]
    assert {(problem.code, problem.line) for problem in reader.problems} == {("targets-unknown-field", 1)}
    (tmp_path / "two.yaml").unlink()
    assert addresses(reader.read()) == ["a:1", "c:3"]
    assert reader.problems == ()


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, list[Callable[[http_.Request], http_.Response]]]]:
    """A URL, and what answers there."""
    answers: list[Callable[[http_.Request], http_.Response]] = []

    async def answer(request: http_.Request) -> http_.Response:
        return answers[0](request)

    app = http_.Application()
    app.router.add_get("/sd", answer)
    runner = http_.AppRunner(app)
    await runner.setup()
    site = http_.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/sd", answers
    await runner.cleanup()


async def test_a_url_tells_targets_and_whatever_goes_wrong_keeps_them(
    tmp_path: pathlib.Path, served: tuple[str, list[Callable[[http_.Request], http_.Response]]]
) -> None:
    url, answers = served
    (tmp_path / "pw").write_text("hunter2\n")
    entry = scraping.HttpConfig.model_validate({"url": url, "basic_auth": {"username": "u", "password_file": "pw"}})
    reader = web.Web(entry, tmp_path, fakes.Clock())
    seen: list[http_.Request] = []

    def good(request: http_.Request) -> http_.Response:
        seen.append(request)
        return http_.json_response([{"targets": ["a:1"], "labels": {"__meta_x": "1"}}])

    answers[:] = [good]
    expected = [({"__address__": "a:1"}, {"__meta_x": "1", "__meta_url": url})]
    assert await reader.find() == expected
    assert seen[0].headers["authorization"] == "Basic dTpodW50ZXIy"
    assert seen[0].headers["x-prometheus-refresh-interval-seconds"] == "60"
    troubles: list[tuple[Callable[[http_.Request], http_.Response], str]] = [
        (lambda _: http_.Response(status=500), "HTTP 500"),
        (lambda _: http_.Response(text="[]"), "not application/json"),
        (lambda _: http_.json_response({"targets": []}), "no list of targets"),
        (lambda _: http_.Response(text="[", content_type="application/json"), "cannot use"),
    ]
    for trouble, said in troubles:
        answers[:] = [trouble]
        assert await reader.find() == expected
        assert said in reader.problems[0].summary
        assert "hunter2" not in reader.problems[0].summary
    answers[:] = [lambda _: http_.json_response([])]
    assert await reader.find() == []
    assert reader.problems == ()


@pytest.mark.looptime
async def test_changes_are_told_once_each(tmp_path: pathlib.Path) -> None:
    scrape = scraping.Scrape(
        jobs=(job(static_configs=[{"targets": ["s:1"]}], file_sd_configs=[{"files": ["*.json"]}]),)
    )
    seen: list[list[str]] = []
    told = asyncio.Event()

    def changed(found: targets.Found) -> None:
        seen.append([labels.get(one.labels, "instance") for one in found.targets])
        told.set()

    finder = manager.Discovery(scrape, tmp_path, clock.LoopClock())
    running = asyncio.create_task(finder.run(changed))
    await told.wait()
    (tmp_path / "a.json").write_text('[{"targets": ["f:2"]}]')
    told.clear()
    await told.wait()
    await tasks.cancel(running)
    assert seen == [["s:1"], ["s:1", "f:2"]]
