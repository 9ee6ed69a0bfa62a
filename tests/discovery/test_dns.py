"""Targets behind DNS names: with a real server on loopback, and held against a real Prometheus that asks the same one."""

from __future__ import annotations

import asyncio
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from typing import Any

import dns.rcode
import pydantic
import pytest
import yaml

from tests.services import prometheus
from tests.support import nameserver
from tidegate.discovery import dns as dns_
from tidegate.discovery import resolver
from tidegate.model import scraping

Served = tuple[nameserver.Nameserver, int]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with nameserver.serving() as found:
        fill(found[0])
        yield found


def fill(server: nameserver.Nameserver) -> None:
    """What the server knows."""
    server.records = {
        ("_http._tcp.shop.test.", "SRV"): ["0 5 8080 One.shop.test.", "1 5 8081 two.shop.test."],
        ("shop.test.", "A"): ["10.0.0.2", "10.0.0.1"],
        ("shop.test.", "AAAA"): ["fd00::1"],
        ("shop.test.", "MX"): ["10 mail.shop.test.", "20 mail2.shop.test."],
        ("shop.test.", "NS"): ["ns1.shop.test."],
        ("cart.prod.test.", "A"): ["10.0.1.1"],
        ("a.b.", "A"): ["10.0.2.1"],
        ("a.b.prod.test.", "A"): ["10.0.2.2"],
        ("empty.test.", "TXT"): ['"x"'],
        ("deep.test.", "A"): ["10.0.3.1"],
    }
    server.aliases = {"other.test.": "shop.test."}
    server.rcodes = {"broken.test.": dns.rcode.SERVFAIL, "half.stage.test.": dns.rcode.REFUSED}


ENTRIES: dict[str, dict[str, Any]] = {
    "srv": {"names": ["_http._tcp.shop.test"]},
    "a": {"names": ["shop.test"], "type": "A", "port": 9100},
    "aaaa": {"names": ["shop.test."], "type": "aaaa", "port": 9100},
    "mx": {"names": ["shop.test"], "type": "MX", "port": 25},
    "ns": {"names": ["shop.test"], "type": "NS", "port": 53},
    "alias": {"names": ["other.test"], "type": "A", "port": 1},
    "searched": {"names": ["cart"], "type": "A", "port": 2},
    "dotted": {"names": ["a.b"], "type": "A", "port": 3},
    "several": {"names": ["shop.test", "cart", "nowhere", "broken.test"], "type": "A", "port": 4},
    "empty": {"names": ["empty.test"], "type": "A", "port": 5},
    "failed": {"names": ["broken.test"], "type": "A", "port": 6},
    "half": {"names": ["half"], "type": "A", "port": 7},
    "typeless": {"names": ["shop.test"]},
}
FOUND = 9
"""Entries that have targets."""
CONF = "# ours\nnameserver {server}\nsearch stage.test prod.test\noptions ndots:1 timeout:1\n"


def names(entry: dict[str, Any], folder: pathlib.Path, port: int, text: str = CONF) -> dns_.Names:
    (folder / "resolv.conf").write_text(text.format(server="127.0.0.1"))
    given = scraping.DnsConfig.model_validate(entry)
    return dns_.Names(given, resolver.Resolver(folder / "resolv.conf", port))


async def test_each_type_has_its_labels(served: Served, tmp_path: pathlib.Path) -> None:
    async def find(name: str) -> list[dict[str, str]]:
        return [{**own, **group} for own, group in await names(ENTRIES[name], tmp_path, served[1]).find()]

    assert await find("srv") == [
        {
            "__address__": f"{host}.shop.test:{port}",
            "__meta_dns_name": "_http._tcp.shop.test",
            "__meta_dns_srv_record_target": f"{host}.shop.test.",
            "__meta_dns_srv_record_port": str(port),
        }
        for host, port in (("One", 8080), ("two", 8081))
    ]
    assert [one["__address__"] for one in await find("a")] == ["10.0.0.1:9100", "10.0.0.2:9100"]
    assert [one["__address__"] for one in await find("aaaa")] == ["[fd00::1]:9100"]
    (first, _) = await find("mx")
    assert first == {
        "__address__": "mail.shop.test:25",
        "__meta_dns_name": "shop.test",
        "__meta_dns_mx_record_target": "mail.shop.test.",
    }
    assert [one["__meta_dns_ns_record_target"] for one in await find("ns")] == ["ns1.shop.test."]
    assert len(await find("alias")) == 2


async def test_an_answer_that_is_cut_off_is_asked_for_over_tcp(served: Served, tmp_path: pathlib.Path) -> None:
    server, port = served
    server.truncate = True
    server.records["shop.test.", "A"] = [f"10.1.{high}.{low}" for high in range(8) for low in range(250)]
    found = await names(ENTRIES["a"], tmp_path, port).find()
    assert len(found) == 2000
    assert server.asked == [("shop.test.", "A", "udp"), ("shop.test.", "A", "tcp")]


