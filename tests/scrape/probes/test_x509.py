"""Certificates with odd names are shown as the exporter shows them; what is none is refused."""

from __future__ import annotations

import asyncio
import datetime
import pathlib
import ssl

import hypothesis
import pytest
import yaml
from cryptography import x509 as made
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import strategies

from tests.scrape.probes import peers, probing
from tests.services import blackbox
from tidegate.model import probing as model
from tidegate.scrape.probes import x509

SKIP = {"prober": "tcp", "timeout": "2s", "tcp": {"tls": True, "tls_config": {"insecure_skip_verify": True}}}
UTF8, BMP, PRINTABLE, T61 = 12, 30, 19, 20
NAMES: dict[str, list[tuple[made.ObjectIdentifier, str, int]]] = {
    "usual": [
        (NameOID.COUNTRY_NAME, "DE", PRINTABLE),
        (NameOID.ORGANIZATION_NAME, "Shop GmbH & Co. KG", UTF8),
        (NameOID.COMMON_NAME, "shop.example", UTF8),
    ],
    "escapes": [
        (NameOID.COMMON_NAME, ' #a,b+c"d\\e<f>g;h=i ', UTF8),
        (NameOID.ORGANIZATION_NAME, "#first", UTF8),
        (NameOID.LOCALITY_NAME, " ", UTF8),
    ],
    "several": [
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "one", UTF8),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "two", UTF8),
        (NameOID.COMMON_NAME, "first", UTF8),
        (NameOID.COMMON_NAME, "second", UTF8),
        (NameOID.SERIAL_NUMBER, "1", PRINTABLE),
    ],
    "others": [
        (NameOID.EMAIL_ADDRESS, "a@b.example", UTF8),
        (NameOID.DOMAIN_COMPONENT, "example", UTF8),
        (NameOID.USER_ID, "u" * 200, UTF8),
        (NameOID.STREET_ADDRESS, "Street 1", UTF8),
        (NameOID.POSTAL_CODE, "12345", PRINTABLE),
        (NameOID.STATE_OR_PROVINCE_NAME, "Bayern", UTF8),
        (NameOID.TITLE, "Dr.", UTF8),
    ],
    "letters": [
        (NameOID.COMMON_NAME, "Größe ☃ 😀", UTF8),
        (NameOID.ORGANIZATION_NAME, "Größe", BMP),
        (NameOID.LOCALITY_NAME, "Munich", T61),
    ],
    "none": [],
}


def certificate(name: str, folder: pathlib.Path) -> tuple[bytes, ssl.SSLContext]:
    """A certificate of its own making, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [made.NameAttribute(kind, text, made.name._ASN1Type(tag)) for kind, text, tag in NAMES[name]]
    now = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    built = (
        made.CertificateBuilder()
        .subject_name(made.Name(parts))
        .issuer_name(made.Name(parts))
        .public_key(key.public_key())
        .serial_number(0x00FEDCBA0987)
        .not_valid_before(now)
        .not_valid_after(datetime.datetime(2055, 1, 1, tzinfo=datetime.UTC))
        .add_extension(
            made.SubjectAlternativeName([made.DNSName("a.example"), made.DNSName("*.b.example")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + built.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return built.public_bytes(serialization.Encoding.DER), context


@pytest.mark.service
async def test_names_are_written_as_the_exporter_writes_them(
    blackbox_binary: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    module = model.Module.model_validate(SKIP)
    with blackbox.running(yaml.safe_dump({"modules": {"m": SKIP}})) as exporter:
        for name in NAMES:
            _, context = certificate(name, tmp_path)
            async with peers.tcp(peers.silent, context) as place:
                theirs = await asyncio.to_thread(exporter.probe, "m", place)
                ours = await probing.probe(module, place)
            assert probing.comparable(ours.body.decode()) == probing.comparable(theirs), name


def test_what_a_certificate_says(tmp_path: pathlib.Path) -> None:
    found = x509.read(certificate("usual", tmp_path)[0])
    assert found.subject == found.issuer == "CN=shop.example,O=Shop GmbH & Co. KG,C=DE"
    assert found.dns_names == ("a.example", "*.b.example")
    assert found.serial == "fedcba0987"
    assert found.not_after == datetime.datetime(2055, 1, 1, tzinfo=datetime.UTC).timestamp()


@hypothesis.given(strategies.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"certificate|unpack|invalid|time data"):
        x509.read(data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A good certificate."""
    return certificate("others", tmp_path_factory.mktemp("x509"))[0]


@hypothesis.given(
    changes=strategies.lists(
        strategies.tuples(strategies.integers(0, 10_000), strategies.integers(0, 255)), max_size=4
    ),
    cut=strategies.integers(0, 10_000),
)
def test_a_damaged_certificate_is_read_or_refused(whole: bytes, changes: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(whole)
    for at, byte in changes:
        damaged[at % len(damaged)] = byte
    try:
        found = x509.read(bytes(damaged[: len(damaged) - cut % 3 * (cut % len(damaged))]))
    except ValueError:
        return
    assert len(found.fingerprint) == 64
