"""Elasticsearch's `_bulk` as an input: its own client and rsyslog send here, and every answer is in its form."""

from __future__ import annotations

import asyncio
import base64
import json
import pathlib
import subprocess
from typing import Any

import elasticsearch
import hypothesis
import orjson
import pytest
from elasticsearch import helpers
from hypothesis import strategies as st

from tests import conftest
from tests.faults import fake
from tests.logs.inputs import peers, test_syslog
from tidegate.logs.inputs import bulk

MODULE = pathlib.Path("/usr/lib/x86_64-linux-gnu/rsyslog/omelasticsearch.so")
DOCUMENT: dict[str, Any] = {
    "@timestamp": "2026-01-02T03:04:05.678Z",
    "message": "seq=a-1",
    "log": {"level": "warn", "file": {"path": "/var/log/app.log"}, "offset": 5},
    "host": {"name": "web-1", "ip": ["10.0.0.1"]},
    "kubernetes": {"namespace": "shop", "pod": {"name": "cart-1"}, "labels": {"app": "cart"}},
    "http": {"response": {"status_code": 503}},
    "service.name": "cart",
    "team": "a",
}


def listener(**more: Any) -> dict[str, Any]:
    return {"elasticsearch": {"in": {"listen": "127.0.0.1:0", **more}}}


def body(*lines: Any) -> bytes:
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)


async def send(address: tuple[str, int], raw: bytes, path: str = "/_bulk", **headers: str) -> tuple[int, Any]:
    status, _, told = await peers.request(address, raw, path=path, headers=headers)
    return status, json.loads(told)


async def test_elasticsearch_s_own_client(tmp_path: pathlib.Path) -> None:
    """It checks the product, sends in chunks, gzipped, and reads each item's answer."""
    async with peers.running(tmp_path, listener(dataset="shop", token="s3cret")) as it:
        host, port = await it.address("elasticsearch-in")
        client = elasticsearch.AsyncElasticsearch(
            f"http://{host}:{port}", basic_auth=("shipper", "s3cret"), http_compress=True
        )
        try:
            assert (await client.info())["version"]["number"] == bulk.VERSION
            it.written = {f"m-{number}" for number in range(1200)}
            actions = [
                {"_op_type": "create", "_index": "logs-any-thing", "message": f"seq={name}"} for name in it.written
            ]
            assert await helpers.async_bulk(client, actions, chunk_size=500) == (1200, [])
            await it.stored()
            assert it.verdict().doubled_stored == 0
            assert {each["data_stream"]["dataset"] for each in it.documents()} == {"shop"}
            other = client.options(basic_auth=("shipper", "wrong"))
            with pytest.raises(elasticsearch.AuthenticationException):
                await other.bulk(body=[{"create": {}}, {"message": "x"}])
        finally:
            await client.close()
        assert it.metric("input_refused_total", input="elasticsearch-in", reason="token") == 1


async def test_what_a_document_says_is_kept(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, listener()) as it:
        address = await it.address("elasticsearch-in")
        status, told = await send(address, body({"create": {"_id": "x1"}}, DOCUMENT), "/logs-a-b/_bulk")
        assert (status, told["errors"]) == (200, False)
        assert told["items"][0]["create"] == {
            "_index": "logs-generic-default",
            "_id": "x1",
            "status": 201,
            "result": "created",
        }
        it.written = {"a-1"}
        await it.stored()
        (document,) = it.documents()
        assert document["@timestamp"] == DOCUMENT["@timestamp"]
        assert document["log"]["level"] == "warning"
        assert document["log"]["file"] == {"path": "/var/log/app.log"}
        assert document["host"] == {"name": "web-1"}
        assert document["kubernetes"] == {"namespace": "shop", "pod": {"name": "cart-1"}}
        assert document["http"] == {"response": {"status_code": 503}}
        assert document["service"] == {"name": "cart"}
        assert document["labels"] == {
            "team": "a",
            "kubernetes_labels_app": "cart",
            "log_offset": "5",
            "host_ip": '["10.0.0.1"]',
        }
        assert document["source"]["address"] == "127.0.0.1"
        assert it.server.wrongs == []


async def test_each_item_has_its_answer(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, listener(), max_line_bytes=4096) as it:
        address = await it.address("elasticsearch-in")
        raw = body(
            *({"index": {"_index": "a"}}, {"message": "seq=a-1"}),
            *({"create": {}}, ["no object"]),
            {"delete": {"_id": "1"}},
            *({"update": {"_id": "1"}}, {"doc": {}}),
            *({"create": {}}, {"message": "x" * 10_000}),
        )
        status, told = await send(address, raw + b'{"create":{}}\n{"torn\n\n' + body({"create": {}}, {"m": "seq=a-2"}))
        assert (status, told["errors"]) == (200, True)
        assert [(action, told["status"]) for each in told["items"] for action, told in each.items()] == [
            ("index", 201),
            ("create", 400),
            ("delete", 400),
            ("update", 400),
            ("create", 400),
            ("create", 400),
            ("create", 201),
        ]
        assert told["items"][4]["create"]["error"]["reason"] == "it is larger than 4096 bytes"
        it.written = {"a-1", "a-2"}
        await it.stored()
        assert it.verdict().strangers == 0
        assert it.metric("input_refused_total", input="elasticsearch-in", reason="malformed") == 4
        assert it.metric("input_refused_total", input="elasticsearch-in", reason="record_too_large") == 1
        assert it.metric("input_received_total", input="elasticsearch-in") == 2


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"create":{}}\n{"message":"x"}', "terminated by a newline"),
        (b'{"create":{}}\n', "has no document"),
        (b'{"message":"x"}\n', "malformed action"),
        (b"[]\n", "malformed action"),
        (b"GARBAGE\n", "malformed action"),
    ],
)
async def test_nothing_is_taken_of_what_is_no_bulk_body(tmp_path: pathlib.Path, raw: bytes, says: str) -> None:
    async with peers.running(tmp_path, listener()) as it:
        status, told = await send(await it.address("elasticsearch-in"), raw)
        assert status == told["status"] == 400
        assert says in told["error"]["reason"]
        assert it.metric("input_received_total", input="elasticsearch-in") == 0
        assert it.metric("input_refused_total", input="elasticsearch-in", reason="malformed") == 1


