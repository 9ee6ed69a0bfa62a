"""What a TLS connection tells of itself and of the peer's certificates, as series."""

from __future__ import annotations

import ssl
from typing import Any

from tidegate.scrape.probes import gauges, x509

NEVER = -62135596800.0
"""What the exporter says where no chain was verified: Go's zero time."""
_DER = 2
_VERSIONS = {"TLSv1": "TLS 1.0", "TLSv1.1": "TLS 1.1", "TLSv1.2": "TLS 1.2", "TLSv1.3": "TLS 1.3"}
_SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-SHA": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "ECDHE-ECDSA-AES128-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "ECDHE-ECDSA-AES256-SHA": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "ECDHE-ECDSA-AES256-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE-RSA-AES128-SHA": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "ECDHE-RSA-AES128-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "ECDHE-RSA-AES256-SHA": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "ECDHE-RSA-AES256-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
    "DHE-RSA-AES128-GCM-SHA256": "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    "DHE-RSA-AES256-GCM-SHA384": "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    "DHE-RSA-CHACHA20-POLY1305": "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "AES128-GCM-SHA256": "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "AES256-GCM-SHA384": "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "AES128-SHA": "TLS_RSA_WITH_AES_128_CBC_SHA",
    "AES128-SHA256": "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "AES256-SHA": "TLS_RSA_WITH_AES_256_CBC_SHA",
}
"""OpenSSL's names of TLS 1.2 suites, and the registered ones."""


def tell(connection: ssl.SSLObject, found: gauges.Gauges, *, cipher: bool = False) -> None:
    """Set the series of one connection. Raises `ProbeError` for certificates that cannot be read."""
    try:
        sent = [x509.read(der) for der in _chain(connection, "unverified")]
        verified = connection.context.verify_mode == ssl.CERT_REQUIRED
        chain = [x509.read(der) for der in _chain(connection, "verified")] if verified else []
    except ValueError as error:
        raise gauges.ProbeError(f"the server's certificate cannot be read: {error}") from None
    if not sent:
        raise gauges.ProbeError("the server sent no certificate")
    found.set("probe_ssl_earliest_cert_expiry", min(one.not_after for one in sent))
    last = min((one.not_after for one in chain), default=NEVER)
    found.set("probe_ssl_last_chain_expiry_timestamp_seconds", last)
    found.set("probe_tls_version_info", 1.0, {"version": _VERSIONS.get(connection.version() or "", "unknown")})
    if cipher:
        suite = (connection.cipher() or ("unknown",))[0]
        found.set("probe_tls_cipher_info", 1.0, {"cipher": _SUITES.get(suite, suite)})
    leaf = sent[0]
    labels = {
        "fingerprint_sha256": leaf.fingerprint,
        "subject": leaf.subject,
        "issuer": leaf.issuer,
        "subjectalternative": ",".join(leaf.dns_names),
        "serialnumber": leaf.serial,
    }
    found.set("probe_ssl_last_chain_info", 1.0, labels)


def _chain(connection: ssl.SSLObject, which: str) -> list[bytes]:
    """The peer's certificates, its own first. Public from Python 3.13 on; before, only the inner object has them."""
    method = f"get_{which}_chain"
    outer: Any = getattr(connection, method, None)
    if outer is not None:
        return list(outer() or ())
    inner: Any = getattr(connection, "_sslobj")  # noqa: B009 - private before 3.13
    return [one.public_bytes(_DER) for one in getattr(inner, method)() or ()]
