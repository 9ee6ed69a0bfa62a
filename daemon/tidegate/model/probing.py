"""The settings of probes: the blackbox exporter's `modules`, field by field, so that its file is accepted as it is.

Source: https://github.com/prometheus/blackbox_exporter/blob/master/CONFIGURATION.md. What we cannot do is not refused
here, because nobody may use it: `Module.unsupported` says it, a notice tells it, and a job that names it is an error.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pydantic
import re2

from tidegate.model import client
from tidegate.model.httpclient import HttpClient, SecretText, Tls
from tidegate.model.section import Section, Size, Text, text

Preferred = Literal["", "ip4", "ip6"]
_SPAN = re.compile(r"(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _span(value: object) -> object:
    """Go's form of a duration (`1.5s`, `1m30s`) as seconds."""
    if not isinstance(value, str):
        return value
    if _SPAN.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a duration such as 5s or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


def _pattern(value: str) -> str:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(value, options)
    except re2.error as error:
        raise ValueError(f"{value!r} is not an RE2 pattern: {error}") from None
    return value


def _empty(value: object) -> object:
    """A section without fields is one with its defaults."""
    return {} if value is None else value


def _bytes(value: object) -> object:
    return text(value) if not isinstance(value, bytes) else value


Span = Annotated[float, pydantic.BeforeValidator(_span), pydantic.Field(ge=0)]
Pattern = Annotated[Text, pydantic.AfterValidator(_pattern)]
Bytes = Annotated[pydantic.SecretBytes, pydantic.BeforeValidator(_bytes)]
"""A text or YAML's `!!binary`. Never shown: log-ins are probed with it."""
RECORD_TYPES = (
    *("A", "NS", "MD", "MF", "CNAME", "SOA", "MB", "MG", "MR", "NULL", "PTR", "HINFO", "MINFO"),
    *("MX", "TXT", "RP", "AFSDB", "X25", "ISDN", "RT", "SIG", "KEY", "PX", "GPOS", "AAAA", "LOC"),
    *("NXT", "SRV", "NAPTR", "KX", "CERT", "DNAME", "APL", "DS", "SSHFP", "IPSECKEY", "RRSIG", "NSEC", "DNSKEY"),
    *(
        "DHCID",
        "NSEC3",
        "NSEC3PARAM",
        "TLSA",
        "SMIMEA",
        "HIP",
        "NINFO",
        "CDS",
        "CDNSKEY",
        "OPENPGPKEY",
        "CSYNC",
        "ZONEMD",
        "SVCB",
    ),
    *("HTTPS", "SPF", "UNSPEC", "NID", "L32", "L64", "LP", "EUI48", "EUI64", "URI", "CAA", "AVC", "AMTRELAY"),
    *("TA", "DLV", "ANY"),
)
CLASSES = ("IN", "CS", "CH", "HS", "NONE", "ANY")


class Addressed(Section):
    """Which of a name's addresses is probed."""

    preferred_ip_protocol: Text = ""
    """`ip4` or `ip6`; default `ip6`."""
    ip_protocol_fallback: bool = True
    """Take the other kind where the preferred one is missing."""


class HeaderMatch(Section):
    """A pattern for a header."""

    header: Text = pydantic.Field(min_length=1)
    """The header's name."""
    regexp: Pattern = pydantic.Field(min_length=1)
    """RE2, not anchored."""
    allow_missing: bool = False
    """An answer without the header is fine."""


