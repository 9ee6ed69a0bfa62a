"""Looks up one DNS name as Prometheus does: the servers and search domains of `resolv.conf`, UDP, then TCP where it must.

Says apart "there is no such name" (no records) and "nobody could tell" (`LookupFailedError`). The one home of dnspython.
The hosts file is not looked at, and nothing is remembered. Source: `discovery/dns/dns.go` of Prometheus 3.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dns.message
    import dns.name
    import dns.resolver

RESOLV_CONF = pathlib.Path("/etc/resolv.conf")
PORT = 53
PATIENCE = 2.0
"""Seconds that one server has for an answer."""


class LookupFailedError(Exception):
    """Nobody could tell what the name has."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One answer."""

    type: str
    host: str
    """A name as the server wrote it, with its last dot, or an address."""
    port: int = 0
    """Of `SRV` records."""


class Resolver:
    """Asks the servers that a `resolv.conf` names; the file is read again for each name."""

    def __init__(self, file: pathlib.Path = RESOLV_CONF, port: int = PORT) -> None:
        self._file, self._port = file, port

    async def lookup(self, name: str, kind: str) -> list[Record]:
        """The records of a name, of one type; none where all servers agree that there is none. Raises `LookupFailedError`."""
        given = _configuration(self._file)
        failed = ""
        for candidate in _candidates(given, name):
            try:
                answer = await self._ask(given, candidate, kind)
            except LookupFailedError as error:
                failed = str(error)
                continue
            if answer is not None:
                return _records(answer)
        if failed:
            raise LookupFailedError(failed)
        return []

    async def _ask(self, given: dns.resolver.Resolver, name: dns.name.Name, kind: str) -> dns.message.Message | None:
        """The first useful answer of a server; None when there is no such name. Raises `LookupFailedError`."""
        import dns.asyncquery  # noqa: PLC0415 - 90 ms that only jobs with names are worth
        import dns.exception  # noqa: PLC0415
        import dns.flags  # noqa: PLC0415
        import dns.message  # noqa: PLC0415
        import dns.rcode  # noqa: PLC0415

        wrong = "no server is named in resolv.conf"
        question = dns.message.make_query(name, kind, use_edns=0, payload=4096)
        for server in given.nameservers:
            try:
                answer, _ = await dns.asyncquery.udp_with_fallback(question, str(server), PATIENCE, self._port)
            except (dns.exception.DNSException, OSError, EOFError, ValueError) as error:
                wrong = f"{server}: {error or type(error).__name__}"
                continue
            if answer.flags & dns.flags.TC:
                wrong = f"{server}: the answer is cut off"
                continue
            code = answer.rcode()
            if code in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
                return answer if code == dns.rcode.NOERROR else None
            wrong = f"{server}: {dns.rcode.to_text(code)}"
        raise LookupFailedError(f"{name}: {wrong}")


def _configuration(file: pathlib.Path) -> dns.resolver.Resolver:
    """What a `resolv.conf` says. Raises `LookupFailedError`."""
    import dns.exception  # noqa: PLC0415 - see `Resolver`
    import dns.resolver  # noqa: PLC0415

    found = dns.resolver.Resolver(configure=False)
    try:
        found.read_resolv_conf(file)
    except (dns.exception.DNSException, ValueError) as error:
        raise LookupFailedError(f"cannot use {file}: {error}") from None
    return found


def _candidates(given: dns.resolver.Resolver, name: str) -> list[dns.name.Name]:
    """The full names that a name may stand for, in the order of asking. Raises `LookupFailedError`."""
    import dns.exception  # noqa: PLC0415 - see `Resolver`
    import dns.name  # noqa: PLC0415

    try:
        short = dns.name.from_text(name, origin=None)
        if short.is_absolute():
            return [short]
        ends = given.search or ([given.domain] if given.domain not in {None, dns.name.root} else [])
        searched = [short + end for end in ends]
        whole = [short + dns.name.root]
    except dns.exception.DNSException as error:
        raise LookupFailedError(f"{name!r} is not a name: {error}") from None
    first = len(short) > (1 if given.ndots is None else given.ndots)
    return whole + searched if first else searched + whole


def _records(answer: dns.message.Message) -> list[Record]:
    """What stands in an answer; aliases on the way are left out."""
    found = []
    for group in answer.answer:
        for one in group:
            kind = one.rdtype.name
            if kind == "SRV":
                found.append(Record(kind, str(one.target), one.port))
            elif kind == "MX":
                found.append(Record(kind, str(one.exchange)))
            elif kind == "NS":
                found.append(Record(kind, str(one.target)))
            elif kind in {"A", "AAAA"}:
                found.append(Record(kind, one.address))
    return found
