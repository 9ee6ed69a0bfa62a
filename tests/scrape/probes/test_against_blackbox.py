"""A real blackbox exporter probes the same peers: the same series, labels, help texts and values."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import yaml

from tests.scrape.probes import peers, probing
from tests.services import blackbox
from tidegate.model import probing as model

pytestmark = pytest.mark.service

CASES: dict[str, dict[str, Any]] = yaml.safe_load(pathlib.Path(__file__).with_name("cases.yaml").read_text())
HTTP, TLS, TCP, DNS, ICMP = (CASES[kind] for kind in ("http", "tls", "tcp", "dns", "icmp"))

LATE = ("tcp-no-match",)
"""Modules whose peer never answers."""


def modules(authority: pathlib.Path) -> dict[str, dict[str, object]]:
    """All modules of this file, by names that are theirs alone."""
    trusted = {"tls_config": {"ca_file": str(authority)}}
    unchecked = {"server_name": "localhost"} | trusted["tls_config"]
    found: dict[str, dict[str, object]] = {}
    found |= {f"http-{name}": {"prober": "http", "http": case["http"]} for name, case in HTTP.items()}
    for name, case in TLS.items():
        tls = trusted["tls_config"] | case["http"].get("tls_config", {})
        fields = case["http"] | {"tls_config": {} if case.get("untrusted") else tls}
        found[f"http-{name}"] = {"prober": "http", "http": fields}
    found |= {f"tcp-{name}": {"prober": "tcp", "tcp": trusted | case["tcp"]} for name, case in TCP.items()}
    found |= {f"dns-{name}": {"prober": "dns", "dns": case["dns"]} for name, case in DNS.items()}
    over = {"query_name": "shop.example", "query_type": "A", "transport_protocol": "tcp", "dns_over_tls": True}
    found["dns-dot"] = {"prober": "dns", "dns": over | {"tls_config": unchecked}}
    found |= {f"icmp-{name}": {"prober": "icmp", "icmp": case["icmp"]} for name, case in ICMP.items()}
    return {name: {"timeout": "1s" if name in LATE else "6s", **module} for name, module in found.items()}


class Both:
    """Ours and theirs, with the same modules."""

    def __init__(self, exporter: blackbox.Server, given: dict[str, dict[str, object]]) -> None:
        self._exporter = exporter
        self._modules = {name: model.Module.model_validate(one) for name, one in given.items()}

    async def same(self, module: str, target: str, *, late: bool = False) -> dict[str, float]:
        """Both probe, and say the same; what ours said. Two probes that end by the clock agree on nothing else."""
        theirs = await asyncio.to_thread(self._exporter.probe, module, target)
        ours = await probing.probe(self._modules[module], target)
        text = ours.body.decode()
        assert probing.comparable(text) == probing.comparable(theirs), ours.note
        found = probing.values(text)
        assert ("not done within" in ours.note) is late
        assert bool(ours.note) == (not found["probe_success"])
        return found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> peers.Certificates:
    """For servers with TLS."""
    return peers.certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def both(blackbox_binary: pathlib.Path, certificates: peers.Certificates) -> Iterator[Both]:
    """The real exporter is started once."""
    given = modules(certificates.authority)
    with blackbox.running(yaml.safe_dump({"modules": given})) as exporter:
        yield Both(exporter, given)


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """A web server."""
    async with peers.http() as place:
        yield place


@pytest.mark.parametrize("name", HTTP)
async def test_http(both: Both, site: str, name: str) -> None:
    await both.same(f"http-{name}", f"http://{site}{HTTP[name]['path']}")


async def test_http_targets_that_are_none(both: Both, site: str) -> None:
    assert (await both.same("http-plain", site))["probe_success"] == 1  # without http://
    for target in ("http://127.0.0.1:1/", "http://nowhere.invalid/", "http://[::1/", "http://", "http://127.0.0.1:x/"):
        assert (await both.same("http-plain", target))["probe_success"] == 0


@pytest.mark.parametrize("name", TLS)
async def test_http_over_tls(both: Both, certificates: peers.Certificates, name: str) -> None:
    async with peers.http(certificates.good) as place:
        await both.same(f"http-{name}", f"https://{place.replace('127.0.0.1', 'localhost')}/")


async def test_http_with_a_certificate_that_has_expired(both: Both, certificates: peers.Certificates) -> None:
    async with peers.http(certificates.expired) as place:
        assert (await both.same("http-tls", f"https://{place}/"))["probe_success"] == 0
        found = await both.same("http-tls-unchecked", f"https://{place}/")
        assert found["probe_success"] == 1
        assert found["probe_ssl_earliest_cert_expiry"] < 1_600_000_000


async def test_http_that_is_sent_to_tls(both: Both, certificates: peers.Certificates, site: str) -> None:
    async with peers.http(certificates.good) as place:
        found = await both.same("http-tls", f"http://{site}/scheme?to=https://{place}/")
        assert found["probe_http_ssl"] == 1


@pytest.mark.parametrize("user", ["u:p", "nobody:x"])
@pytest.mark.parametrize("skip", [True, False])
async def test_http_through_a_proxy(
    blackbox_binary: pathlib.Path, certificates: peers.Certificates, site: str, user: str, skip: bool
) -> None:
    async with peers.tcp(peers.proxy) as place, peers.http(certificates.good) as safe:
        fields = {"proxy_url": f"http://{user}@{place}", "skip_resolve_phase_with_proxy": skip}
        fields |= {"tls_config": {"ca_file": str(certificates.authority)}, "preferred_ip_protocol": "ip4"}
        given: dict[str, dict[str, object]] = {"proxied": {"prober": "http", "timeout": "6s", "http": fields}}
        exporter = await asyncio.to_thread(blackbox.Server, yaml.safe_dump({"modules": given}))
        try:
            for target in (f"http://{site}/away", f"https://{safe}/", f"https://{safe}/redirect/2"):
                found = await Both(exporter, given).same("proxied", target.replace("127.0.0.1", "localhost"))
                assert found["probe_success"] == (user == "u:p")
        finally:
            exporter.stop()


@pytest.mark.parametrize("name", TCP)
async def test_tcp(both: Both, certificates: peers.Certificates, name: str) -> None:
    talks: dict[str, tuple[peers.Talk, object]] = {
        "tls": (peers.silent, certificates.good),
        "expired": (peers.silent, certificates.expired),
        "smtp": (peers.smtp(certificates.good), None),
    }
    kind = TCP[name]["server"]
    talk, context = talks.get(kind) or (getattr(peers, kind), None)
    async with peers.tcp(talk, context) as place:  # type: ignore[arg-type]
        await both.same(f"tcp-{name}", place)


async def test_tcp_targets_that_are_none(both: Both) -> None:
    for target in ("127.0.0.1:1", "127.0.0.1", "nowhere.invalid:80", "[::1:80", ":80"):
        assert (await both.same("tcp-connect", target))["probe_success"] == 0


async def test_tcp_without_an_answer(both: Both) -> None:
    async with peers.tcp(peers.silent) as place:
        found = await both.same("tcp-no-match", place, late=True)
    assert (found["probe_success"], found["probe_failed_due_to_regex"]) == (0, 0)


@pytest.mark.parametrize("name", DNS)
async def test_dns(both: Both, name: str) -> None:
    async with peers.dns_server() as place:
        await both.same(f"dns-{name}", place)


async def test_dns_over_tls(both: Both, certificates: peers.Certificates) -> None:
    async with peers.dns_server(certificates.good) as place:
        assert (await both.same("dns-dot", place))["probe_success"] == 1


@pytest.mark.parametrize("name", ICMP)
async def test_icmp(both: Both, name: str) -> None:
    await both.same(f"icmp-{name}", ICMP[name]["target"])
