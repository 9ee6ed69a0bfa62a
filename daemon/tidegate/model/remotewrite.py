"""The settings of remote write: Prometheus' `remote_write` entry, field by field.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#remote_write. What we cannot do is refused
by its name, so that an entry copied from a `prometheus.yml` never means less than it says.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import pydantic

from tidegate.model.httpclient import HttpClient
from tidegate.model.scraping import RelabelConfig
from tidegate.model.section import Duration, Section, Text

RESERVED = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "user-agent",
        "www-authenticate",
        "x-prometheus-remote-read-version",
        "x-prometheus-remote-write-version",
    }
)
Protobuf = Literal["prometheus.WriteRequest", "io.prometheus.write.v2.Request"]


def _refused(hint: str) -> pydantic.BeforeValidator:
    def check(value: object) -> object:
        if value not in (None, False):
            raise ValueError(hint)
        return value

    return pydantic.BeforeValidator(check)


_SIGNING = "is not supported: send through a proxy that signs requests, or use authorization, basic_auth or oauth2"


class Queue(Section):
    """Prometheus' `queue_config`. Samples wait in the store's rings, not in a queue."""

    capacity: int = pydantic.Field(default=10_000, gt=0)
    """Samples that each shard takes out of the store at once."""
    max_shards: int = pydantic.Field(default=50, gt=0)
    """Requests under way at once, at most."""
    min_shards: int = pydantic.Field(default=1, gt=0)
    """Requests under way at once when all goes well."""
    max_samples_per_send: int = pydantic.Field(default=2000, gt=0)
    """Samples of one request."""
    batch_send_deadline: Duration = 5.0
    """Longest time a sample waits for company."""
    min_backoff: Duration = 0.03
    """First wait before a request is tried again; it doubles each time."""
    max_backoff: Duration = 5.0
    """Longest wait before a request is tried again."""
    retry_on_http_429: bool = True
    """Try again after a 429. Prometheus' own default is false: it drops those samples."""
    sample_age_limit: Duration = 0.0
    """Older samples are dropped, counted, instead of sent. 0: they are sent for as long as the store has them."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Queue:
        if self.max_shards < self.min_shards:
            raise ValueError("max_shards is smaller than min_shards")
        if self.max_backoff < self.min_backoff:
            raise ValueError("max_backoff is smaller than min_backoff")
        return self


class Metadata(Section):
    """Prometheus' `metadata_config`."""

    send: bool = True
    """Send types, help texts and units of metrics (version 1.0 of the protocol)."""
    send_interval: Duration = 60.0
    """How often."""
    max_samples_per_send: int = pydantic.Field(default=2000, gt=0)
    """Metric names of one request."""


class RemoteWrite(HttpClient):
    """Where samples are sent on to: Prometheus' `remote_write` entry."""

    url: str = pydantic.Field(pattern=r"^https?://[^/]")
    """The receiver, e.g. `https://mimir.example/api/v1/push`."""
    name: str = ""
    """Names it in metrics, logs and the file of what was sent; by default made from the URL."""
    protobuf_message: Protobuf = "prometheus.WriteRequest"
    """The message: `prometheus.WriteRequest` (1.0) or `io.prometheus.write.v2.Request` (2.0)."""
    remote_timeout: Duration = 30.0
    """Seconds for one request."""
    headers: dict[str, Text] = pydantic.Field(default_factory=dict)
    """Further headers of each request."""
    write_relabel_configs: tuple[RelabelConfig, ...] = ()
    """Relabelling of each series before it is sent, external labels included; a dropped series is not sent."""
    queue_config: Queue = Queue()
    """Sizes of requests, and what happens when one fails."""
    metadata_config: Metadata = Metadata()
    """What is told of metrics beside their samples."""
    send_exemplars: Annotated[bool, _refused("exemplars are not sent on: leave this out")] = False
    """Exemplars are not sent on: `true` is refused."""
    send_native_histograms: Annotated[bool, _refused("native histograms are not kept: leave this out")] = False
    """Native histograms are not kept: `true` is refused."""
    round_robin_dns: Annotated[bool, _refused("addresses are not chosen here: leave this out")] = False
    """`true` is refused."""
    sigv4: Annotated[Any, _refused(f"sigv4 {_SIGNING}")] = None
    """AWS' signatures are not made: refused."""
    azuread: Annotated[Any, _refused(f"azuread {_SIGNING}")] = None
    """Azure's tokens are not got: refused."""
    google_iam: Annotated[Any, _refused(f"google_iam {_SIGNING}")] = None
    """Google's tokens are not got: refused."""

    @pydantic.field_validator("headers")
    @classmethod
    def _ours(cls, given: dict[str, str]) -> dict[str, str]:
        reserved = [name for name in given if name.lower() in RESERVED]
        if reserved:
            raise ValueError(f"the header {reserved[0]} is set by us: for credentials see authorization and basic_auth")
        return given

    @property
    def called(self) -> str:
        """The name, or one made from the URL."""
        return self.name or hashlib.sha256(self.url.encode()).hexdigest()[:6]
