"""Which exposition formats are asked for, and which one an answer is in.

Pure functions of names and header texts, in Prometheus 3's order and with its rules: the `Accept` header has falling
weights and asks for UTF-8 names where the format has them; an answer without a usable `Content-Type` is a failed scrape,
unless the job names a fallback. Nothing here does I/O.

https://prometheus.io/docs/instrumenting/content_negotiation/
"""

from __future__ import annotations

import dataclasses
import email.message
import enum
from collections.abc import Sequence

from tidegate.model import problems

OPENMETRICS_1 = "OpenMetricsText1.0.0"
OPENMETRICS_0 = "OpenMetricsText0.0.1"
TEXT_1 = "PrometheusText1.0.0"
TEXT_0 = "PrometheusText0.0.4"
DEFAULT = (OPENMETRICS_1, OPENMETRICS_0, TEXT_1, TEXT_0)
"""What is asked for when a job names no `scrape_protocols`, best first."""
ESCAPING = "allow-utf-8"
_WEIGHT = 7
"""Tenths of the first protocol's weight: Prometheus starts at one more than the protocols it knows."""
_ESCAPED = (OPENMETRICS_1, TEXT_1)


class Format(enum.Enum):
    """A grammar that `scrape.exposition` reads."""

    TEXT = "text/plain"
    OPENMETRICS = "application/openmetrics-text"


_MEDIA = {
    OPENMETRICS_1: (Format.OPENMETRICS, "1.0.0"),
    OPENMETRICS_0: (Format.OPENMETRICS, "0.0.1"),
    TEXT_1: (Format.TEXT, "1.0.0"),
    TEXT_0: (Format.TEXT, "0.0.4"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Exposition:
    """What a target answered."""

    body: bytes
    """After decompression."""
    format: Format = Format.TEXT
    note: str = ""
    """What is shown with the target though the scrape is good: why its probe failed."""


def known(protocol: str) -> bool:
    """Whether a name of `scrape_protocols` is one that we read. `PrometheusProto` is not."""
    return protocol in _MEDIA


def accept(protocols: Sequence[str] = (), escaping: str = ESCAPING) -> str:
    """The `Accept` header for some protocols, best first; none stands for `DEFAULT`.

    `escaping` is how names that are not classic should be written. Raises `KeyError` for a protocol that is not `known`.
    """
    asked = tuple(protocols) or DEFAULT
    weights = range(_WEIGHT, -1, -1)
    parts = [_offer(name, escaping, weight) for name, weight in zip(asked, weights, strict=False)]
    return ",".join([*parts, f"*/*;q=0.{weights[len(asked)]}"])


def choose(content_type: str, fallback: str = "") -> Format:
    """The format of an answer by its `Content-Type`.

    `fallback` is the protocol to assume where the header is missing, cannot be read, or names what we do not read; empty
    means that such a scrape fails. Raises `TransientError` (reason `content_type`).
    """
    if not content_type.strip():
        return _fallback(fallback, "the target sent no Content-Type")
    media, version = _media(content_type)
    if not media:
        return _fallback(fallback, f"the Content-Type {content_type!r} cannot be read")
    if media == Format.OPENMETRICS.value and version == "2.0.0":
        return _fallback(fallback, "the target sent OpenMetrics 2.0.0, which is not read")
    for one in Format:
        if media == one.value:
            return one
    return _fallback(fallback, f"the target sent Content-Type {content_type!r}, which is not read")


def _offer(name: str, escaping: str, weight: int) -> str:
    media, version = _MEDIA[name]
    escaped = f";escaping={escaping}" if name in _ESCAPED else ""
    return f"{media.value};version={version}{escaped};q=0.{weight}"


def _media(content_type: str) -> tuple[str, str]:
    """The media type in lower case and its version; empty texts for what is not a media type."""
    message = email.message.Message()
    message["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    media = content_type.partition(";")[0].strip().lower()
    if media.count("/") != 1 or media.startswith("/") or media.endswith("/") or " " in media:
        return "", ""
    version = message.get_param("version", "")
    return media, version if isinstance(version, str) else ""


def _fallback(fallback: str, why: str) -> Format:
    if fallback in _MEDIA:
        return _MEDIA[fallback][0]
    hint = "set fallback_scrape_protocol for its job to read it all the same"
    raise problems.TransientError(f"{why}; {hint}", reason="content_type")
