"""The way to Elasticsearch: nodes, TLS, credentials. The transport neither retries nor parses: `bulk` decides.

Plain `application/json` and `application/x-ndjson` work on Elasticsearch 8, 9 and OpenSearch; `GET /` is never asked.
"""

from __future__ import annotations

import base64
import logging
import ssl
import urllib.parse
from typing import Any

import elastic_transport

from tidegate.model import problems, settings

JSON = "application/json"
NDJSON = "application/x-ndjson"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CONNECTIONS = 10


class _Node(elastic_transport.AiohttpHttpNode):
    """A node that does not render whole bulk bodies for a debug log, which the library does whenever logging is set up."""

    def _log_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing: requests are counted and errors shown by the output."""


class _Raw(elastic_transport.Serializer):
    """Bytes in, bytes out: proxies answer HTML under any name."""

    mimetype = JSON

    def loads(self, data: bytes) -> bytes:
        return data

    def dumps(self, data: bytes) -> bytes:
        return data


class _AnyRaw(elastic_transport.SerializerCollection):
    """The same for every media type."""

    def get_serializer(self, mimetype: str | None) -> elastic_transport.Serializer:  # noqa: ARG002 - any
        return self.default_serializer


NodeClass = type[elastic_transport.BaseAsyncNode]
"""How one node is talked to; tests give one without a network."""


def transport(config: settings.Elasticsearch, node_class: NodeClass = _Node) -> elastic_transport.AsyncTransport:
    """A transport over all nodes. Raises `ConfigError` for a URL or certificate file that cannot be used."""
    context = tls(config)
    # One line for each failed try, where the output says once what is wrong.
    logging.getLogger("elastic_transport.node_pool").setLevel(logging.ERROR)
    made = elastic_transport.AsyncTransport(
        [_node(url, config, context) for url in dict.fromkeys(config.urls)],
        node_class=node_class,
        max_retries=0,
        retry_on_status=(),
        meta_header=False,
        max_dead_node_backoff=10.0,
    )
    made.serializers = _AnyRaw({JSON: _Raw()}, JSON)
    return made


def authorization(config: settings.Elasticsearch) -> str:
    """The `Authorization` header; empty without credentials."""
    if config.api_key is not None:
        return f"ApiKey {config.api_key.get_secret_value()}"
    if config.username and config.password is not None:
        pair = f"{config.username}:{config.password.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return ""


def tls(config: settings.Elasticsearch) -> ssl.SSLContext | None:
    """The TLS settings, or None when no node uses TLS. Raises `ConfigError`."""
    if not any(url.startswith("https:") for url in config.urls):
        return None
    context = ssl.create_default_context()
    if config.ca_file:
        try:
            context.load_verify_locations(cafile=config.ca_file)
        except (OSError, ssl.SSLError) as error:
            summary = f"cannot use `logs.elasticsearch.ca_file` {config.ca_file!r}: {error}"
            raise problems.ConfigError([problems.Problem("logs-ca-file", summary)]) from None
    if not config.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _node(url: str, config: settings.Elasticsearch, context: ssl.SSLContext | None) -> elastic_transport.NodeConfig:
    parts = urllib.parse.urlsplit(url)
    try:
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        host = parts.hostname or ""
    except (ValueError, KeyError):
        host, port = "", 0
    if not host or parts.username or parts.password:
        hint = "give http://host:9200 or https://host:9200; credentials have their own settings"
        shown = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        raise problems.ConfigError(
            [problems.Problem("logs-elasticsearch-url", f"`{shown}` is not the URL of a node", hint=hint)]
        )
    secure = parts.scheme == "https"
    return elastic_transport.NodeConfig(
        parts.scheme,
        host,
        port,
        path_prefix=parts.path.rstrip("/"),
        connections_per_node=_CONNECTIONS,
        request_timeout=config.timeout,
        ssl_context=context if secure else None,
        ssl_show_warn=False,
    )
