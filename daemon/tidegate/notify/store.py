"""The outbox's table: one row for each (notification, integration), claimed by compare-and-set.

The only module of the stage that speaks SQL. A row is `waiting`, then `sending` under its owner's lease, then `delivered` or
`failed`. Rows of one lane (receiver, integration, group) are sent one after the other.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Sequence

import sqlalchemy

from tidegate.kit import database
from tidegate.model import alerts

METADATA = database.MetaData()

_OUTBOX = sqlalchemy.Table(
    "outbox",
    METADATA,
    sqlalchemy.Column("seq", sqlalchemy.BigInteger().with_variant(sqlalchemy.Integer, "sqlite"), primary_key=True),
    sqlalchemy.Column("notification_id", sqlalchemy.String(64), nullable=False),
    sqlalchemy.Column("receiver", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("integration", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("lane", sqlalchemy.String(64), nullable=False),
    sqlalchemy.Column("summary", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("body", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("state", sqlalchemy.String(16), nullable=False),
    sqlalchemy.Column("attempts", sqlalchemy.Integer, nullable=False, default=0),
    sqlalchemy.Column("claims", sqlalchemy.Integer, nullable=False, default=0),
    sqlalchemy.Column("owner", sqlalchemy.String(64), nullable=False, default=""),
    sqlalchemy.Column("lease_until", sqlalchemy.Double, nullable=False, default=0.0),
    sqlalchemy.Column("next_at", sqlalchemy.Double, nullable=False),
    sqlalchemy.Column("created_at", sqlalchemy.Double, nullable=False),
    sqlalchemy.Column("updated_at", sqlalchemy.Double, nullable=False),
    sqlalchemy.Column("error", sqlalchemy.Text, nullable=False, default=""),
    sqlalchemy.Index("outbox_lane", "lane", "state", "seq"),
    sqlalchemy.Index("outbox_due", "state", "next_at"),
    sqlite_autoincrement=True,
)
_COLUMNS = _OUTBOX.c
OPEN = ("waiting", "sending")
MAX_ERROR = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One delivery under way."""

    seq: int
    notification_id: str
    receiver: str
    integration: str
    body: str = dataclasses.field(repr=False)
    attempts: int
    """Tries whose outcome is known."""
    claims: int
    """Tries begun; more than `attempts` + 1 when a process died during some."""
    created_at: float

    @property
    def target(self) -> tuple[str, str]:
        """Receiver and integration."""
        return self.receiver, self.integration


@dataclasses.dataclass(frozen=True, slots=True)
class Backlog:
    """What is not done yet."""

    depth: int
    oldest: float | None
    """Unix seconds."""
    next_at: float | None
    """When the next row that nothing stands before may be tried."""


def add(connection: database.Connection, row: dict[str, object], group_key: str) -> None:
    """Store a delivery. `row` has notification_id, receiver, integration, summary, body and created_at."""
    lane = "\x00".join((str(row["receiver"]), str(row["integration"]), group_key))
    more = {
        "lane": hashlib.sha256(lane.encode("utf-8", "surrogatepass")).hexdigest(),
        "state": "waiting",
        "next_at": row["created_at"],
        "updated_at": row["created_at"],
    }
    connection.execute(sqlalchemy.insert(_OUTBOX).values({**row, **more}))


def claim(
    connection: database.Connection,
    *,
    owner: str,
    now: float,
    lease: float,
    limit: int,
    busy: Collection[tuple[str, str]],
) -> list[Row]:
    """Take up to `limit` due rows, at most one of each target that is not busy and at most one of each lane."""
    due = (
        sqlalchemy.select(_OUTBOX)
        .where(_COLUMNS.state == "waiting", _COLUMNS.next_at <= now, _first_of_lane(), *_not_busy(busy))
        .order_by(_COLUMNS.seq)
        .limit(limit * 4)
    )
    taken: list[Row] = []
    for found in connection.execute(due).all():
        row = Row(
            found.seq,
            found.notification_id,
            found.receiver,
            found.integration,
            found.body,
            found.attempts,
            found.claims + 1,
            found.created_at,
        )
        if len(taken) < limit and row.target not in {other.target for other in taken}:
            values = {"state": "sending", "owner": owner, "lease_until": now + lease, "claims": row.claims}
            if _set(connection, row.seq, "waiting", "", {**values, "updated_at": now}):
                taken.append(row)
    return taken