class HttpProbe(HttpClient, Addressed):
    """The prober `http`."""

    valid_status_codes: tuple[int, ...] = ()
    """Statuses that are a success; default 2xx."""
    valid_http_versions: tuple[Text, ...] = ()
    """Versions that are a success, e.g. `HTTP/1.1`; default any. We speak HTTP/1.1."""
    skip_resolve_phase_with_proxy: bool = False
    """Let the proxy look up the name."""
    no_follow_redirects: bool | None = None
    """The older form of `follow_redirects`, the other way round."""
    fail_if_ssl: bool = False
    """TLS at the end of the redirects is a failure."""
    fail_if_not_ssl: bool = False
    """No TLS at the end of the redirects is a failure."""
    method: Text = "GET"
    """Method."""
    headers: dict[Text, SecretText] = {}
    """Headers of the request; `Host` is also the name that the certificate should have."""
    fail_if_body_matches_regexp: tuple[Pattern, ...] = ()
    """A body that one of them matches is a failure. RE2, not anchored."""
    fail_if_body_not_matches_regexp: tuple[Pattern, ...] = ()
    """A body that one of them does not match is a failure."""
    fail_if_body_json_matches_cel: Any = None
    """Not supported."""
    fail_if_body_json_not_matches_cel: Any = None
    """Not supported."""
    fail_if_header_matches: tuple[HeaderMatch, ...] = ()
    """A header that one of them matches is a failure."""
    fail_if_header_not_matches: tuple[HeaderMatch, ...] = ()
    """A header that one of them does not match is a failure."""
    body: SecretText | None = None
    """The request's body."""
    body_file: Text = ""
    """A file with the body, read at each probe."""
    compression: Text = ""
    """How the body must be compressed: `gzip`, `deflate` or `identity`."""
    body_size_limit: Size = 0
    """A longer body (bytes, decompressed) is a failure; 0 is no limit."""
    enable_http3: bool = False
    """Not supported."""

    @pydantic.model_validator(mode="after")
    def _fits(self) -> HttpProbe:
        if self.body and self.body_file:
            raise ValueError("setting body and body_file both are not allowed")
        for name, value in self.headers.items():
            accepted = value.get_secret_value()
            if name.lower() == "accept-encoding" and not _accepts(accepted, self.compression):
                raise ValueError(f"{name}: {accepted} does not accept compression: {self.compression}")
        if not self.enable_http3 and "HTTP/3.0" in self.valid_http_versions:
            raise ValueError("HTTP/3 cannot be used as a valid HTTP version when enable_http3 is false")
        if self.enable_http3 and {"HTTP/2.0", "HTTP/1.1"} & set(self.valid_http_versions):
            raise ValueError("only HTTP/3.0 is allowed in valid_http_versions when enable_http3 is true")
        if self.enable_http3 and self.enable_http2:
            raise ValueError("when enable_http3 is true, enable_http2 must be set to false")
        return self

    @property
    def unsupported(self) -> str:
        """What of it cannot be done; empty when all can."""
        cel = ("fail_if_body_json_matches_cel", "fail_if_body_json_not_matches_cel")
        for name in cel:
            if getattr(self, name) is not None:
                return f"`{name}` is not supported: match the body with fail_if_body_not_matches_regexp"
        if self.enable_http3:
            return "`enable_http3` is not supported"
        if self.valid_http_versions and not {"HTTP/1.1", "HTTP/1.0"} & set(self.valid_http_versions):
            return "`valid_http_versions` has neither HTTP/1.1 nor HTTP/1.0, and no other is spoken"
        if self.compression.lower() not in {"", "gzip", "deflate", "identity"}:
            return f"`compression: {self.compression}` is not supported: gzip, deflate and identity are"
        if self.proxy_url and not self.proxy_url.startswith("http://"):
            return "`proxy_url` must begin with http://: no other proxy is supported"
        return ""

    def client(self) -> client.Client:
        """Who we are and whom we trust."""
        follow = self.follow_redirects if self.no_follow_redirects is None else not self.no_follow_redirects
        # Not `super()`: pydantic's classes are made anew, and this one calls nothing else of it.
        return HttpClient.client(self.model_copy(update={"follow_redirects": follow}))


def _accepts(accepted: str, compression: str) -> bool:
    """Whether an `Accept-Encoding` asks for the compression that is expected."""
    if not compression or not accepted:
        return True
    weights = []
    for part in accepted.split(","):
        name, _, quality = part.rpartition(";") if ";" in part else (part, "", "1")
        try:
            weights.append((name.strip(), round(float(quality.strip().removeprefix("q=")), 3)))
        except ValueError:
            weights.append((name.strip(), 0.0))
    weights.sort(key=lambda one: -one[1])
    return next((weight > 0 for name, weight in weights if name in {compression, "*"}), False)


class Label(Section):
    """A label of `probe_expect_info`."""

    name: Text = pydantic.Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")
    """Its name."""
    value: Text = ""
    """Its value; `${1}` is a group of `expect`."""


class QueryResponse(Section):
    """One step of a conversation over TCP."""

    expect: Pattern | None = None
    """Read lines until this one matches (RE2, not anchored)."""
    expect_bytes: Bytes | None = None
    """Read exactly these bytes."""
    labels: tuple[Label, ...] = ()
    """Put what was matched on `probe_expect_info`."""
    send: Bytes | None = None
    """Send this and a line feed; `${1}` is a group of `expect`."""
    starttls: bool = False
    """Go on with TLS."""

    @pydantic.model_validator(mode="after")
    def _one(self) -> QueryResponse:
        if self.expect is not None and self.expect_bytes and self.expect_bytes.get_secret_value():
            raise ValueError("expect and expect_bytes are mutually exclusive")
        return self


class TcpProbe(Addressed):
    """The prober `tcp`."""

    source_ip_address: Text = ""
    """The address to probe from."""
    query_response: tuple[QueryResponse, ...] = ()
    """The conversation, step by step; none is just a connection."""
    tls: bool = False
    """Speak TLS from the beginning."""
    tls_config: Tls = Tls()
    """TLS."""


