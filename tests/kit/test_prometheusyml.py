"""A `prometheus.yml` as it is: what is taken, what is said of the rest, and that promtool and we agree on what is one."""

from __future__ import annotations

import concurrent.futures
import pathlib
import random
import subprocess

import pytest
import yaml

from tests.support import prometheusymls
from tidegate.discovery import manager
from tidegate.kit import config
from tidegate.model import problems

WHOLE = """\
global:
  scrape_interval: 30s
  evaluation_interval: 45s
  external_labels: {cluster: a, shard: 1}
  sample_limit: 100
  body_size_limit: 2MB
  scrape_protocols: [PrometheusText0.0.4]
alerting:
  alertmanagers: [{static_configs: [{targets: ['am:9093']}]}]
rule_files: ['rules/*.yaml']
scrape_config_files: ['more/*.yml']
scrape_configs:
  - job_name: node
    static_configs: [{targets: ['n:9100'], labels: {team: x}}]
    relabel_configs: [{source_labels: [__address__], target_label: host}]
  - job_name: slow
    scrape_interval: 2m
    scrape_timeout: 1m
    static_configs: [{targets: ['s:1']}]
remote_write: [{url: 'http://there/write'}]
storage: {tsdb: {out_of_order_time_window: 30m}}
"""


def load(folder: pathlib.Path, text: str) -> config.Loaded:
    (folder / "prometheus.yml").write_text(text)
    return config.load(folder / "prometheus.yml", {})


def test_it_is_taken_as_it_is(tmp_path: pathlib.Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/extra.yml").write_text("scrape_configs: [{job_name: extra}]")
    loaded = load(tmp_path, WHOLE)
    given = loaded.settings
    assert [job.job_name for job in given.scrape.jobs] == ["node", "slow", "extra"]
    assert (given.scrape.interval, given.scrape.timeout) == (30, 10)
    assert given.scrape.jobs[1].scrape_interval == 120
    assert (given.scrape.sample_limit, given.scrape.body_size_limit) == (100, 2 * 1024 * 1024)
    assert given.scrape.jobs[0].scrape_protocols == ("PrometheusText0.0.4",)
    assert given.rules.files == ("rules/*.yaml",)
    assert given.rules.evaluation_interval == 45
    assert given.rules.external_labels == {"cluster": "a", "shard": "1"}
    said = {(one.summary, one.line, one.severity) for one in loaded.notices}
    assert {("`alerting` is not used", 8, "warning"), ("`storage` is not used", 21, "warning")} <= said


def test_prometheus_own_defaults_hold(tmp_path: pathlib.Path) -> None:
    given = load(tmp_path, "scrape_configs: [{job_name: a}]").settings
    assert (given.scrape.interval, given.scrape.timeout, given.rules.evaluation_interval) == (60, 10, 60)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("global: {scrape_intervall: 1s}", 1, "unknown field `scrape_intervall`"),
        ("scrape_configs:\n  - job_name: a\n    metrics_pth: /m", 3, "unknown field `metrics_pth`"),
        ("scrape_configs:\n  - job_name: a\n    scrape_interval: 10x", 3, "not a duration"),
        ("scrape_configs:\n  - {}", 2, "job_name"),
        ("scrape_configs:\n  - job_name: a\n    consul_sd_configs: []", 2, "consul_sd_configs"),
    ],
)
def test_problems_point_at_the_file(tmp_path: pathlib.Path, text: str, line: int, said: str) -> None:
    with pytest.raises(problems.ConfigError) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert (problem.line, said in problem.summary) == (line, True), problem.render()
    assert problem.file.endswith("prometheus.yml")


def test_problems_of_further_files_point_at_those(tmp_path: pathlib.Path) -> None:
    (tmp_path / "more.yml").write_text("scrape_configs:\n  - job_name: a\n    schem: http\n")
    with pytest.raises(problems.ConfigError) as caught:
        load(tmp_path, "scrape_config_files: ['*ore.yml']")
    (problem,) = caught.value.problems
    assert problem.file.endswith("more.yml")
    assert problem.line == 3


def test_our_settings_can_take_jobs_of_a_prometheus_yml(tmp_path: pathlib.Path) -> None:
    (tmp_path / "prometheus.yml").write_text(WHOLE.replace("scrape_config_files: ['more/*.yml']\n", ""))
    (tmp_path / "t.yaml").write_text("scrape: {config_files: [prometheus.yml], jobs: [{job_name: ours}]}")
    given = config.load(tmp_path / "t.yaml", {}).settings
    assert [(job.job_name, job.scrape_interval) for job in given.scrape.jobs] == [
        ("ours", None), ("node", 30), ("slow", 120)
    ]  # fmt: skip


