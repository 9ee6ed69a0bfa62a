"""Azure Monitor: rows, the limit of a request, and secrets that are changed."""

from __future__ import annotations

import pathlib
from typing import Any

import orjson
import pytest

from tests.faults import fronts, outrig, peers
from tidegate.kit import telemetry
from tidegate.logs.outputs import azure
from tidegate.logs.ship import output
from tidegate.model import logoutputs


def given(url: str, **more: object) -> dict[str, Any]:
    return {"azure": {**peers.Azure.SETTINGS, "endpoint": url, "authority": url, **more}}


async def test_rows(tmp_path: pathlib.Path) -> None:
    peer = peers.Azure()
    async with fronts.http(peer, peers.trusted(tmp_path / "ca.pem")) as url, outrig.running(tmp_path, given(url)) as it:
        it.write(range(3))
        await it.stored(peer)
    assert peer.wrongs == []
    row = peer.rows[0]
    assert (row["Message"], row["Level"], row["Service"]) == ("seq=app.log-0", "info", "")
    assert row["Document"]["message"] == row["Message"]
    assert row["TimeGenerated"] == row["Document"]["@timestamp"]
    assert len({row["Id"] for row in peer.rows}) == 3


async def test_a_changed_secret_counts_from_the_next_try(tmp_path: pathlib.Path) -> None:
    (tmp_path / "secret").write_text("old\n")
    peer = peers.Azure()
    peer.authorization = "Bearer token-new"
    async with fronts.http(peer, peers.trusted(tmp_path / "ca.pem")) as url:
        more = {"client_secret": None, "client_secret_file": "secret"}
        async with outrig.running(tmp_path, given(url, **more)) as it:
            it.write(range(3))
            await it.until(lambda: "HTTP 401" in it.agent.streams()[-1].error)
            (tmp_path / "secret").write_text("new\n")
            await it.stored(peer)
    assert list(dict.fromkeys(peer.secrets)) == ["old", "new"]
    assert peer.wrongs == []


async def test_nobody_trusts_a_stranger(tmp_path: pathlib.Path) -> None:
    peer = peers.Azure()
    async with fronts.http(peer, peers.trusted(tmp_path / "other.pem")) as url:
        peers.trusted(tmp_path / "ca.pem")
        async with outrig.running(tmp_path, given(url)) as it:
            it.write(range(3))
            await it.until(lambda: "certificate verify failed" in it.agent.streams()[-1].error.lower())
            assert peer.texts == []


async def test_large_documents(tmp_path: pathlib.Path) -> None:
    peer = peers.Azure()
    async with (
        fronts.http(peer, peers.trusted(tmp_path / "ca.pem")) as url,
        outrig.running(tmp_path, {**given(url), "elasticsearch": {"bulk_bytes": 3_000_000}}) as it,
    ):
        sizes = [600_000, 70_000, 300_000, 300_000, 10]
        texts = [f'{{"msg":"seq=big-{n} {"x" * size}"}}\n' for n, size in enumerate(sizes)]
        (tmp_path / "app.log").write_text("".join(texts))
        it.written.update(f"big-{n}" for n in range(1, 5))
        await it.stored(peer)
        await it.until(lambda: it.metric("dead_letters_total") == 1)
        [row] = (it.data / "logs/dead-letters.jsonl").read_bytes().splitlines()
        assert orjson.loads(row)["status"] == 413
        assert it.metric("azure_cut_total") == 3
        assert it.verdict(peer) == outrig.Verdict(0, 0, 0)
    assert peer.wrongs == []


def test_requests_are_full_and_not_too_full(tmp_path: pathlib.Path) -> None:
    bodies = [orjson.dumps({"@timestamp": "2026-01-01T00:00:00Z", "message": "é" * (7 * n)}) for n in range(800)]
    batch = output.Batch(["s"] * 800, [str(n) for n in range(800)], bodies)
    config = logoutputs.AzureMonitor.model_validate({"endpoint": "https://a", "rule": "r", "stream": "s"})
    wire = azure.Wire(config, config.secret(), 1, telemetry.Registry())
    parts = wire.cut(batch, range(800))
    sizes = [len(b"[" + b",".join(azure.rows(batch, part)) + b"]") for part in parts]
    assert [index for part in parts for index in part] == list(range(800))
    assert max(sizes) <= 1_000_000
    assert min(sizes[:-1]) > 950_000


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"endpoint": "https://a"}, "needs `rule` and `stream`"),
        ({"tenant": "t"}, "belong together"),
        ({"endpoint": "http://a"}, "pattern"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        logoutputs.AzureMonitor.model_validate(wrong)
