"""From an input's settings to the input."""

from __future__ import annotations

import pathlib

from tidegate.logs.inputs import addresses, base, bulk, journald, lines, otlp, syslog
from tidegate.model import receiving


def make(place: base.Place, config: receiving.Received, folder: pathlib.Path) -> base.Input:
    """An input that does not listen yet; names of certificates are relative to `folder`. Raises `OSError` for a bad one."""
    match config:
        case receiving.Syslog(protocol="udp"):
            return syslog.Datagrams(place, config)
        case receiving.Syslog():
            return syslog.Streams(place, config, addresses.context(config.tls, folder))
        case receiving.Otlp():
            return otlp.Otlp(place, config, addresses.context(config.tls, folder))
        case receiving.HttpLines():
            return lines.HttpLines(place, config, addresses.context(config.tls, folder))
        case receiving.ElasticsearchBulk():
            return bulk.ElasticsearchBulk(place, config, addresses.context(config.tls, folder))
        case receiving.Journald():
            return journald.Journal(place, config)
    raise TypeError(config)
