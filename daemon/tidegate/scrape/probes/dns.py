"""The prober `dns`: asks one server one question, and judges the answer. Beside `discovery.resolver` a home of dnspython."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

from tidegate.kit import access
from tidegate.model import ports, probing
from tidegate.scrape.probes import connection, expand, gauges, names

if TYPE_CHECKING:
    import dns.message
    import dns.rrset

LONGEST = 3600.0
"""Seconds of an exchange, at most: the runner's own limit is shorter."""
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
    _judge(given, answer, found)


def _place(target: str, given: probing.DnsProbe) -> tuple[str, int]:
    """Host and port; a target without a port is a host."""
    try:
        host, port = names.split(target)
        return host, int(port)
    except (gauges.ProbeError, ValueError):
        return target, 853 if given.dns_over_tls else 53


def _question(given: probing.DnsProbe) -> dns.message.Message:
    import dns.exception  # noqa: PLC0415 - 90 ms that only such probes are worth
    import dns.flags  # noqa: PLC0415
    import dns.message  # noqa: PLC0415
    import dns.name  # noqa: PLC0415

    flags = dns.flags.RD if given.recursion_desired else 0
    try:
        name = dns.name.from_text(given.query_name)
        return dns.message.make_query(
            name,
            given.query_type,
            {"CS": "CLASS2"}.get(given.query_class, given.query_class),
            flags=flags,
            use_edns=False,
        )
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
) -> dns.message.Message:
    """The answer; sets how long it took. Raises `ProbeError`."""
    import dns.asyncquery  # noqa: PLC0415 - see `_question`
    import dns.exception  # noqa: PLC0415

    question, ip = _question(given), server.address.ip
    source = names.source(given.source_ip_address) if given.source_ip_address else None
    started = clock.now()
    line: connection.Connection | None = None
    try:
        if given.transport_protocol == "tcp":
            line = await connection.dial(ip, server.port, family=server.address.family, source=source or "")
            if given.dns_over_tls:
                await line.start_tls(way, server.host)
        connected = clock.now()
        if line is not None:
            answer = await _over_stream(line, question)
        else:
            answer = await dns.asyncquery.udp(question, ip, LONGEST, server.port, source, one_rr_per_rrset=True)
    except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
        raise gauges.ProbeError(f"no answer of {ip} port {server.port}: {connection.said(error)}") from None
    finally:
        if line is not None:
            await line.close()
    found.set(_DURATION, connected - started, {"phase": "connect"})
    found.set(_DURATION, clock.now() - connected, {"phase": "request"})
    return answer


async def _over_stream(line: connection.Connection, question: dns.message.Message) -> dns.message.Message:
    """Ask over TCP or TLS: each message has its length before it. Raises `ProbeError` or a `DNSException`."""
    import dns.message  # noqa: PLC0415 - see `_question`

    wire = question.to_wire()
    await line.write(len(wire).to_bytes(2, "big") + wire)
    got = b""
    while len(got) < 2 or len(got) < 2 + int.from_bytes(got[:2], "big"):
        more = await line.read()
        if not more:
            raise gauges.ProbeError("the server closed the connection without an answer")
        got += more
        await asyncio.sleep(0)
    answer = dns.message.from_wire(got[2 : 2 + int.from_bytes(got[:2], "big")], one_rr_per_rrset=True)
    if answer.id != question.id:
        raise gauges.ProbeError("the server answered another question")
    return answer


def _judge(given: probing.DnsProbe, answer: dns.message.Message, found: gauges.Gauges) -> None:
    """Set the series of an answer. Raises `ProbeError` when it is not as wanted."""
    import dns.rcode  # noqa: PLC0415 - see `_question`

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
    for record in records:
        for text in given.fail_if_matches_regexp:
            if _matches(text, record):
                return f"{record!r} matches {text!r}"
        for text in given.fail_if_not_matches_regexp:
            if not _matches(text, record):
                return f"{record!r} does not match {text!r}"
    if not all(_matches(text, record) for text in given.fail_if_all_match_regexp for record in records):
        return "not all records match fail_if_all_match_regexp"
    none = given.fail_if_none_matches_regexp
    if none and not any(_matches(text, record) for text in none for record in records):
        return "no record matches fail_if_none_matches_regexp"
    return ""


def _matches(pattern: str, record: str) -> bool:
    return expand.compiled(pattern).search(record.encode()) is not None
