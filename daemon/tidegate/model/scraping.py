"""The settings of scraping: Prometheus' `scrape_configs` entry, field by field, and our own defaults.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#scrape_config. A field that asks for
native histograms, which we do not store, is refused by name; those that change no result are accepted.
"""

from __future__ import annotations

import urllib.parse
from typing import Annotated, Any, Literal

import pydantic

from tidegate.model import relabelling
from tidegate.model.httpclient import HttpClient, Texts
from tidegate.model.section import Duration, Section, Size, Text

Protocol = Literal["OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"]
Offered = Literal[
    "OpenMetricsText1.0.0",
    "OpenMetricsText0.0.1",
    "PrometheusText1.0.0",
    "PrometheusText0.0.4",
    "PrometheusProto",
    "OpenMetricsText2.0.0",
]
UNREAD = frozenset({"PrometheusProto", "OpenMetricsText2.0.0"})
"""Protocols that may be named among others, and are not asked for."""
Escaping = Literal["", "allow-utf-8", "underscores", "dots", "values"]
Validation = Literal["", "utf8", "legacy"]
_FILES = r"^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$"
"""A star may stand in the file's name only."""


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _uppered(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _refused(what: str) -> pydantic.BeforeValidator:
    def check(value: object) -> object:
        if value is True:
            raise ValueError(f"{what} are not supported yet: leave this out, classic histograms are scraped")
        return value

    return pydantic.BeforeValidator(check)


def _url(value: str) -> str:
    parts = urllib.parse.urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{value!r} is not a URL such as https://targets.example/list")
    _ = parts.port  # raises ValueError for what is none
    return value


class StaticConfig(Section):
    """Prometheus' `static_configs` entry."""

    targets: tuple[Text, ...] = ()
    """`host:port` of each target."""
    labels: dict[str, Text] = {}
    """Labels put on all their series."""


class FileConfig(Section):
    """Prometheus' `file_sd_configs` entry."""

    files: tuple[Annotated[str, pydantic.Field(pattern=_FILES)], ...] = pydantic.Field(min_length=1)
    """Patterns of JSON or YAML files with lists of `targets` and `labels`."""
    refresh_interval: Duration = 300.0
    """How often the files are read again."""


class HttpConfig(HttpClient):
    """Prometheus' `http_sd_configs` entry."""

    url: Annotated[str, pydantic.AfterValidator(_url)]
    """Answers a JSON list of `targets` and `labels`."""
    refresh_interval: Duration = 60.0
    """How often it is asked."""


class DnsConfig(Section):
    """Prometheus' `dns_sd_configs` entry."""

    names: tuple[str, ...] = pydantic.Field(min_length=1)
    """Names to look up; each record found is a target."""
    type: Annotated[Literal["SRV", "A", "AAAA", "MX", "NS"], pydantic.BeforeValidator(_uppered)] = "SRV"
    """Kind of records: `SRV`, `A`, `AAAA`, `MX` or `NS`."""
    port: int = pydantic.Field(default=0, ge=0, lt=65536)
    """Port of the targets; `SRV` records name their own."""
    refresh_interval: Duration = 30.0
    """How often the names are looked up again."""

    @pydantic.model_validator(mode="after")
    def _ported(self) -> DnsConfig:
        if self.type != "SRV" and not self.port:
            raise ValueError("a port is required for all types except SRV")
        return self


class RelabelConfig(Section):
    """One step of relabelling."""

    source_labels: tuple[Text, ...] = ()
    """Labels whose values are joined and matched."""
    separator: Text = relabelling.DEFAULT_SEPARATOR
    """Stands between them."""
    regex: Text = relabelling.DEFAULT_REGEX
    """RE2, fully anchored."""
    modulus: int = pydantic.Field(default=0, ge=0, lt=2**64)
    """For `hashmod`."""
    target_label: Text = ""
    """The label that is set or compared."""
    replacement: Text = relabelling.DEFAULT_REPLACEMENT
    """What is written; `$1` and `${name}` are groups of the pattern."""
    action: Annotated[relabelling.Action, pydantic.BeforeValidator(_lowered)] = "replace"
    """`replace`, `keep`, `drop`, `keepequal`, `dropequal`, `hashmod`, `labelmap`, `labeldrop`, `labelkeep`, `lowercase`,
    `uppercase`.
    """

    def step(self, *, legacy_names: bool) -> relabelling.Step:
        """What the rest works with."""
        return relabelling.Step(**dict(self), legacy_names=legacy_names)


class Limits(Section):
    """Limits of one scrape. 0 is no limit."""

    sample_limit: int = pydantic.Field(default=0, ge=0)
    """More samples than this, after `metric_relabel_configs`, fail the scrape."""
    target_limit: int = pydantic.Field(default=0, ge=0)
    """More targets than this, after `relabel_configs`, fail all scrapes of the job."""
    label_limit: int = pydantic.Field(default=0, ge=0)
    """A series with more labels fails the scrape."""
    label_name_length_limit: int = pydantic.Field(default=0, ge=0)
    """A longer label name (bytes) fails the scrape."""
    label_value_length_limit: int = pydantic.Field(default=0, ge=0)
    """A longer label value (bytes) fails the scrape."""
    keep_dropped_targets: int = pydantic.Field(default=0, ge=0)
    """How many targets that relabelling dropped are listed for a job; 0 is all."""


class Job(HttpClient, Limits):
    """What to scrape: Prometheus' `scrape_configs` entry."""

    job_name: Text = pydantic.Field(min_length=1)
    """The `job` label."""
    static_configs: tuple[StaticConfig, ...] = ()
    """Targets written here."""
    file_sd_configs: tuple[FileConfig, ...] = ()
    """Targets in files that others write."""
    http_sd_configs: tuple[HttpConfig, ...] = ()
    """Targets that a URL tells."""
    dns_sd_configs: tuple[DnsConfig, ...] = ()
    """Targets behind DNS names, e.g. the pods of a headless service."""
    probe: Text = ""
    """The module to [probe](probes.md) the targets with, instead of scraping them."""
    relabel_configs: tuple[RelabelConfig, ...] = ()
    """Changes of the targets' labels, before they are scraped."""
    metric_relabel_configs: tuple[RelabelConfig, ...] = ()
    """Changes of the series' labels, before they are stored."""
    metrics_path: Text = "/metrics"
    """Path of the exposition."""
    scheme: Literal["http", "https"] = "http"
    """Protocol."""
    params: dict[Text, Texts] = {}
    """URL parameters."""
    scrape_interval: Duration | None = None
    """Seconds between scrapes; default `scrape.interval`."""
    scrape_timeout: Duration | None = None
    """Seconds until a scrape fails; default `scrape.timeout`, at most the interval."""
    scrape_protocols: tuple[Offered, ...] = ()
    """Formats to ask for, best first; default all that are read, OpenMetrics first. `PrometheusProto` and
    `OpenMetricsText2.0.0` are not asked for, and others must stand beside them.
    """
    fallback_scrape_protocol: Literal["", Protocol] = ""
    """The format to assume where the answer does not say; without it such a scrape fails."""
    honor_labels: bool = False
    """Keep the exposition's label when it clashes with the target's (else it becomes `exported_<label>`)."""
    honor_timestamps: bool = True
    """Use the timestamps of the exposition, where it has some."""
    track_timestamps_staleness: bool = False
    """Mark series with timestamps of their own stale when they are gone."""
    body_size_limit: Size | None = None
    """A larger exposition (bytes, decompressed) fails the scrape; default `scrape.body_size_limit`, 0 is no limit."""
    enable_compression: bool = True
    """Ask for gzip."""
    extra_scrape_metrics: bool | None = None
    """Store `scrape_timeout_seconds`, `scrape_sample_limit` and `scrape_body_size_bytes` too; default that of `scrape`."""
    metric_name_validation_scheme: Validation = ""
    """`legacy` fails scrapes with names that Prometheus 2 did not have."""
    metric_name_escaping_scheme: Escaping = ""
    """How names that are not classic should be sent."""
    scrape_failure_log_file: str = ""
    """Accepted for compatibility: failed scrapes are in the log and in `/api/v1/targets`."""
    scrape_native_histograms: Annotated[bool | None, _refused("native histograms")] = None
    """`true` is refused."""
    convert_classic_histograms_to_nhcb: Annotated[bool | None, _refused("native histograms")] = None
    """`true` is refused."""
    always_scrape_classic_histograms: bool | None = None
    """Accepted for compatibility: classic histograms are always scraped."""
    native_histogram_bucket_limit: int = 0
    """Accepted for compatibility."""
    native_histogram_min_bucket_factor: float = 0.0
    """Accepted for compatibility."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _written(cls, given: Any) -> Any:
        for name in given if isinstance(given, dict) else ():
            if str(name).endswith("_sd_configs") and name not in cls.model_fields:
                raise ValueError(f"`{name}` is not supported: static, file, http and dns are")
        if isinstance(given, dict) and given.get("scrape_protocols") == []:
            raise ValueError("scrape_protocols cannot be empty: leave it out for all of them")
        return given

    @pydantic.model_validator(mode="after")
    def _names(self) -> Job:
        if self.metric_name_validation_scheme == "legacy" and self.metric_name_escaping_scheme == "allow-utf-8":
            raise ValueError("utf8 metric names requested but validation scheme is not set to UTF8")
        if len(set(self.scrape_protocols)) < len(self.scrape_protocols):
            raise ValueError("duplicated protocol in scrape_protocols")
        if self.scrape_protocols and not self.read_protocols:
            raise ValueError(f"{' and '.join(self.scrape_protocols)} cannot be read: name a text format too")
        return self

    @pydantic.model_validator(mode="after")
    def _probed(self) -> Job:
        """What would have no effect is refused: a probe's TLS and secrets stand in its module."""
        if self.probe:
            own = {
                *HttpClient.model_fields,
                "scheme",
                "body_size_limit",
                "enable_compression",
                "fallback_scrape_protocol",
            }
            given = sorted(own & self.model_fields_set)
            if given:
                raise ValueError(f"a job with `probe` has no {', '.join(given)}: that belongs in the module")
            if set(self.params) - {"target", "module", "hostname"}:
                raise ValueError("a job with `probe` has no params but target, module and hostname")
        return self

    @property
    def read_protocols(self) -> tuple[str, ...]:
        """The formats to ask for that can be read."""
        return tuple(one for one in self.scrape_protocols if one not in UNREAD)

    @property
    def escaping(self) -> str:
        """The escaping to ask for."""
        return self.metric_name_escaping_scheme or (
            "underscores" if self.metric_name_validation_scheme == "legacy" else "allow-utf-8"
        )

    @property
    def legacy_names(self) -> bool:
        """Whether only classic names are allowed."""
        return self.metric_name_validation_scheme == "legacy"


class Scrape(Limits):
    """Metrics in. The limits are defaults for jobs that give none."""

    interval: Duration = 15.0
    """Seconds between scrapes of a target."""
    timeout: Duration = 10.0
    """Seconds until a scrape counts as failed."""
    keep: Literal["rules", "all"] = "all"
    """`rules` drops series that no rule, gate condition or chart reads."""
    retention: Duration = 3600.0
    """How far back ad-hoc queries can look; rules that look further back extend it for their series."""
    series_limit: int = 2_000_000
    """Series in memory; further ones are refused and counted, instead of the process being killed."""
    body_size_limit: Size = 64 * 1024 * 1024
    """For jobs that give none."""
    extra_scrape_metrics: bool = False
    """For jobs that do not say."""
    config_files: tuple[str, ...] = ()
    """Patterns of files with further `scrape_configs`; a whole `prometheus.yml` will do."""
    jobs: tuple[Job, ...] = ()
    """What to scrape."""
