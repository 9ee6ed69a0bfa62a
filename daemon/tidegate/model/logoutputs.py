"""The settings of where log lines go, beside Elasticsearch. An output is on when its first field is given."""

from __future__ import annotations

from typing import Literal

import pydantic

from tidegate.model import client
from tidegate.model.httpclient import HttpClient
from tidegate.model.section import Duration, Section, Size


class Peer(HttpClient):
    """An output that is reached over HTTP."""

    timeout: Duration = pydantic.Field(default=30.0, gt=0)
    """Seconds for one request."""
    compress: bool = True
    """gzip the bodies."""
    follow_redirects: bool = False
    """Must stay false: a line that is sent on to a login page is lost."""

    @pydantic.field_validator("follow_redirects")
    @classmethod
    def _stays(cls, given: bool) -> bool:
        if given:
            raise ValueError("an output does not follow redirects: give the address that they lead to")
        return given


class Logstash(Peer):
    """Logstash, or what understands JSON lines over HTTP or TCP as it does."""

    url: str = pydantic.Field(default="", pattern=r"^((https?|tcp|tls)://[^/].*)?$")
    """`http://host:8080` (its `http` input), `tcp://host:5000` or `tls://host:5000` (its `tcp` input with `json_lines`)."""
    format: Literal["json", "ndjson"] = "json"
    """Over HTTP: one JSON array (`application/json`), or a line for each document (`application/x-ndjson`)."""
    request_bytes: Size = 5 * 1024 * 1024
    """Most bytes of documents in one request."""

    @pydantic.model_validator(mode="after")
    def _plain(self) -> Logstash:
        """What has no meaning on a TCP connection is refused, so that nobody relies on it."""
        odd = self.model_fields_set - {"url", "timeout", "request_bytes", "tls_config"}
        if self.url.startswith(("tcp:", "tls:")) and odd:
            raise ValueError(f"{', '.join(sorted(odd))} cannot be used with tcp:// and tls://")
        return self


class Otlp(Peer):
    """A receiver of OpenTelemetry logs over HTTP."""

    url: str = pydantic.Field(default="", pattern=r"^(https?://[^/].*)?$")
    """The whole address, e.g. `https://collector:4318/v1/logs`."""
    encoding: Literal["protobuf", "json"] = "protobuf"
    """How requests are written."""
    max_records: int = pydantic.Field(default=1000, gt=0)
    """Most documents in one request; when some of a request are refused, OTLP does not say which."""
    request_bytes: Size = 4 * 1024 * 1024
    """Most bytes of documents in one request."""


class CloudWatch(Section):
    """Amazon CloudWatch Logs. Needs `pip install 'tidegate[aws]'`; credentials are found as in every AWS tool."""

    group: str = pydantic.Field(default="", max_length=512)
    """The log group."""
    stream: str = pydantic.Field(default="", max_length=512, pattern=r"^[^:*]*$")
    """The log stream; empty is this machine's name."""
    region: str = ""
    """The region; empty is that of the environment or the AWS profile."""
    endpoint: str = pydantic.Field(default="", pattern=r"^(https?://[^/].*)?$")
    """Another address than the region's own, e.g. of a VPC endpoint."""
    create: bool = True
    """Create the group and the stream when they are missing."""
    timeout: Duration = pydantic.Field(default=30.0, gt=0)
    """Seconds for one request."""


class GoogleCloud(Section):
    """Google Cloud Logging. Needs `pip install 'tidegate[google]'`."""

    project: str = ""
    """The project's id."""
    log: str = "tidegate"
    """The log's name, the part behind `logs/`."""
    credentials_file: str = ""
    """A service account's key; empty: the application's default credentials, e.g. workload identity."""
    endpoint: str = pydantic.Field(default="", pattern=r"^(https?://[^/].*)?$")
    """Another address than `https://logging.googleapis.com`."""
    timeout: Duration = pydantic.Field(default=30.0, gt=0)
    """Seconds for one request."""


class AzureMonitor(Section):
    """Azure Monitor, by the Logs Ingestion API. Needs `pip install 'tidegate[azure]'`."""

    endpoint: str = pydantic.Field(default="", pattern=r"^(https://[^/].*)?$")
    """The data collection endpoint, or the rule's own."""
    rule: str = ""
    """The data collection rule's immutable id, `dcr-...`."""
    stream: str = ""
    """The stream in the rule, `Custom-...`."""
    tenant: str = ""
    """With `client_id` and `client_secret`: who we are. Without: the machine's identity, as in every Azure tool."""
    client_id: str = ""
    """The application's id."""
    client_secret: pydantic.SecretStr | None = None
    """The application's secret."""
    client_secret_file: str = ""
    """A file with it, read at each request."""
    authority: str = pydantic.Field(default="", pattern=r"^(https://[^/].*)?$")
    """Who gives tokens, in sovereign clouds; empty is `https://login.microsoftonline.com`."""
    audience: str = "https://monitor.azure.com"
    """What the token is for; another one in sovereign clouds."""
    ca_file: str = ""
    """Certificates to trust instead of the system's."""
    timeout: Duration = pydantic.Field(default=30.0, gt=0)
    """Seconds for one request."""

    @pydantic.model_validator(mode="after")
    def _whole(self) -> AzureMonitor:
        if self.endpoint and not (self.rule and self.stream):
            raise ValueError("`endpoint` needs `rule` and `stream`")
        named = (self.tenant, self.client_id, self.client_secret or self.client_secret_file)
        if any(named) and not all(named):
            raise ValueError("`tenant`, `client_id` and `client_secret` belong together")
        if self.client_secret and self.client_secret_file:
            raise ValueError("at most one of client_secret & client_secret_file may be given")
        return self

    def secret(self) -> client.Secret:
        """Our secret, or where it is."""
        text = self.client_secret.get_secret_value() if self.client_secret else ""
        return client.Secret(text, self.client_secret_file)


class JsonLines(Section):
    """A file of JSON lines."""

    path: str = ""
    """The file; relative paths are relative to the settings file."""
    rotate_bytes: Size = pydantic.Field(default=100 * 1024 * 1024, gt=0)
    """Size at which the file is put aside as `<path>.1`, the one before as `<path>.2`, and so on."""
    rotate_after: Duration = 86400.0
    """Age at which the same is done; 0 is never."""
    keep: int = pydantic.Field(default=5, ge=0)
    """Files put aside that are kept; the oldest goes, counted."""
