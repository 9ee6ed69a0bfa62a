"""The prober `dns`: asks one server one question, and judges the answer. Beside `discovery.resolver` a home of dnspython."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import TYPE_CHECKING

from tidegate.kit import access
from tidegate.model import ports, probing
from tidegate.scrape.probes import connection, expand, gauges, names

if TYPE_CHECKING:
    import dns.rrset

LONGEST = 65535
"""Bytes of a message."""
_DURATION = "probe_dns_duration_seconds"
_SECTIONS = ("answer", "authority", "additional")


async def probe(
    target: str,
    given: probing.DnsProbe,
    way: access.Access,
    lookup: names.Lookup,
    found: gauges.Gauges,
    clock: ports.Clock,
) -> None:
    """Set the series of one probe. Raises `ProbeError` when it fails."""
    for phase in ("resolve", "connect", "request"):
        found.set(_DURATION, 0.0, {"phase": phase})
    found.zero(*(f"probe_dns_{section}_rrs" for section in _SECTIONS), "probe_dns_query_succeeded")
    host, port = _place(target, given)
    if given.transport_protocol not in {"udp", "tcp"}:
        raise gauges.ProbeError(f"transport_protocol is {given.transport_protocol!r}, not udp or tcp")
    address = await names.choose(host, given, lookup, found, clock)
    found.set(_DURATION, address.took, {"phase": "resolve"})
    if given.dns_over_tls and given.transport_protocol != "tcp":
        raise gauges.ProbeError("dns_over_tls needs `transport_protocol: tcp`")
    answer = await _ask(given, _Server(host, port, address), way, found, clock)
    await asyncio.to_thread(_judge, given, answer, found)


def _place(target: str, given: probing.DnsProbe) -> tuple[str, int]:
    """Host and port; a target without a port is a host."""
    try:
        host, port = names.split(target)
        return host, int(port)
    except (gauges.ProbeError, ValueError):
        return target, 853 if given.dns_over_tls else 53


def _question(given: probing.DnsProbe) -> bytes:
    """The question as it is sent. Raises `ProbeError`."""
    import dns.exception  # noqa: PLC0415 - 90 ms that only such probes are worth
    import dns.flags  # noqa: PLC0415
    import dns.message  # noqa: PLC0415
    import dns.name  # noqa: PLC0415

    flags = dns.flags.RD if given.recursion_desired else 0
    kind = {"CS": "CLASS2"}.get(given.query_class, given.query_class)
    try:
        name = dns.name.from_text(given.query_name)
        return dns.message.make_query(name, given.query_type, kind, flags=flags, use_edns=False).to_wire()
    except (dns.exception.DNSException, ValueError) as error:
        raise gauges.ProbeError(f"{given.query_name} {given.query_type} cannot be asked: {error}") from None


@dataclasses.dataclass(frozen=True, slots=True)
class _Server:
    """Whom to ask."""

    host: str
    port: int
    address: names.Address


async def _ask(
    given: probing.DnsProbe, server: _Server, way: access.Access, found: gauges.Gauges, clock: ports.Clock
) -> bytes:
    """The answer as it came; sets how long it took. Raises `ProbeError`."""
    question = await asyncio.to_thread(_question, given)
    started = clock.now()
    if given.transport_protocol == "udp":
        answer = await _over_datagrams(server, question, given.source_ip_address)
        connected = started
    else:
        ip, family = server.address.ip, server.address.family
        line = await connection.dial(ip, server.port, family=family, source=given.source_ip_address)
        try:
            if given.dns_over_tls:
                await line.start_tls(way, server.host)
            connected = clock.now()
            answer = await _over_stream(line, question)
        finally:
            await line.close()
    found.set(_DURATION, connected - started, {"phase": "connect"})
    found.set(_DURATION, clock.now() - connected, {"phase": "request"})
    return answer


async def _over_datagrams(server: _Server, question: bytes, source: str) -> bytes:
    """Ask over UDP, once; answers to other questions are not ours. Raises `ProbeError`."""
    loop = asyncio.get_running_loop()
    with socket.socket(server.address.family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0)
        try:
            if source:
                asking.bind((names.source(source), 0))
            await loop.sock_connect(asking, (server.address.ip, server.port))
            await loop.sock_sendall(asking, question)
            while True:
                answer = await loop.sock_recv(asking, LONGEST)
                if answer[:2] == question[:2]:
                    return answer
        except (OSError, OverflowError) as error:
            raise gauges.ProbeError(
                f"no answer of {server.address.ip} port {server.port}: {connection.said(error)}"
            ) from None


async def _over_stream(line: connection.Connection, question: bytes) -> bytes:
    """Ask over TCP or TLS: each message has its length before it. Raises `ProbeError`."""
    await line.write(len(question).to_bytes(2, "big") + question)
    got = b""
    while len(got) < 2 or len(got) < 2 + int.from_bytes(got[:2], "big"):
        more = await line.read()
        if not more:
            raise gauges.ProbeError("the server closed the connection without an answer")
        got += more
    if got[2:4] != question[:2]:
        raise gauges.ProbeError("the server answered another question")
    return got[2 : 2 + int.from_bytes(got[:2], "big")]


def _judge(given: probing.DnsProbe, wire: bytes, found: gauges.Gauges) -> None:
    """Set the series of an answer. Raises `ProbeError` when it is not as wanted. Long answers take long: not for the loop."""
    import dns.exception  # noqa: PLC0415 - see `_question`
    import dns.message  # noqa: PLC0415
    import dns.rcode  # noqa: PLC0415

    try:
        answer = dns.message.from_wire(wire, one_rr_per_rrset=True, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise gauges.ProbeError(f"the answer cannot be read: {error}") from None
    extra = bool(answer.opt) + bool(answer.tsig)
    sections = {name: _records(getattr(answer, name)) for name in _SECTIONS}
    for name, records in sections.items():
        found.set(f"probe_dns_{name}_rrs", len(records) + (extra if name == "additional" else 0))
    found.set("probe_dns_query_succeeded", 1.0)
    if given.query_type == "SOA":
        serials = [one.serial for group in answer.answer for one in group if one.rdtype.name == "SOA"]
        found.set("probe_dns_serial", float(serials[-1]) if serials else 0.0)
    code = dns.rcode.to_text(answer.rcode())
    if code not in (given.valid_rcodes or ("NOERROR",)):
        raise gauges.ProbeError(f"the server answered {code}")
    for name, records in sections.items():
        wrong = unwanted(records, getattr(given, f"validate_{name}_rrs"))
        if wrong:
            raise gauges.ProbeError(f"{name} section: {wrong}")


def _records(groups: list[dns.rrset.RRset]) -> list[str]:
    """Records as text, with tabs, as patterns for the exporter expect them."""
    return [
        f"{group.name}\t{group.ttl}\t{group.rdclass.name}\t{group.rdtype.name}\t{one.to_text(chunksize=0)}"
        for group in groups
        for one in group
    ]


def unwanted(records: list[str], given: probing.RecordsMatch) -> str:
    """Why records are not as wanted; empty when they are. All four lists have the exporter's meaning."""
    if not records and (given.fail_if_not_matches_regexp or given.fail_if_none_matches_regexp):
        return "there is no record that could match"
    if first := _first(records, given.fail_if_matches_regexp, matching=True):
        return first
    if first := _first(records, given.fail_if_not_matches_regexp, matching=False):
        return first
    if _first(records, given.fail_if_all_match_regexp, matching=False):
        return "not all records match fail_if_all_match_regexp"
    if given.fail_if_none_matches_regexp and not _first(records, given.fail_if_none_matches_regexp, matching=True):
        return "no record matches fail_if_none_matches_regexp"
    return ""


def _first(records: list[str], patterns: tuple[str, ...], *, matching: bool) -> str:
    """The first record that one of the patterns matches (or does not), in words; empty when there is none."""
    compiled = [(text, expand.compiled(text)) for text in patterns]
    for record in records:
        for text, pattern in compiled:
            if (pattern.search(record.encode()) is not None) == matching:
                return f"{record!r} {'matches' if matching else 'does not match'} {text!r}"
    return ""
