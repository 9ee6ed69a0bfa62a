"""From the settings to the outputs that they ask for. Elasticsearch and the embedded store are the caller's."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tidegate.kit import access, telemetry
from tidegate.logs.outputs import azure, cloudwatch, file, google, logstash, sending
from tidegate.logs.outputs.otlp import exchange
from tidegate.logs.ship import output
from tidegate.model import httpclient, logoutputs, ports, settings

Given = TypeVar("Given", logoutputs.GoogleCloud, logoutputs.AzureMonitor)

SPARE = 16 * 1024 * 1024
"""Bytes that may have been stored since the last checkpoint, which is written each second."""

DEDUPED = frozenset({file.NAME, google.NAME})
"""Outputs that drop what they have already."""


def names(config: settings.Logs) -> Sequence[str]:
    """What is configured, for people."""
    return [name for name, on in _configured(config).items() if on]


def outputs(
    config: settings.Logs, folder: pathlib.Path, clock: ports.Clock, registry: telemetry.Registry
) -> list[output.Output]:
    """The outputs that are configured; files of secrets are relative to `folder`.

    Raises `ConfigError` where a client library is not installed.
    """
    meters = sending.Meters(registry)
    return [
        sending.Sending(name, wire, clock, meters, dedupes=name in DEDUPED)
        for name, wire in _wires(config, folder, clock, registry)
    ]


def _configured(config: settings.Logs) -> dict[str, bool]:
    return {
        logstash.NAME: bool(config.logstash.url),
        exchange.NAME: bool(config.otlp.url),
        cloudwatch.NAME: bool(config.cloudwatch.group),
        google.NAME: bool(config.google.project),
        azure.NAME: bool(config.azure.endpoint),
        file.NAME: bool(config.file.path),
    }


def _wires(
    config: settings.Logs, folder: pathlib.Path, clock: ports.Clock, registry: telemetry.Registry
) -> Iterator[tuple[str, sending.Wire]]:
    def way(given: httpclient.HttpClient) -> access.Access:
        return access.Access(access.resolved(given.client(), folder), clock)

    if config.logstash.url:
        yield logstash.NAME, logstash.wire(config.logstash, way(config.logstash))
    if config.otlp.url:
        yield exchange.NAME, exchange.Wire(config.otlp, way(config.otlp), registry)
    threads = config.elasticsearch.concurrency + 1
    if config.cloudwatch.group:
        yield cloudwatch.NAME, cloudwatch.Wire(config.cloudwatch, threads)
    if config.google.project:
        yield google.NAME, google.Wire(_rooted(config.google, folder), threads)
    if config.azure.endpoint:
        secret = access.resolved(config.azure.secret(), folder)
        yield azure.NAME, azure.Wire(_rooted(config.azure, folder), secret, threads, registry)
    if config.file.path:
        under_way = config.elasticsearch.bulk_bytes * (config.elasticsearch.concurrency + 1)
        yield file.NAME, file.Wire(config.file, folder, under_way + SPARE, clock, registry)


def _rooted(given: Given, folder: pathlib.Path) -> Given:
    """The same settings with the files that a client library reads relative to a folder."""
    named = {name: getattr(given, name, "") for name in ("credentials_file", "ca_file")}
    return given.model_copy(update={name: str(folder / file) for name, file in named.items() if file})