def finish(connection: database.Connection, seq: int, owner: str, values: dict[str, object]) -> bool:
    """Record what came of a claimed row; false when it is no longer ours."""
    return _set(connection, seq, "sending", owner, {"owner": "", "lease_until": 0.0, **values})


def take_over(connection: database.Connection, now: float, *, all_: bool) -> int:
    """Make rows claimable again whose owner died: every claimed one, or only those with an expired lease; how many."""
    condition = [_COLUMNS.state == "sending"] + ([] if all_ else [_COLUMNS.lease_until <= now])
    values = {"state": "waiting", "owner": "", "lease_until": 0.0, "updated_at": now}
    return connection.execute(sqlalchemy.update(_OUTBOX).where(*condition).values(values)).rowcount


def backlog(connection: database.Connection, busy: Collection[tuple[str, str]]) -> Backlog:
    """How much is not done yet, and when something may be tried next."""
    depth, oldest = connection.execute(
        sqlalchemy.select(sqlalchemy.func.count(), sqlalchemy.func.min(_COLUMNS.created_at)).where(
            _COLUMNS.state.in_(OPEN)
        )
    ).one()
    next_at = connection.scalar(
        sqlalchemy.select(sqlalchemy.func.min(_COLUMNS.next_at)).where(
            _COLUMNS.state == "waiting", _first_of_lane(), *_not_busy(busy)
        )
    )
    return Backlog(depth, oldest, next_at)


def recent(connection: database.Connection, limit: int, after: int = 0) -> list[tuple[int, alerts.Sent]]:
    """The newest deliveries with their sequence numbers, oldest first."""
    chosen = [column for column in _COLUMNS if column.name != "body"]
    rows = connection.execute(
        sqlalchemy.select(*chosen).where(_COLUMNS.seq > after).order_by(_COLUMNS.seq.desc()).limit(limit)
    ).all()
    return [
        (
            row.seq,
            alerts.Sent(
                row.notification_id,
                row.receiver,
                row.integration,
                row.state,
                row.summary,
                row.attempts,
                row.created_at,
                row.updated_at,
                row.error,
            ),
        )
        for row in reversed(rows)
    ]


def purge(connection: database.Connection, before: float) -> int:
    """Forget what was done with before a time; how many rows."""
    done = (_COLUMNS.state.not_in(OPEN), _COLUMNS.updated_at < before)
    return connection.execute(sqlalchemy.delete(_OUTBOX).where(*done)).rowcount


def _set(connection: database.Connection, seq: int, state: str, owner: str, values: dict[str, object]) -> bool:
    """Compare and set: the change is made only if the row is still in this state and of this owner."""
    condition = (_COLUMNS.seq == seq, _COLUMNS.state == state, _COLUMNS.owner == owner)
    return connection.execute(sqlalchemy.update(_OUTBOX).where(*condition).values(values)).rowcount == 1


def _first_of_lane() -> sqlalchemy.ColumnElement[bool]:
    earlier = _OUTBOX.alias("earlier")
    return ~(
        sqlalchemy.select(earlier.c.seq)
        .where(earlier.c.lane == _COLUMNS.lane, earlier.c.seq < _COLUMNS.seq, earlier.c.state.in_(OPEN))
        .exists()
    )


def _not_busy(busy: Collection[tuple[str, str]]) -> Sequence[sqlalchemy.ColumnElement[bool]]:
    return [
        sqlalchemy.not_(sqlalchemy.and_(_COLUMNS.receiver == receiver, _COLUMNS.integration == integration))
        for receiver, integration in sorted(busy)
    ]