async def test_a_failure_keeps_targets_and_a_name_that_is_none_has_none(served: Served, tmp_path: pathlib.Path) -> None:
    server, port = served
    reader = names({"names": ["shop.test"], "type": "A", "port": 1}, tmp_path, port)
    before = await reader.find()
    assert len(before) == 2
    for code in (dns.rcode.SERVFAIL, dns.rcode.REFUSED):
        server.rcodes["shop.test."] = code
        assert await reader.find() == before
        assert reader.problems[0].code == "targets-dns"
        assert dns.rcode.to_text(code) in reader.problems[0].summary
    del server.rcodes["shop.test."]
    server.records = {}
    assert await reader.find() == []
    assert reader.problems == ()


async def test_one_domain_that_fails_leaves_open_whether_the_name_is_there(
    served: Served, tmp_path: pathlib.Path
) -> None:
    reader = names(ENTRIES["half"], tmp_path, served[1])
    assert await reader.find() == []
    assert "REFUSED" in reader.problems[0].summary


async def test_another_server_is_asked_when_the_first_is_away(served: Served, tmp_path: pathlib.Path) -> None:
    text = "nameserver 127.0.0.99\nnameserver {server}\n"
    assert len(await names(ENTRIES["a"], tmp_path, served[1], text).find()) == 2


async def test_the_order_of_asking_follows_the_dots(served: Served, tmp_path: pathlib.Path) -> None:
    server, port = served
    reader = names({"names": ["x.y"], "type": "A", "port": 1}, tmp_path, port, CONF.replace("ndots:1", "ndots:2"))
    await reader.find()
    assert [name for name, _, _ in server.asked] == ["x.y.stage.test.", "x.y.prod.test.", "x.y."]


async def test_without_a_resolv_conf_it_says_so(tmp_path: pathlib.Path) -> None:
    entry = scraping.DnsConfig(names=("a",))
    reader = dns_.Names(entry, resolver.Resolver(tmp_path / "none"))
    assert await reader.find() == []
    assert "cannot use" in reader.problems[0].summary


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"names": []}, "at least 1"),
        ({"names": ["a"], "type": "A"}, "a port is required"),
        ({"names": ["a"], "type": "TXT"}, "'SRV', 'A'"),
    ],
)
def test_what_makes_no_sense_is_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said):
        scraping.DnsConfig.model_validate(entry)


def _may_mount() -> str:
    """Why a program cannot be given another `resolv.conf` here; empty when it can."""
    if os.geteuid() or shutil.which("unshare") is None:
        return "needs root and unshare, to give Prometheus another resolv.conf"
    done = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "mount namespaces are not allowed here"


@pytest.mark.service
@pytest.mark.parametrize("truncate", [False, True], ids=["udp", "tcp"])
async def test_a_real_prometheus_finds_the_same(
    prometheus_binary: pathlib.Path, tmp_path: pathlib.Path, truncate: bool
) -> None:
    why = _may_mount()
    if why:
        pytest.skip(why)
    assert prometheus_binary
    host = f"127.0.53.{2 + truncate}"
    async with nameserver.serving(host, 53) as (server, port):
        fill(server)
        server.truncate = truncate
        conf = tmp_path / "resolv.conf"
        conf.write_text(CONF.format(server=host))
        theirs = await asyncio.to_thread(_prometheus, conf)
        assert len(theirs) == FOUND
        for name, entry in ENTRIES.items():
            reader = dns_.Names(scraping.DnsConfig.model_validate(entry), resolver.Resolver(conf, port))
            ours = sorted(sorted({**own, **group}.items()) for own, group in await reader.find())
            assert ours == theirs.get(name, []), name


def _prometheus(conf: pathlib.Path) -> dict[str, list[list[tuple[str, str]]]]:
    """The labels that a Prometheus finds, by job."""
    jobs = [{"job_name": name, "dns_sd_configs": [entry]} for name, entry in ENTRIES.items()]
    prefix = ["unshare", "-m", "sh", "-c", f'mount --bind {conf} /etc/resolv.conf && exec "$0" "$@"']
    server = prometheus.Server(yaml.safe_dump({"scrape_configs": jobs}), prefix=prefix)

    try:
        deadline = time.monotonic() + 30
        while True:
            found: dict[str, list[list[tuple[str, str]]]] = {}
            for one in server.get("/api/v1/targets")["activeTargets"]:
                labels = {name: value for name, value in one["discoveredLabels"].items() if _looked_up(name)}
                found.setdefault(one["scrapePool"], []).append(sorted(labels.items()))
            if len(found) >= FOUND or time.monotonic() > deadline:
                return {name: sorted(some) for name, some in found.items()}
            time.sleep(0.1)  # as long as a real Prometheus takes
    finally:
        server.stop()


def _looked_up(name: str) -> bool:
    return name == "__address__" or name.startswith("__meta_")
