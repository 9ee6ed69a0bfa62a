"""The settings: one YAML file, each field also as environment `TIDEGATE_SECTION__FIELD`, each secret also from a file.

The docstring under a field is its documentation; `docs/settings.md` lists them and a test holds the two together.
A secret `x` is given as `x`, or as `x_file` (a path; the environment form is `TIDEGATE_..._X_FILE`).
Reading files and the environment is `tidegate.kit.config`'s business.
"""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from tidegate.model import logoutputs, processing
from tidegate.model.httpclient import HttpClient
from tidegate.model.probing import Probes
from tidegate.model.receiving import Receive
from tidegate.model.remotewrite import RemoteWrite
from tidegate.model.scraping import Job, Scrape
from tidegate.model.section import Duration, Section, seconds

__all__ = ["Duration", "Job", "Scrape", "Section", "seconds"]


class Web(Section):
    """The one listen address: pages, APIs, the gate and our own metrics."""

    listen: str = "127.0.0.1:9320"
    """Address and port; `0.0.0.0:9320` to answer other machines."""
    external_url: str = ""
    """How people reach us; the base of links in messages. Empty: `http://` and the listen address."""
    tokens: dict[str, Token] = {}
    """Who may write, by name: each with a `token` and its `scopes`."""
    open_writes: bool = False
    """Allow writes without a token from this machine (loopback). `tidegate run` turns it on."""


class Token(Section):
    """One caller that may write."""

    token: pydantic.SecretStr
    """The bearer token."""
    scopes: tuple[Literal["silence", "deploy", "alert", "write", "admin"], ...] = ("deploy",)
    """What it may do: `silence` (make and end silences), `deploy` (record deploys), `alert` (push alerts), `write` (push
    samples), `admin` (reload).
    """


class Datasource(HttpClient):
    """A server with Prometheus' query API that rule groups can be evaluated on."""

    url: str = pydantic.Field(pattern=r"^https?://[^/]")
    """Its address, e.g. `https://mimir.example/prometheus`."""
    timeout: Duration = 30.0
    """Seconds for one query."""


class Rules(Section):
    """Rule files."""

    files: tuple[str, ...] = ()
    """Patterns of rule files, relative to this file."""
    packs: tuple[str, ...] = ()
    """Shipped [rule packs](packs.md) by name, e.g. `[node, http, tidegate]`."""
    evaluation_interval: Duration = 15.0
    """For groups that give no `interval`."""
    resolved_retention: Duration = 900.0
    """How long a resolved alert stays listed."""
    keep_on_target_loss: bool = True
    """A firing alert whose target does not answer goes on firing until the target answers again or is gone."""
    external_labels: dict[str, str] = {}
    """Put on every alert."""
    datasources: dict[str, Datasource] = {}
    """Servers with Prometheus' query API, by the name that rule groups call them in `datasource`."""
    experimental_promql: bool = False
    """Allow what Prometheus has behind feature flags; see [PromQL](promql.md#experimental-forms)."""


class Multiline(Section):
    """Joining of lines into one event."""

    enabled: bool = True
    """Join stack traces (Java, Python, Go, Node, .NET, Ruby) to the line above them."""
    max_lines: int = 500
    """A longer trace is cut, and the cut is marked."""
    flush_after: Duration = 2.0
    """An event is taken for whole when its file was quiet this long."""


class LogInput(Section):
    """Files to tail."""

    paths: tuple[str, ...]
    """Patterns, e.g. `/var/log/containers/*.log`; `**` goes into folders."""
    exclude: tuple[str, ...] = ()
    """Patterns of files that are not ours to read."""
    format: Literal[
        "auto", "cri", "docker", "json", "logfmt", "plain", "access", "regex", "grok", "key_value", "spool"
    ] = "auto"
    """How a line is written. `auto` decides line by line; `cri` and `docker` look at the format inside too; `spool` is
    what our own inputs write. See [formats](logs.md#formats).
    """
    pattern: str = ""
    """The RE2 pattern of `format: regex`, or the grok pattern of `format: grok`."""
    patterns: dict[str, str] = {}
    """Grok patterns of your own, by name."""
    pair_separator: str = pydantic.Field(default=" ", min_length=1)
    """What stands between two pairs, with `format: key_value`."""
    value_separator: str = pydantic.Field(default="=", min_length=1)
    """What stands between a name and its value, with `format: key_value`."""
    timezone: str = ""
    """The zone of times that say none, e.g. `Europe/Berlin`. Empty: UTC."""
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
    labels: dict[str, str] = {}
    """`labels.*` on every line."""
    multiline: Multiline = Multiline()
    """Joining of stack traces."""
    redact: tuple[processing.Rule, ...] = ()
    """What is replaced by `[redacted:NAME]` before a line leaves: `secrets`, `cards`, `email`, `ip`; see
    [redaction](logs.md#redaction).
    """
    redact_patterns: dict[processing.RuleName, str] = {}
    """More to replace: RE2 patterns by name."""
    limits: processing.LineLimits = processing.LineLimits()
    """Sampling and rate limits."""
    start_at: Literal["beginning", "end"] = "beginning"
    """Where to begin in files seen for the first time."""


