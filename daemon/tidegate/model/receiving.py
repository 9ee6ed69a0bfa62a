"""Settings of the inputs that log lines are sent to, instead of being read from files: syslog, OTLP, HTTP, journald.

The docstring under a field is its documentation, as in `settings`.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import pydantic

from tidegate.model import processing
from tidegate.model.section import Duration, Section, Size

Name = Annotated[str, pydantic.StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
"""The name of an input: part of a folder's name and a metric's label."""


class Spool(Section):
    """The files on disk that what was received waits in until it is stored."""

    max_bytes: Size = pydantic.Field(default=1024**3, ge=64 * 1024)
    """Most of it on disk."""
    when_full: Literal["block", "drop-oldest"] = "block"
    """`block` refuses what comes (HTTP 503, TCP back-pressure; datagrams are dropped and counted); `drop-oldest` makes room,
    counted in lines and bytes.
    """


class ServerTls(Section):
    """The certificate that senders see, and which certificates they must show."""

    cert_file: str
    """Our certificate and its chain (PEM)."""
    key_file: str
    """Its key (PEM)."""
    client_ca_file: str = ""
    """Senders must show a certificate that one of these signed. Empty: they need none."""

    @property
    def files(self) -> tuple[str, ...]:
        """All of them."""
        return (self.cert_file, self.key_file, *([self.client_ca_file] if self.client_ca_file else []))


class Received(Section):
    """What every input has that lines are sent to."""

    dataset: str = "generic"
    """`data_stream.dataset`: lower case, no `-`."""
    namespace: str = "default"
    """`data_stream.namespace`: lower case, no `-`."""
    service: str = ""
    """`service.name`, for lines that do not say their own."""
    environment: str = ""
    """`service.environment`, for lines that do not say their own."""
    version: str = ""
    """`service.version`, for lines that do not say their own."""
    labels: dict[str, str] = pydantic.Field(default={})
    """`labels.*` on every line."""
    redact: tuple[processing.Rule, ...] = ()
    """What is replaced by `[redacted:NAME]` before a line leaves: `secrets`, `cards`, `email`, `ip`; see
    [redaction](logs.md#redaction). The spool on disk has the lines as they came.
    """
    redact_patterns: dict[processing.RuleName, str] = pydantic.Field(default={})
    """More to replace: RE2 patterns by name."""
    limits: processing.LineLimits = processing.LineLimits()
    """Sampling and rate limits. They count when lines are shipped, so what is acknowledged is not held up by them."""
    spool: Spool = Spool()
    """Where lines wait until they are stored."""

    @property
    def tls_files(self) -> tuple[str, ...]:
        """The files of its certificates."""
        tls = getattr(self, "tls", None)
        return tls.files if isinstance(tls, ServerTls) else ()


class Syslog(Received):
    """Syslog messages, RFC 5424 or RFC 3164, decided message by message."""

    listen: str = "127.0.0.1:5514"
    """Address and port."""
    protocol: Literal["udp", "tcp"] = "tcp"
    """`tcp` takes octet-counted and newline-ended messages (RFC 6587); with `tls` it is RFC 5425."""
    tls: ServerTls | None = None
    """TLS on `tcp`."""
    time_zone: str = "UTC"
    """The zone of RFC 3164 times, which do not say theirs, e.g. `Europe/Berlin`."""
    max_message_bytes: Size = pydantic.Field(default=65_536, ge=480, le=1024 * 1024)
    """A longer message is cut, marked and counted."""
    max_connections: int = pydantic.Field(default=256, ge=1)
    """Open at once; further ones are closed and counted."""
    idle_timeout: Duration = 3600.0
    """A connection that was silent so long is closed; so is one that takes so long over its TLS handshake, at most 10 s."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> Syslog:
        if self.tls is not None and self.protocol == "udp":
            raise ValueError("`tls` needs `protocol: tcp`")
        try:
            if self.time_zone != "UTC":  # known without a database of zones
                zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {self.time_zone!r}") from None
        return self


class Http(Received):
    """What inputs over HTTP have."""

    listen: str
    """Address and port."""
    token: pydantic.SecretStr | None = None
    """The bearer token that senders must give. Only an input on a loopback address may do without."""
    tls: ServerTls | None = None
    """HTTPS."""
    max_body_bytes: Size = pydantic.Field(default=8 * 1024 * 1024, ge=1024)
    """Of one request, before and after decompression; a larger one is answered with 413."""
    max_connections: int = pydantic.Field(default=256, ge=1)
    """Open at once; further ones are closed and counted."""
    idle_timeout: Duration = 60.0
    """A connection without a request is closed after it, and so is one whose request takes longer to come."""


class Otlp(Http):
    """OpenTelemetry's log records, OTLP/HTTP: `POST /v1/logs`, protobuf or JSON."""

    listen: str = "127.0.0.1:4318"
    """Address and port."""


class HttpLines(Http):
    """JSON lines, a JSON array, or lines of text: `POST /`."""

    listen: str = "127.0.0.1:8088"
    """Address and port."""


class ElasticsearchBulk(Http):
    """What shippers send to Elasticsearch: `POST /_bulk`."""

    listen: str = "127.0.0.1:9200"
    """Address and port."""


class Journald(Received):
    """The systemd journal of this machine, followed through `journalctl`."""

    command: str = "journalctl"
    """The program."""
    directory: str = ""
    """Read the journal files of this folder instead of this machine's journal."""
    units: tuple[str, ...] = ()
    """Only these units, e.g. `nginx.service`; empty for all."""
    start_at: Literal["beginning", "end"] = "end"
    """Where to begin when nothing was read before."""


class Receive(Section):
    """Inputs that lines are sent to, each kind by the names that you give; see [inputs](inputs.md)."""

    syslog: dict[Name, Syslog] = pydantic.Field(default={})
    """Syslog over UDP, TCP or TLS."""
    otlp: dict[Name, Otlp] = pydantic.Field(default={})
    """OpenTelemetry over HTTP."""
    http: dict[Name, HttpLines] = pydantic.Field(default={})
    """JSON or text lines over HTTP."""
    elasticsearch: dict[Name, ElasticsearchBulk] = pydantic.Field(default={})
    """Elasticsearch's `_bulk`, for Filebeat, Fluent Bit, Vector, rsyslog and the like."""
    journald: dict[Name, Journald] = pydantic.Field(default={})
    """The systemd journal."""

    def named(self) -> Iterator[tuple[str, str, Received]]:
        """Each input with its kind and its name."""
        groups: list[tuple[str, Mapping[str, Received]]] = list(self)
        for kind, group in groups:
            for name, one in group.items():
                yield kind, name, one