JUDGED = [
    "scrape_configs: [{job_name: a}, {job_name: a}]",
    "scrape_configs: [{job_name: a, scrape_interval: 5s, scrape_timeout: 6s}]",
    "scrape_configs: [{job_name: a, static_configs: [{targets: ['http://a']}]}]",
    "scrape_configs: [{job_name: a, static_configs: [{targets: ['a']}]}]",
    "scrape_configs: [{job_name: a, static_configs: [{targets: ['a'], labels: {x: y, z: '1'}}]}]",
    "scrape_configs: [{job_name: a, basic_auth: {username: a, password: b}, tls_config: {insecure_skip_verify: true}}]",
    "scrape_configs: [{job_name: a, basic_auth: {username: a}, bearer_token: b}]",
    "scrape_configs: [{job_name: a, authorization: {type: basic, credentials: b}}]",
    "scrape_configs: [{job_name: a, oauth2: {client_id: a, client_secret: b, token_url: 'http://c', scopes: [d]}}]",
    "scrape_configs: [{job_name: a, oauth2: {client_id: a}}]",
    "scrape_configs: [{job_name: a, params: {module: [x, y]}, honor_labels: true, honor_timestamps: false}]",
    "scrape_configs: [{job_name: a, scrape_protocols: [OpenMetricsText1.0.0], fallback_scrape_protocol: PrometheusText0.0.4}]",
    "scrape_configs: [{job_name: a, scrape_protocols: [Smoke]}]",
    "scrape_configs: [{job_name: a, body_size_limit: 10MB, sample_limit: 5, label_limit: 3, target_limit: 2}]",
    "scrape_configs: [{job_name: a, http_sd_configs: [{url: 'http://x/sd', refresh_interval: 30s}]}]",
    "scrape_configs: [{job_name: a, http_sd_configs: [{url: 'x'}]}]",
    "scrape_configs: [{job_name: a, file_sd_configs: [{files: ['a/*.json']}]}]",
    "scrape_configs: [{job_name: a, proxy_url: 'http://p', no_proxy: 'x,y'}]",
    "scrape_configs: [{job_name: a, no_proxy: 'x,y'}]",
    "scrape_configs: [{job_name: a, http_headers: {X-A: {values: [b]}}}]",
    "scrape_configs: [{job_name: a, metric_name_validation_scheme: legacy, metric_name_escaping_scheme: allow-utf-8}]",
    "scrape_configs: [{job_name: a, metric_name_validation_scheme: legacy}]",
    "scrape_configs: [{job_name: a, track_timestamps_staleness: true, enable_compression: false, enable_http2: false}]",
    "global: {scrape_interval: 5s, scrape_timeout: 4s, keep_dropped_targets: 3}",
    "global: {evaluation_interval: never}",
    "global: {metric_name_escaping_scheme: dots}\nscrape_configs: [{job_name: a, metric_name_validation_scheme: legacy}]",
    "global: {metric_name_validation_scheme: legacy}\nscrape_configs: [{job_name: a, metric_name_escaping_scheme: dots}]",
    "global: {metric_name_validation_scheme: legacy}\nscrape_configs: [{job_name: a}]",
    "rule_files: [none/*.yml]",
    "rule_files: [a*/b.yml]",
    "scrape_config_files: [a*/b.yml]",
    "scrape_configs: {}",
    "scrape_configs: [{job_name: 007, static_configs: [{targets: [9090], labels: {a: 1.10}}]}]",
    "scrape_configs: [{job_name: a, body_size_limit: 1MB500KB}]",
    "scrape_configs: [{job_name: a, scrape_protocols: []}]",
    "scrape_configs: [{job_name: a, http_headers: {Host: {values: [b]}}}]",
    "scrape_configs: [{job_name: a, scrape_interval: 1m1h}]",
    "scrape_configs: [{job_name: a, dns_sd_configs: [{names: [b]}]}]",
    "scrape_configs: [{job_name: a, dns_sd_configs: [{names: [b], type: A}]}]",
    "{}",
]


@pytest.mark.parametrize("text", JUDGED)
def test_promtool_and_we_agree(tmp_path: pathlib.Path, promtool: pathlib.Path, text: str) -> None:
    path = tmp_path / "prometheus.yml"
    path.write_text(text)
    done = subprocess.run([str(promtool), "check", "config", str(path)], capture_output=True, text=True, check=False)
    wrong = judged(path)
    assert (done.returncode == 0) == (not wrong), f"{done.stdout}{done.stderr}\n{wrong}"


def judged(path: pathlib.Path) -> list[problems.Problem]:
    """What we have against a file."""
    try:
        loaded = config.load(path, {})
        return manager.check(loaded.settings.scrape, loaded.document)
    except problems.ConfigError as error:
        return list(error.problems)


def test_promtool_and_we_agree_on_random_files(tmp_path: pathlib.Path, promtool: pathlib.Path) -> None:
    """300 files; about half are good ones. The files that they name are there, or promtool looks no further."""
    paths = []
    for seed in range(300):
        path = tmp_path / str(seed) / "prometheus.yml"
        path.parent.mkdir()
        path.write_text(yaml.safe_dump(prometheusymls.WHOLE(random.Random(seed)), sort_keys=False))
        for name in ("t", "f", "g", "c.pem", "k.pem", "ca.pem"):
            (path.parent / name).touch()
        paths.append(path)

    def accepted(path: pathlib.Path) -> tuple[bool, str]:
        done = subprocess.run(
            [str(promtool), "check", "config", str(path)], capture_output=True, text=True, check=False
        )
        return done.returncode == 0, done.stdout + done.stderr

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        theirs = list(pool.map(accepted, paths))
    assert 50 < sum(good for good, _ in theirs) < 250
    for path, (good, said) in zip(paths, theirs, strict=True):
        wrong = judged(path)
        assert good == (not wrong), f"{path.read_text()}\n{said}\n{wrong}"
