"""Google Cloud Logging: entries, tokens of a service account, and what is told of single entries."""

from __future__ import annotations

import pathlib

import orjson
import pytest

from tests.faults import fronts, outrig, peers
from tidegate.logs.outputs import google


def given(url: str, **more: object) -> dict[str, object]:
    return {"google": {"project": "shop-1", "log": "a/b", "credentials_file": "key.json", "endpoint": url, **more}}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    peers.Google.alone(monkeypatch)


async def test_entries_with_a_service_accounts_token(tmp_path: pathlib.Path) -> None:
    peer = peers.Google()
    async with fronts.http(peer) as url:
        (tmp_path / "key.json").write_text(peers.Google.key(url))
        async with outrig.running(tmp_path, given(url)) as it:
            it.write(range(50))
            await it.stored(peer)
            assert it.verdict(peer) == outrig.Verdict(0, 0, 0)
    assert peer.wrongs == []
    assert peer.tokens >= 1
    assert {name[0] for name in peer.entries} == {"projects/shop-1/logs/a%2Fb"}
    assert {one["severity"] for one in peer.entries.values()} == {"INFO"}


async def test_a_key_that_is_missing_is_shown(tmp_path: pathlib.Path) -> None:
    peer = peers.Google()
    async with fronts.http(peer) as url, outrig.running(tmp_path, given(url)) as it:
        it.write(range(5))
        await it.until(lambda: "key.json" in it.agent.streams()[-1].error)
        (tmp_path / "key.json").write_text(peers.Google.key(url))
        await it.stored(peer)


async def test_an_entry_that_is_too_large_alone_is_refused(tmp_path: pathlib.Path) -> None:
    peer = peers.Google()
    async with fronts.http(peer) as url:
        (tmp_path / "key.json").write_text(peers.Google.key(url))
        async with outrig.running(tmp_path, given(url)) as it:
            (tmp_path / "app.log").write_text('{"msg":"' + "x" * 300_000 + '"}\n')
            it.write(range(20))
            await it.stored(peer)
            await it.until(lambda: it.metric("dead_letters_total") == 1)
            [row] = (it.data / "logs/dead-letters.jsonl").read_bytes().splitlines()
            assert orjson.loads(row)["reason"] == "Log entry is too large"
            assert it.verdict(peer) == outrig.Verdict(0, 0, 0)


async def test_rights_that_are_missing_for_an_entry_are_held(tmp_path: pathlib.Path) -> None:
    peer = peers.Google()
    peer.poison, peer.code = "-7", 7
    async with fronts.http(peer) as url:
        (tmp_path / "key.json").write_text(peers.Google.key(url))
        async with outrig.running(tmp_path, given(url)) as it:
            it.write(range(20))
            await it.until(lambda: "an entry was not written" in it.agent.streams()[-1].error)
            assert it.metric("dead_letters_total") == 0
            peer.poison = ""
            await it.stored(peer)
            assert it.verdict(peer) == outrig.Verdict(0, 0, 0)


@pytest.mark.parametrize(("level", "severity"), [("warning", "WARNING"), ("trace", "DEBUG"), ("odd", "DEFAULT")])
def test_an_entry(level: str, severity: str) -> None:
    document = {
        "@timestamp": "2026-01-01T00:00:00Z",
        "log": {"level": level},
        "trace": {"id": "t"},
        "span": {"id": "s"},
    }
    assert google.entry("id-1", document) == {
        "insertId": "id-1",
        "timestamp": "2026-01-01T00:00:00Z",
        "severity": severity,
        "jsonPayload": document,
        "trace": "t",
        "spanId": "s",
    }


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"error":{"details":[7]}}', b'{"error":{"details":[{"@type":"x"}]}}']
)
def test_answers_that_are_not_about_entries(body: bytes) -> None:
    assert google._partial(body) is None
