"""Tables of the alert stage: alerts, silences, and what each group's receivers were last told.

The only module of the stage that speaks SQL. Functions take a connection and run inside the caller's transaction, so that
"was told" and the message in the outbox become one fact. Rows hold the noun as JSON beside the columns that are searched.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import orjson
import sqlalchemy

from tidegate.kit import database
from tidegate.model import alerts

METADATA = database.MetaData()

_ALERTS = sqlalchemy.Table(
    "alerts",
    METADATA,
    sqlalchemy.Column("fingerprint", sqlalchemy.String(16), primary_key=True),
    sqlalchemy.Column("state", sqlalchemy.String(16), nullable=False),
    sqlalchemy.Column("rule", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("body", sqlalchemy.Text, nullable=False),
)
_SILENCES = sqlalchemy.Table(
    "silences",
    METADATA,
    sqlalchemy.Column("id", sqlalchemy.String(36), primary_key=True),
    sqlalchemy.Column("ends_at", sqlalchemy.Double, nullable=False),
    sqlalchemy.Column("body", sqlalchemy.Text, nullable=False),
)
_TOLD = sqlalchemy.Table(
    "group_notifications",
    METADATA,
    sqlalchemy.Column("key", sqlalchemy.String(64), primary_key=True),
    sqlalchemy.Column("receiver", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("integration", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("group_key", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("firing", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("resolved", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("told_at", sqlalchemy.Double, nullable=False),
    sqlalchemy.Column("expires_at", sqlalchemy.Double, nullable=False),
)
_CHUNK = 400
"""Values in one `IN (...)`, below every database's limit."""


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What one integration of a receiver was last told about one group (Alertmanager's notification log entry)."""

    receiver: str
    integration: str
    group_key: str
    firing: frozenset[str]
    """Fingerprints of the alerts that it was told fire."""
    resolved: frozenset[str]
    at: float
    """Unix seconds."""
    expires_at: float
    """When nobody needs to know any more."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Receiver, integration and group."""
        return self.receiver, self.integration, self.group_key


def save_alerts(connection: database.Connection, items: Iterable[alerts.Alert]) -> None:
    """Insert or replace alerts."""
    rows = [
        {"fingerprint": item.fingerprint, "state": item.state, "rule": item.rule, "body": _body(item)} for item in items
    ]
    database.upsert(connection, _ALERTS, rows)


def load_alerts(connection: database.Connection) -> list[alerts.Alert]:
    """Every alert."""
    return [_alert(orjson.loads(body)) for body in connection.scalars(sqlalchemy.select(_ALERTS.c.body))]


def delete_alerts(connection: database.Connection, fingerprints: Collection[str]) -> None:
    """Forget alerts."""
    for part in _parts(fingerprints):
        connection.execute(sqlalchemy.delete(_ALERTS).where(_ALERTS.c.fingerprint.in_(part)))


def save_silences(connection: database.Connection, items: Iterable[alerts.Silence]) -> None:
    """Insert or replace silences."""
    rows = [{"id": item.id, "ends_at": item.ends_at, "body": _dump(item)} for item in items]
    database.upsert(connection, _SILENCES, rows)


def load_silences(connection: database.Connection) -> list[alerts.Silence]:
    """Every silence."""
    return [_silence(orjson.loads(body)) for body in connection.scalars(sqlalchemy.select(_SILENCES.c.body))]


def delete_silences(connection: database.Connection, ids: Collection[str]) -> None:
    """Forget silences."""
    for part in _parts(ids):
        connection.execute(sqlalchemy.delete(_SILENCES).where(_SILENCES.c.id.in_(part)))


def save_told(connection: database.Connection, items: Iterable[Told]) -> None:
    """Insert or replace what integrations were told."""
    rows = [
        {
            "key": _key(item.key),
            "receiver": item.receiver,
            "integration": item.integration,
            "group_key": item.group_key,
            "firing": " ".join(sorted(item.firing)),
            "resolved": " ".join(sorted(item.resolved)),
            "told_at": item.at,
            "expires_at": item.expires_at,
        }
        for item in items
    ]
    database.upsert(connection, _TOLD, rows)


def load_told(connection: database.Connection) -> list[Told]:
    """What every integration was told."""
    return [
        Told(
            row.receiver,
            row.integration,
            row.group_key,
            frozenset(row.firing.split()),
            frozenset(row.resolved.split()),
            row.told_at,
            row.expires_at,
        )
        for row in connection.execute(sqlalchemy.select(_TOLD))
    ]


def delete_told(connection: database.Connection, keys: Collection[tuple[str, str, str]]) -> None:
    """Forget what integrations were told."""
    for part in _parts([_key(key) for key in keys]):
        connection.execute(sqlalchemy.delete(_TOLD).where(_TOLD.c.key.in_(part)))


def _key(parts: tuple[str, str, str]) -> str:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _parts(values: Collection[str]) -> Iterator[list[str]]:
    listed = list(values)
    for start in range(0, len(listed), _CHUNK):
        yield listed[start : start + _CHUNK]


def _dump(item: Any) -> str:
    return orjson.dumps(item).decode()


def _body(alert: alerts.Alert) -> str:
    """JSON has no infinities and no NaN, which values may be: they are written as text."""
    body = {field.name: getattr(alert, field.name) for field in dataclasses.fields(alert)}
    return _dump({**body, "value": repr(alert.value), "peak": repr(alert.peak)})


def _pairs(value: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text) for name, text in value)


def _alert(body: dict[str, Any]) -> alerts.Alert:
    body["labels"] = _pairs(body["labels"])
    body["annotations"] = _pairs(body["annotations"])
    body["value"], body["peak"] = float(body["value"]), float(body["peak"])
    return alerts.Alert(**_known(alerts.Alert, body))


def _silence(body: dict[str, Any]) -> alerts.Silence:
    body["matchers"] = tuple(alerts.Matcher(**matcher) for matcher in body["matchers"])
    return alerts.Silence(**_known(alerts.Silence, body))


def _known(cls: type[Any], body: dict[str, Any]) -> dict[str, Any]:
    """Only the fields that the class has: a row may have been written by a newer version."""
    names = {field.name for field in dataclasses.fields(cls)}
    return {name: value for name, value in body.items() if name in names}