async def test_a_full_spool_is_said_in_a_form_that_is_tried_again(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, listener(spool={"max_bytes": 65_536})) as it:
        down = [True]
        it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to") if down[0] else None)
        address = await it.address("elasticsearch-in")
        status, turn = 200, 0
        while status == 200:
            names = [f"f-{turn}-{number}" for number in range(20)]
            lines = [f'{{"create":{{}}}}\n{{"message":"seq={name} {"x" * 200}"}}\n' for name in names]
            status, told = await send(address, "".join(lines).encode())
            it.written.update(names if status == 200 else ())
            turn += 1
        assert (status, told["error"]["type"]) == (503, "es_rejected_execution_exception")
        down[0] = False
        await it.stored()
        assert it.verdict().strangers == 0


@pytest.mark.parametrize("path", ["/", "/_license", "/_xpack", "/_cluster/health", "/_ilm/policy/filebeat"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_clients_ask_before_they_send(tmp_path: pathlib.Path, path: str, method: str) -> None:
    async with peers.running(tmp_path, listener()) as it:
        address = await it.address("elasticsearch-in")
        status, headers, told = await peers.request(address, b"", method=method, path=path)
        assert (status, headers["x-elastic-product"]) == (200, "Elasticsearch")
        assert bool(told) is (method == "GET")


async def test_what_is_not_taken(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, listener()) as it:
        address = await it.address("elasticsearch-in")
        assert (await send(address, b"{}", "/logs-a-b/_search"))[0] == 404
        assert (await send(address, b"{}", "/a/b/_bulk"))[0] == 404
        status, _, _ = await peers.request(address, b"", method="GET", path="/_bulk")
        assert status == 405


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer s3cret", 200),
        ("ApiKey s3cret", 200),
        ("ApiKey " + base64.b64encode(b"id:s3cret").decode(), 200),
        ("Basic " + base64.b64encode(b"anyone:s3cret").decode(), 200),
        ("Basic " + base64.b64encode(b"s3cret:anyone").decode(), 401),
        ("Basic s3cret", 401),
        ("Bearer " + base64.b64encode(b"id:s3cret").decode(), 401),
        ("ApiKey wrong", 401),
        ("Digest s3cret", 401),
        ("", 401),
    ],
)
async def test_tokens(tmp_path: pathlib.Path, header: str, expected: int) -> None:
    async with peers.running(tmp_path, listener(token="s3cret")) as it:
        address = await it.address("elasticsearch-in")
        assert (await send(address, b'{"create":{}}\n{"message":"x"}\n', authorization=header))[0] == expected


async def test_rsyslog_sends_here(tmp_path: pathlib.Path) -> None:
    rsyslogd = test_syslog.program("rsyslogd")
    if not MODULE.exists():
        conftest.unavailable("rsyslog's omelasticsearch is not installed")
    async with peers.running(tmp_path, listener()) as it:
        _, port = await it.address("elasticsearch-in")
        source = tmp_path / "in.log"
        config = tmp_path / "rsyslog.conf"
        config.write_text(
            f'global(workDirectory="{tmp_path}")\nmodule(load="imfile" mode="polling" pollingInterval="1")\n'
            f'module(load="omelasticsearch")\ninput(type="imfile" file="{source}" tag="app:")\n'
            'template(name="doc" type="list" option.jsonf="on") {'
            ' property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")'
            ' property(outname="message" name="msg" format="jsonf") }\n'
            f'*.* action(type="omelasticsearch" server="127.0.0.1" serverport="{port}" template="doc" bulkmode="on"'
            ' searchIndex="logs-a-b" searchType="" action.resumeRetryCount="-1")\n'
        )
        it.written = {f"r-{number}" for number in range(50)}
        source.write_text("".join(f"seq={name}\n" for name in it.written))
        daemon = await asyncio.create_subprocess_exec(
            *(rsyslogd, "-n", "-f", str(config), "-i", str(tmp_path / "pid")), stderr=subprocess.PIPE
        )
        try:
            await it.stored()
        finally:
            daemon.terminate()
            await daemon.communicate()
        assert it.metric("input_refused_total", input="elasticsearch-in", reason="malformed") == 0


@hypothesis.given(
    st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([b'{"create":{}}', b'{"index":{"_id":1}}'])))
)
def test_any_body_is_split_or_refused(parts: list[bytes]) -> None:
    raw = b"\n".join(parts)
    try:
        items = bulk.split(raw)
    except ValueError:
        return
    assert all(bool(item.wrong) or isinstance(json.loads(item.document), dict) for item in items)
