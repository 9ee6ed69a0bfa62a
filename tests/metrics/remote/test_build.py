"""The `remote_write` settings: what is taken, and what is refused at which place."""

from __future__ import annotations

import pathlib

import pytest

from tidegate.kit import config
from tidegate.metrics.remote import build, post, writer
from tidegate.model import problems


def built(folder: pathlib.Path, text: str) -> tuple[writer.Receiver, ...]:
    (folder / "t.yaml").write_text(text)
    loaded = config.load(folder / "t.yaml", {})
    return build.receivers(loaded.settings, loaded.document, loaded.folder)


def refused(folder: pathlib.Path, text: str) -> list[tuple[str, str, int]]:
    with pytest.raises(problems.ConfigError) as caught:
        built(folder, text)
    return [(one.code, one.summary, one.line) for one in caught.value.problems]


WHOLE = """\
rules: {external_labels: {cluster: a}}
remote_write:
  - url: https://there/api/v1/push
    name: there
    remote_timeout: 7s
    protobuf_message: io.prometheus.write.v2.Request
    headers: {X-Scope-OrgID: team}
    basic_auth: {username: u, password_file: secret}
    tls_config: {insecure_skip_verify: true}
    proxy_url: http://proxy:1
    send_exemplars: false
    write_relabel_configs: [{source_labels: [__name__], regex: 'go_.*', action: drop}]
    queue_config:
      capacity: 5
      max_shards: 4
      min_shards: 2
      max_samples_per_send: 3
      batch_send_deadline: 1s
      min_backoff: 1s
      max_backoff: 2s
      retry_on_http_429: false
      sample_age_limit: 1h
    metadata_config: {send_interval: 2m, max_samples_per_send: 9}
"""


def test_an_entry_as_prometheus_has_it(tmp_path: pathlib.Path) -> None:
    (found,) = built(tmp_path, WHOLE)
    target, pace = found.target, found.pace
    assert (target.name, target.url, target.message) == ("there", "https://there/api/v1/push", post.V2)
    assert (target.timeout, target.headers, target.retry_on_429) == (7.0, (("X-Scope-OrgID", "team"),), False)
    assert target.client.password.file == str(tmp_path / "secret")
    assert (pace.capacity, pace.max_shards, pace.min_shards, pace.max_samples_per_send) == (5, 4, 2, 3)
    assert (pace.batch_send_deadline, pace.min_backoff, pace.max_backoff, pace.sample_age_limit) == (1, 1, 2, 3600)
    assert found.external == (("cluster", "a"),)
    assert [step.action for step in found.relabel] == ["drop"]
    assert (found.metadata_interval, found.metadata_batch) == (120.0, 9)


def test_an_equal_entry_is_an_equal_receiver(tmp_path: pathlib.Path) -> None:
    assert built(tmp_path, WHOLE) == built(tmp_path, WHOLE)
    assert built(tmp_path, WHOLE) != built(tmp_path, WHOLE.replace("cluster: a", "cluster: b"))


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("sigv4: {region: x}", "settings-wrong-value", "sigv4 is not supported"),
        ("azuread: {}", "settings-wrong-value", "azuread is not supported"),
        ("google_iam: {}", "settings-wrong-value", "google_iam is not supported"),
        ("send_exemplars: true", "settings-wrong-value", "exemplars are not sent on"),
        ("send_native_histograms: true", "settings-wrong-value", "native histograms are not kept"),
        ("round_robin_dns: true", "settings-wrong-value", "addresses are not chosen here"),
        ("headers: {Content-Type: x}", "settings-wrong-value", "Content-Type is set by us"),
        ("queue_config: {min_shards: 9, max_shards: 3}", "settings-wrong-value", "max_shards is smaller"),
        ("queue_config: {min_backoff: 9s}", "settings-wrong-value", "max_backoff is smaller"),
        ("protobuf_message: x", "settings-wrong-value", "io.prometheus.write.v2.Request"),
        ("write_relabel_configs: [{action: hashmod}]", "remote-write-relabel", "modulus"),
        ("sigv3: {}", "settings-unknown-field", "sigv3"),
    ],
)
def test_what_cannot_be_done_is_refused_at_its_place(tmp_path: pathlib.Path, line: str, code: str, words: str) -> None:
    ((found, summary, number),) = refused(tmp_path, f"remote_write:\n  - url: http://a/b\n    {line}\n")
    assert (found, number) == (code, 3)
    assert words in summary


def test_two_entries_need_two_names(tmp_path: pathlib.Path) -> None:
    same = "remote_write:\n  - url: http://a/b\n  - url: http://a/b\n"
    assert refused(tmp_path, same) == [("remote-write-twice", "the URL stands twice", 3)]
    named = "remote_write:\n  - {url: http://a/b, name: x}\n  - {url: http://c/d, name: x}\n"
    assert refused(tmp_path, named) == [("remote-write-twice", "the name 'x' stands twice", 3)]
    assert len(built(tmp_path, named.replace("c/d, name: x", "c/d, name: y"))) == 2
