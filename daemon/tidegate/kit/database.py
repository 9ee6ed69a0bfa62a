"""The state database: SQLAlchemy Core over SQLite (PostgreSQL by the URL), written by one thread, one transaction a call.

Stores define their tables on a `MetaData` of their own and pass functions of a connection to `run`. Several stores can
write in one transaction by being called with the same connection: that is how an alert group's "was told" and the
message in the outbox become one fact. Nothing here knows what is stored.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import pathlib
import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.dialects import sqlite

from tidegate.model import problems

Connection = sqlalchemy.Connection
MetaData = sqlalchemy.MetaData
T = TypeVar("T")


class Database:
    """One database. Every call runs in its thread, in order, each in a transaction of its own."""

    def __init__(self, url: str) -> None:
        """Open (making the file's folder). Raises `FatalError` when that cannot be done."""
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="database")
        try:
            self._engine = _engine(url)
        except (OSError, sqlalchemy.exc.SQLAlchemyError) as error:
            raise problems.FatalError(f"cannot open the state database: {error}") from error

    def create(self, *tables: MetaData) -> None:
        """Make the tables that are not there yet. Blocks; called once at start."""
        try:
            for metadata in tables:
                self._thread.submit(metadata.create_all, self._engine).result()
        except sqlalchemy.exc.SQLAlchemyError as error:
            raise problems.FatalError(f"cannot prepare the state database: {error}") from error

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction: committed when it returns, rolled back when it raises.

        Once begun it is finished, even when the caller is cancelled.
        """
        future = self._thread.submit(self._in_transaction, work)
        return await asyncio.shield(asyncio.wrap_future(future))

    def run_now(self, work: Callable[[Connection], T]) -> T:
        """The same, blocking: for start-up, before the loop serves anyone."""
        return self._thread.submit(self._in_transaction, work).result()

    def close(self) -> None:
        """Finish what is queued, then close."""
        self._thread.shutdown(wait=True)
        self._engine.dispose()

    def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)


class Fleeting(Database):
    """A database in memory, for rehearsals: everything is done at once, in the caller's thread, and gone at the end."""

    def __init__(self) -> None:
        super().__init__("sqlite://")

    def create(self, *tables: MetaData) -> None:
        """See `Database`."""
        for metadata in tables:
            metadata.create_all(self._engine)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """See `Database`."""
        return self._in_transaction(work)

    def run_now(self, work: Callable[[Connection], T]) -> T:
        """See `Database`."""
        return self._in_transaction(work)


def sqlite_url(path: pathlib.Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


def upsert(connection: Connection, table: sqlalchemy.Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, replacing those with the same primary key; on SQLite and PostgreSQL alike."""
    if not rows:
        return
    dialect: Any = _postgresql() if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    statement = dialect.insert(table)
    others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    if others:
        statement = statement.on_conflict_do_update(index_elements=keys, set_=others)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement, list(rows))


def _postgresql() -> types.ModuleType:
    import sqlalchemy.dialects.postgresql  # noqa: PLC0415 - 25 ms that only its users are worth

    return sqlalchemy.dialects.postgresql


def _engine(url: str) -> sqlalchemy.Engine:
    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sqlalchemy.create_engine(parsed, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        pathlib.Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(parsed)
    event.listen(engine, "connect", _durable)
    return engine


def _durable(connection: Any, _record: Any) -> None:
    """WAL with full sync: a commit that returned outlives a power cut."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
