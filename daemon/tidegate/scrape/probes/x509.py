"""Reads what series say of a certificate out of its DER form: end, names, serial number, fingerprint.

Only for showing: the TLS library decides whom to trust. Names are written as Go writes them, because the blackbox
exporter does: https://pkg.go.dev/crypto/x509/pkix#Name.String.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Iterator

_NAMES = {
    "2.5.4.6": "C",
    "2.5.4.8": "ST",
    "2.5.4.7": "L",
    "2.5.4.9": "STREET",
    "2.5.4.17": "POSTALCODE",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.3": "CN",
    "2.5.4.5": "SERIALNUMBER",
}
"""In Go's order; the text has the last one first."""
_SINGLE = frozenset({"2.5.4.3", "2.5.4.5"})
_ALTERNATIVE = "2.5.29.17"
_DNS_NAME, _EXTENSIONS, _VERSION, _UTC_TIME, _BMP, _T61 = 0x82, 0xA3, 0xA0, 0x17, 0x1E, 0x14
_ESCAPED = frozenset(',+"\\<>;')
_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


@dataclasses.dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate."""

    not_after: float
    """Unix seconds."""
    subject: str
    issuer: str
    dns_names: tuple[str, ...]
    serial: str
    """Hexadecimal, whole bytes."""
    fingerprint: str
    """SHA-256."""


def read(der: bytes) -> Certificate:
    """Raises `ValueError` for what is no certificate."""
    try:
        (_, whole), *_ = _parts(der)
        (_, signed), *_ = _parts(whole)
        fields = [part for part in _parts(signed) if part[0] != _VERSION]
        serial, _, issuer, validity, subject = (content for _, content in fields[:5])
        extensions = next((content for tag, content in fields[5:] if tag == _EXTENSIONS), b"")
        return Certificate(
            _time(*list(_parts(validity))[1]),
            _name(subject),
            _name(issuer),
            tuple(_alternatives(extensions)),
            serial.lstrip(b"\0").hex(),
            hashlib.sha256(der).hexdigest(),
        )
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"not a certificate: {error}") from None


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element."""
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("not a certificate: an element is cut short")
        yield tag, data[at : at + length]
        at += length


def _time(tag: int, content: bytes) -> float:
    """UTCTime has two digits of a year, GeneralizedTime four."""
    text = content.decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.datetime.strptime(text + "+0000", "%Y%m%d%H%M%S%z").timestamp()


def _alternatives(extensions: bytes) -> Iterator[str]:
    """The DNS names among the alternative names."""
    for _, some in _parts(extensions):
        for _, one in _parts(some):
            (_, kind), *rest = _parts(one)
            if _identifier(kind) != _ALTERNATIVE:
                continue
            for _, names in _parts(rest[-1][1]):
                yield from (text.decode("ascii", "replace") for tag, text in _parts(names) if tag == _DNS_NAME)


def _identifier(content: bytes) -> str:
    numbers, value = [], 0
    for byte in content:
        value = (value << 7) | (byte & 0x7F)
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - first * 40, *numbers[1:]]))


def _name(content: bytes) -> str:
    """A distinguished name: well-known parts in a fixed order, others after them."""
    found: list[tuple[str, str]] = []
    for _, group in _parts(content):
        for _, pair in _parts(group):
            (_, identifier), (tag, raw) = list(_parts(pair))[:2]
            found.append((_identifier(identifier), _text(tag, raw)))
    known: dict[str, list[str]] = {kind: [value for one, value in found if one == kind] for kind in _NAMES}
    texts = [_other(kind, value) for kind, value in found if kind not in _NAMES]
    for kind, values in known.items():
        kept = values[-1:] if kind in _SINGLE else values
        if kept and not (kind in _SINGLE and not kept[0]):
            texts.append("+".join(f"{_NAMES[kind]}={_escaped(value)}" for value in kept))
    return ",".join(reversed(texts))


def _text(tag: int, value: bytes) -> str:
    if tag == _BMP:
        return value.decode("utf-16-be", "replace").removesuffix("\0")
    return value.decode("latin-1" if tag == _T61 else "utf-8", "replace")


def _other(kind: str, value: str) -> str:
    content = value.encode()
    length = bytes([len(content)]) if len(content) < 128 else b"\x81" + bytes([len(content) & 0xFF])
    if len(content) > 255:
        length = b"\x82" + len(content).to_bytes(2, "big")
    tag = b"\x13" if set(value) <= _PRINTABLE else b"\x0c"
    return f"{kind}=#{(tag + length + content).hex()}"


def _escaped(value: str) -> str:
    last = len(value.encode()) - 1  # Go counts bytes here
    parts, at = [], 0
    for char in value:
        escape = char in _ESCAPED or (char == " " and at in (0, last)) or (char == "#" and at == 0)
        parts.append("\\" + char if escape else char)
        at += len(char.encode())
    return "".join(parts)