class Elasticsearch(Section):
    """Elasticsearch 8, 9 or OpenSearch."""

    urls: tuple[str, ...] = ()
    """Nodes, e.g. `https://es:9200`. Empty: logs go to the embedded store."""
    username: str = ""
    """For basic authentication."""
    password: pydantic.SecretStr | None = None
    """For basic authentication."""
    api_key: pydantic.SecretStr | None = None
    """The encoded key, as Elasticsearch prints it."""
    ca_file: str = ""
    """Certificates to trust, beside the system's."""
    verify_tls: bool = True
    """Check the servers' certificates."""
    timeout: Duration = 30.0
    """Seconds for one request."""
    compress: bool = True
    """gzip the bodies."""
    retention: Duration = 30 * 86400.0
    """How long the data streams keep lines; `tidegate setup elasticsearch` installs it."""
    lifecycle: Literal["stream", "policy"] = "stream"
    """What removes old lines: the data stream's own lifecycle, or a policy of index lifecycle management (ILM)."""
    failure_store: bool = False
    """Let `tidegate setup elasticsearch` switch on the failure store: what a stream cannot map is kept there."""
    bulk_bytes: int = 2 * 1024 * 1024
    """Size of one bulk body before compression, and of one batch for every other output."""
    bulk_delay: Duration = 0.5
    """Longest time a line waits for company."""
    concurrency: int = 2
    """Bulk requests under way at once; for other outputs, batches beside the first one."""


class Kibana(Section):
    """Where people look at lines, for links."""

    url: str = ""
    """As a browser reaches it, with base path and space, e.g. `https://kibana.example.org/s/ops`. Empty: no links."""
    data_view: str = "logs-*"
    """Id of the data view that links open; `logs-*` is the one Elastic's own packages make."""


class Logs(Section):
    """Log lines in, and where they go."""

    inputs: tuple[LogInput, ...] = ()
    """What to tail."""
    receive: Receive = Receive()
    """What is sent to us: syslog, OTLP, HTTP, journald."""
    elasticsearch: Elasticsearch = Elasticsearch()
    """Where lines go; without `urls` they stay in the embedded store."""
    kibana: Kibana = Kibana()
    """Links from alerts to their lines."""
    logstash: logoutputs.Logstash = logoutputs.Logstash()
    """Where lines go too: [Logstash](outputs.md#logstash), when `url` is given."""
    otlp: logoutputs.Otlp = logoutputs.Otlp()
    """Where lines go too: [OpenTelemetry](outputs.md#otlp), when `url` is given."""
    cloudwatch: logoutputs.CloudWatch = logoutputs.CloudWatch()
    """Where lines go too: [Amazon CloudWatch Logs](outputs.md#amazon-cloudwatch-logs), when `group` is given."""
    google: logoutputs.GoogleCloud = logoutputs.GoogleCloud()
    """Where lines go too: [Google Cloud Logging](outputs.md#google-cloud-logging), when `project` is given."""
    azure: logoutputs.AzureMonitor = logoutputs.AzureMonitor()
    """Where lines go too: [Azure Monitor](outputs.md#azure-monitor), when `endpoint` is given."""
    file: logoutputs.JsonLines = logoutputs.JsonLines()
    """Where lines go too: [a file](outputs.md#file), when `path` is given."""
    poll_interval: Duration = 0.25
    """How often files are looked at."""
    max_line_bytes: int = 1024 * 1024
    """A longer line is cut, marked and counted."""
    max_open_files: int = 512
    """Open at once; further ones are read in turn."""
    embedded_retention: Duration = 86400.0
    """How long the embedded store keeps lines."""
    embedded_max_bytes: int = 1024 * 1024 * 1024
    """Size at which the embedded store drops its oldest lines, counted."""
    dead_letter_max_bytes: int = 64 * 1024 * 1024
    """Size at which the dead-letter file is rotated (one old one is kept)."""


