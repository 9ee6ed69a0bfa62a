"""Settings of inputs: what is wrong is said with its place, and a whole agent receives by its settings file."""

from __future__ import annotations

import asyncio
import pathlib

import pytest

from tests.faults import fake, fronts
from tests.logs.inputs import peers
from tidegate import agent, plan
from tidegate.kit import clock
from tidegate.logs.inputs import addresses
from tidegate.metrics import nothing
from tidegate.metrics.promql import engine
from tidegate.model import problems


def problems_of(folder: pathlib.Path, text: str) -> list[str]:
    path = folder / "tidegate.yaml"
    path.write_text(text)
    with pytest.raises(problems.ConfigError) as caught:
        plan.make(path, {}, engine.Engine(nothing.Nothing()), clock.SystemClock())
    return [f"{each.code}:{each.line}:{each.column}: {each.summary}" for each in caught.value.problems]


def test_problems_have_a_place(tmp_path: pathlib.Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    text = """\
logs:
  receive:
    http:
      open: {listen: "0.0.0.0:8088"}
      nowhere: {listen: "localhost"}
    otlp:
      broken:
        listen: "127.0.0.1:4318"
        tls: {cert_file: bad.pem, key_file: bad.pem}
      closed: {listen: "0.0.0.0:4318", token: s3cret}
    syslog:
      absent:
        tls: {cert_file: none.pem, key_file: none.pem}
"""
    found = problems_of(tmp_path, text)
    assert [each.partition(": ")[0] for each in sorted(found)] == [
        "logs-input-address:5:25",
        "logs-input-open:4:22",
        "logs-input-tls:13:14",
        "logs-input-tls:9:14",
    ]
    assert "s3cret" not in str(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("syslog: {x: {protocol: udp, tls: {cert_file: a, key_file: b}}}", "`tls` needs `protocol: tcp`"),
        ("syslog: {x: {time_zone: Mars/Base}}", "Mars/Base"),
        ("http: {Bad Name: {}}", "pattern"),
        ("http: {x: {spool: {max_bytes: 10}}}", "65536"),
        ("http: {x: {spool: {when_full: explode}}}", "drop-oldest"),
    ],
)
def test_what_settings_refuse(tmp_path: pathlib.Path, text: str, said: str) -> None:
    found = problems_of(tmp_path, f"logs:\n  receive:\n    {text}\n")
    assert said in " ".join(found)


def test_a_dataset_that_no_stream_can_have(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "tidegate.yaml"
    path.write_text(
        "logs:\n  elasticsearch: {urls: ['http://127.0.0.1:1']}\n  receive: {http: {x: {dataset: Not-Good}}}\n"
    )
    with pytest.raises(problems.ConfigError, match="dataset"):
        agent.Agent(path, {})


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:80", True),
        ("127.9.9.9:80", True),
        ("[::1]:80", True),
        ("localhost:80", True),
        ("0.0.0.0:80", False),
        (":80", False),
        ("[::]:80", False),
        ("example.org:80", False),
    ],
)
def test_loopback(listen: str, expected: bool) -> None:
    assert addresses.loopback(listen) is expected


@pytest.mark.parametrize("listen", ["", "80", "host", "host:", "host:x", "host:70000", "::1:80"])
def test_no_address(listen: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        addresses.split(listen)


async def test_a_whole_agent(tmp_path: pathlib.Path) -> None:
    server, port = fake.Elasticsearch(), peers.free_port()
    (tmp_path / "token").write_text("s3cret\n")
    async with fronts.http(server) as url:
        path = tmp_path / "tidegate.yaml"
        path.write_text(
            f"data_dir: data\nweb: {{listen: '127.0.0.1:{peers.free_port()}'}}\nlogs:\n"
            f"  elasticsearch: {{urls: ['{url}'], bulk_delay: 20ms}}\n"
            f"  receive: {{http: {{in: {{listen: '127.0.0.1:{port}', token_file: token, dataset: shop}}}}}}\n"
        )
        stop = asyncio.Event()
        said: list[str] = []
        running = asyncio.create_task(agent.run(path, {}, stop, said.append))
        for _ in range(500):
            try:
                status, _, _ = await peers.request(
                    ("127.0.0.1", port), b'{"msg":"seq=1"}', headers={"authorization": "Bearer s3cret"}
                )
            except OSError:
                await asyncio.sleep(0.02)
                continue
            break
        assert status == 200
        for _ in range(500):
            if server.documents():
                break
            await asyncio.sleep(0.02)
        stop.set()
        await running
    assert "http-in" in said[0]
    (document,) = server.documents()
    assert (document["message"], document["data_stream"]["dataset"]) == ("seq=1", "shop")