class RecordsMatch(Section):
    """Patterns for the records of one section of a DNS answer, as in `example.com.<tab>300<tab>IN<tab>A<tab>192.0.2.1`."""

    fail_if_matches_regexp: tuple[Pattern, ...] = ()
    """A record that one of them matches is a failure."""
    fail_if_all_match_regexp: tuple[Pattern, ...] = ()
    """Records that all match all of them are a failure only when they do not: the exporter's own meaning."""
    fail_if_not_matches_regexp: tuple[Pattern, ...] = ()
    """A record that one of them does not match is a failure, and so is no record."""
    fail_if_none_matches_regexp: tuple[Pattern, ...] = ()
    """No record that one of them matches is a failure."""


class DnsProbe(Addressed):
    """The prober `dns`; the target is the server."""

    query_name: Text = ""
    """The name to look up. Required."""
    query_type: Text = "ANY"
    """Type of records, e.g. `A`, `SOA`."""
    query_class: Text = "IN"
    """Class of records."""
    transport_protocol: Text = "udp"
    """`udp` or `tcp`."""
    recursion_desired: bool = True
    """Ask the server to ask others."""
    dns_over_tls: bool = False
    """DNS over TLS; needs `transport_protocol: tcp`."""
    tls_config: Tls = Tls()
    """TLS."""
    source_ip_address: Text = ""
    """The address to probe from."""
    valid_rcodes: tuple[Text, ...] = ()
    """Answer codes that are a success; default `NOERROR`."""
    validate_answer_rrs: RecordsMatch = RecordsMatch()
    """Patterns for the answer."""
    validate_authority_rrs: RecordsMatch = RecordsMatch()
    """Patterns for the authority section."""
    validate_additional_rrs: RecordsMatch = RecordsMatch()
    """Patterns for the additional section."""

    @pydantic.model_validator(mode="after")
    def _named(self) -> DnsProbe:
        if not self.query_name:
            raise ValueError("query name must be set for DNS module")
        if self.query_class not in CLASSES:
            raise ValueError(f"query class {self.query_class!r} is not valid: {', '.join(CLASSES)} are")
        if self.query_type not in RECORD_TYPES:
            raise ValueError(f"query type {self.query_type!r} is not valid")
        return self


class IcmpProbe(Addressed):
    """The prober `icmp`."""

    source_ip_address: Text = ""
    """The address to probe from."""
    payload_size: int = pydantic.Field(default=0, ge=0, le=65000)
    """Bytes of the payload; 0 is a short one."""
    dont_fragment: bool = False
    """Do not let routers cut the packet (IPv4)."""
    ttl: int = pydantic.Field(default=64, ge=0, le=255)
    """How many routers the packet may pass."""


class Module(Section):
    """How to probe: the blackbox exporter's module."""

    prober: Literal["http", "tcp", "dns", "icmp", "grpc", "unix", "websocket"]
    """`http`, `tcp`, `dns` or `icmp`. The exporter's `grpc`, `unix` and `websocket` are not supported."""
    timeout: Span = 0.0
    """Seconds until a probe fails; default and at most the job's `scrape_timeout`."""
    http: Annotated[HttpProbe, pydantic.BeforeValidator(_empty)] = HttpProbe()
    """For `prober: http`."""
    tcp: Annotated[TcpProbe, pydantic.BeforeValidator(_empty)] = TcpProbe()
    """For `prober: tcp`."""
    dns: DnsProbe | None = None
    """For `prober: dns`; required there."""
    icmp: Annotated[IcmpProbe, pydantic.BeforeValidator(_empty)] = IcmpProbe()
    """For `prober: icmp`."""
    grpc: Any = None
    """Not supported."""
    unix: Any = None
    """Not supported."""
    websocket: Any = None
    """Not supported."""

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Module:
        if self.prober == "dns" and self.dns is None:
            raise ValueError("a module with `prober: dns` needs a `dns` section with a query_name")
        return self

    @property
    def unsupported(self) -> str:
        """What of it cannot be done; empty when all can."""
        if self.prober in {"grpc", "unix", "websocket"}:
            return f"the prober `{self.prober}` is not supported: http, tcp, dns and icmp are"
        return self.http.unsupported if self.prober == "http" else ""


BUILT_IN = {
    "http_2xx": Module(prober="http", http=HttpProbe(preferred_ip_protocol="ip4")),
    "http_post_2xx": Module(prober="http", http=HttpProbe(method="POST")),
    "tcp_connect": Module(prober="tcp"),
    "icmp": Module(prober="icmp"),
}
"""There without any settings; a module of the same name takes their place."""


class Probes(Section):
    """Active probes: see [probes](probes.md)."""

    config_files: tuple[str, ...] = ()
    """Patterns of files with further modules; the `blackbox.yml` of a blackbox exporter will do."""
    modules: dict[str, Module] = {}
    """How to probe, by the name that a job's `probe` gives. `http_2xx`, `http_post_2xx`, `tcp_connect` and `icmp` are
    built in.
    """

    def module(self, name: str) -> Module | None:
        """The module of a name; None where there is none."""
        return self.modules.get(name) or BUILT_IN.get(name)
