"""The deploys' table. Rows in, rows out; what they mean is the ledger's business."""

from __future__ import annotations

import sqlalchemy as sql

from tidegate.kit import database
from tidegate.model import gate

METADATA = database.MetaData()
DEPLOYS = sql.Table(
    "deploys",
    METADATA,
    sql.Column("id", sql.String(255), primary_key=True),
    sql.Column("environment", sql.String(255), nullable=False),
    sql.Column("service", sql.String(255), nullable=False),
    sql.Column("version", sql.String(255), nullable=False),
    sql.Column("at", sql.Double, nullable=False),
    sql.Column("digest", sql.String(255), nullable=False),
    sql.Column("direction", sql.String(16), nullable=False),
    sql.Column("by", sql.String(255), nullable=False),
    sql.Column("url", sql.Text, nullable=False),
    sql.Index("deploys_by_place", "environment", "service", "at"),
    sql.Index("deploys_by_time", "at"),
)


def load(connection: database.Connection, limit: int) -> list[gate.Deploy]:
    """The newest deploys of all, newest first."""
    rows = connection.execute(sql.select(DEPLOYS).order_by(DEPLOYS.c.at.desc(), DEPLOYS.c.id).limit(limit))
    return [_deploy(row) for row in rows]


def find(connection: database.Connection, deploy_id: str) -> gate.Deploy | None:
    """One deploy."""
    row = connection.execute(sql.select(DEPLOYS).where(DEPLOYS.c.id == deploy_id)).first()
    return _deploy(row) if row else None


def history(connection: database.Connection, environment: str, service: str) -> list[gate.Deploy]:
    """Every deploy of a service to an environment, oldest first."""
    mine = (DEPLOYS.c.environment == environment) & (DEPLOYS.c.service == service)
    return [_deploy(row) for row in connection.execute(sql.select(DEPLOYS).where(mine).order_by(DEPLOYS.c.at))]


def insert(connection: database.Connection, deploy: gate.Deploy) -> None:
    """Add one."""
    row = {column.name: getattr(deploy, column.name) for column in DEPLOYS.c}
    connection.execute(sql.insert(DEPLOYS), [row])


def _deploy(row: sql.Row[tuple[object, ...]]) -> gate.Deploy:
    return gate.Deploy(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
