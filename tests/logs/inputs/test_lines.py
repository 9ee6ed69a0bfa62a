"""Lines over HTTP, from the request to the stored document."""

from __future__ import annotations

import gzip
import json
import pathlib
import zlib

import pytest

from tests.logs.inputs import peers
from tidegate.logs.inputs import lines


async def test_lines_become_documents(tmp_path: pathlib.Path) -> None:
    config = peers.http(dataset="shop", service="cart", labels={"team": "a"})
    async with peers.running(tmp_path, config) as it:
        address = await it.address("http-in")
        body = b'{"msg":"one","level":"warn","ts":"2026-01-02T03:04:05Z","host":{"name":"a"}}\r\nERROR two\n\n'
        status, _, told = await peers.request(address, body)
        assert (status, json.loads(told)) == (200, {"received": 2})
        await it.until(lambda: len(it.documents()) == 2)
        first, second = sorted(it.documents(), key=lambda each: each["log"]["offset"])
        assert first["@timestamp"] == "2026-01-02T03:04:05Z"
        assert (first["message"], first["log"]["level"]) == ("one", "warning")
        assert first["labels"] == {"host_name": "a", "team": "a"}
        assert first["service"] == {"name": "cart"}
        assert first["data_stream"] == {"type": "logs", "dataset": "shop", "namespace": "default"}
        assert first["host"] == {"name": "127.0.0.1"}
        assert first["source"]["address"] == "127.0.0.1"
        assert "file" not in first["log"]
        assert (second["message"], second["log"]["level"]) == ("ERROR two", "error")
        assert second["@timestamp"] == second["event"]["created"]
        assert it.server.wrongs == []


async def test_fields_of_ecs_keep_their_types(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, peers.http()) as it:
        body = b'{"msg":"one","http":{"response":{"status_code":503}},"event.duration":5}'
        assert (await peers.request(await it.address("http-in"), body))[0] == 200
        await it.until(lambda: len(it.documents()) == 1)
        (document,) = it.documents()
        assert document["http"] == {"response": {"status_code": 503}}
        assert document["event"]["duration"] == 5
        assert "labels" not in document


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'[{"a":1},{"b":2}]', [b'{"a":1}', b'{"b":2}']),
        (b' \n["x\\ny"]', [b"x\ny"]),
        (b"[]", []),
        (b"[info] ready\n[info] done", [b"[info] ready", b"[info] done"]),
        (b"a\r\n\r\nb", [b"a", b"b"]),
        (b"", []),
    ],
)
def test_split(body: bytes, expected: list[bytes]) -> None:
    assert lines.split(body) == expected


def test_a_broken_array_is_refused() -> None:
    with pytest.raises(ValueError, match="unexpected"):
        lines.split(b'[{"a":1},')


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compressed(tmp_path: pathlib.Path, coding: str) -> None:
    async with peers.running(tmp_path, peers.http()) as it:
        body, it.written = peers.numbered(range(5000))
        packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
        status, _, _ = await peers.request(await it.address("http-in"), packed, headers={"content-encoding": coding})
        assert status == 200
        await it.stored()
        it.report(coding)


async def test_what_is_refused(tmp_path: pathlib.Path) -> None:
    config = peers.http(token="s3cret", max_body_bytes=2048)
    async with peers.running(tmp_path, config) as it:
        address = await it.address("http-in")
        right = {"authorization": "Bearer s3cret"}
        bomb = gzip.compress(b"0" * 1_000_000)
        cases: list[tuple[int, str, dict[str, object]]] = [
            (401, "token", {"headers": {}}),
            (401, "token", {"headers": {"authorization": "Bearer other"}}),
            (413, "too_large", {"headers": {**right, "content-length": "4096"}}),
            (413, "too_large", {"headers": {**right, "content-encoding": "gzip"}, "body": bomb}),
            (400, "malformed", {"headers": {**right, "content-encoding": "gzip"}, "body": b"no gzip"}),
            (
                400,
                "malformed",
                {"headers": {**right, "content-encoding": "gzip"}, "body": gzip.compress(b"0" * 100)[:-9]},
            ),
            (415, "encoding", {"headers": {**right, "content-encoding": "zstd"}}),
            (400, "malformed", {"headers": right, "body": b'["x"'}),
            (404, "path", {"headers": right, "path": "/other"}),
            (405, "method", {"headers": right, "method": "PUT"}),
        ]
        for status, reason, given in cases:
            before = it.metric("input_refused_total", input="http-in", reason=reason)
            body = given.pop("body", b"x")
            found, _, _ = await peers.request(address, body, **given)  # type: ignore[arg-type]
            assert found == status, (reason, given)
            assert it.metric("input_refused_total", input="http-in", reason=reason) == before + 1
        assert it.metric("input_received_total", input="http-in") == 0
        status, _, _ = await peers.request(address, b"x", headers=right)
        assert status == 200


async def test_a_browser_page_may_not_send_without_a_token(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, peers.http()) as it:
        status, _, _ = await peers.request(
            await it.address("http-in"), b"x", headers={"origin": "https://evil.example"}
        )
        assert status == 403


async def test_a_line_longer_than_a_record_is_cut_and_marked(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, peers.http(), max_line_bytes=4096) as it:
        await peers.request(await it.address("http-in"), b"\x01" * 10_000 + b"\nshort\xff\n")
        await it.until(lambda: len(it.documents()) == 2)
        long, short = sorted(it.documents(), key=lambda each: each["log"]["offset"])
        assert long["log"]["flags"] == ["truncated"]
        assert set(long["message"]) == {"\x01"}
        assert short["message"] == "short\ufffd"
        assert it.metric("input_cut_total", input="http-in") == 1