class Receiver(pydantic.BaseModel):
    """One receiver in Alertmanager's form; its `*_configs` are checked by the stage that sends."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    name: str
    """Routes name it."""


class Route(Section):
    """Alertmanager's routing tree. Children inherit what they do not say."""

    receiver: str | None = None
    """Who is told; required at the root."""
    group_by: tuple[str, ...] | None = None
    """Labels that make a group; `...` is all of them."""
    matchers: tuple[str, ...] = ()
    """Conditions such as `severity="critical"` or `service=~"shop|cart"`."""
    continue_: bool = pydantic.Field(default=False, alias="continue")
    """Go on to the next sibling after a match."""
    group_wait: Duration | None = None
    """How long a new group waits for company (default 30s)."""
    group_interval: Duration | None = None
    """How long until a group that changed is told of again (default 5m)."""
    repeat_interval: Duration | None = None
    """How long until a group that did not change is told of again (default 4h)."""
    routes: tuple[Route, ...] = ()
    """More precise routes, tried in order."""


class AlertGlobal(Section):
    """Defaults of the receivers."""

    resolve_timeout: Duration = 300.0
    """For pushed alerts that give no `endsAt`."""
    slack_api_url: pydantic.SecretStr | None = None
    """The incoming webhook, for `slack_configs` without their own."""
    smtp_smarthost: str = ""
    """`host:port` of the mail server."""
    smtp_from: str = ""
    """Sender address."""
    smtp_hello: str = "localhost"
    """The name we greet the mail server with."""
    smtp_auth_username: str = ""
    """For AUTH."""
    smtp_auth_password: pydantic.SecretStr | None = None
    """For AUTH."""
    smtp_require_tls: bool = True
    """Refuse to send without STARTTLS."""


class Alerts(Section):
    """Who is told of what."""

    global_: AlertGlobal = pydantic.Field(default=AlertGlobal(), alias="global")
    """Defaults of the receivers."""
    route: Route = Route(receiver="console")
    """The routing tree."""
    receivers: tuple[Receiver, ...] = (Receiver.model_validate({"name": "console", "console_configs": [{}]}),)
    """Who can be told."""
    log_lines: int = pydantic.Field(default=5, ge=0, le=20)
    """Log lines behind an alert that go into a message."""
    silence_retention: Duration = 5 * 86400.0
    """How long ended silences are kept."""


class GateWhen(Section):
    """Which alerts shut a gate."""

    matchers: tuple[str, ...] = ('severity!~"info|none"',)
    """Conditions on an alert's labels; all must hold."""
    include_pending: bool = False
    """Alerts that do not fire yet shut it too (verdict `wait`)."""


class Environment(Section):
    """One environment that versions are promoted to."""

    alerts: GateWhen = GateWhen()
    """Which alerts shut the gate."""
    labels: dict[str, str] = {}
    """What marks its targets and alerts; default `environment: <name>`."""
    require_targets: bool = True
    """Without a reporting target of the service the verdict is `unknown`."""
    max_age: Duration = 60.0
    """Samples and evaluations older than this are no data."""
    soak: Duration = 0.0
    """After a deploy or a resolved alert, how long all must be quiet (verdict `wait`)."""
    rollback: Literal["allow", "judge"] = "allow"
    """Going back to a version that ran here before the present one: `allow` lets it pass whatever fires, `judge` does not."""


class Gate(Section):
    """The deployment gate."""

    environments: dict[str, Environment] = {"default": Environment()}
    """By name. Targets and alerts without an `environment` label belong to `default_environment`."""
    default_environment: str = "default"
    """Where series without an `environment` label belong."""
    service_labels: tuple[str, ...] = ("service", "job")
    """Labels that name the service, the first one present."""
    retry_after: Duration = 30.0
    """What `wait` and `deny` answers advise."""


class State(Section):
    """Alert state, silences, outbox, deploys."""

    url: pydantic.SecretStr | None = None
    """SQLAlchemy URL; default a SQLite file in `data_dir`."""


class Settings(Section):
    """Everything."""

    data_dir: str = "data"
    """Where everything is kept that must outlive the process."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Of our own log."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """Of our own log; `auto` is text on a terminal."""
    web: Web = Web()
    """Listen address and tokens."""
    scrape: Scrape = Scrape()
    """Metrics in."""
    probes: Probes = Probes()
    """What is asked from outside."""
    rules: Rules = Rules()
    """Rule files."""
    remote_write: tuple[RemoteWrite, ...] = ()
    """Where all samples, `ALERTS` among them, are [sent on to](remote-write.md), beside being kept here."""
    logs: Logs = Logs()
    """Log lines in, and where they go."""
    alerts: Alerts = Alerts()
    """Who is told of what."""
    gate: Gate = Gate()
    """The deployment gate."""
    state: State = State()
    """Where alert state is kept."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _nothing_is_defaults(cls, value: Any) -> Any:
        return {} if value is None else value


Web.model_rebuild()
