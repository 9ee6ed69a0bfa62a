"""The SQLite file of the embedded store: tables, connections, transactions, and what happens to a file of another shape.

`lines` holds each document once, under its id, with columns for what searches narrow by; `words` is the full-text index.
`place` counts lines in order of arrival and is never given twice, so that a reader can go on where it was.
"""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterator

VERSION = 2
PRAGMAS = (
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=5000",
    "cache_size=-32768",
    "journal_size_limit=67108864",
)
_SCHEMA = f"""
CREATE TABLE lines (
  place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at REAL NOT NULL,
  level TEXT, service TEXT, path TEXT, document BLOB NOT NULL);
CREATE INDEX lines_at ON lines (at, level, service, path);
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = "unicode61 remove_diacritics 0", columnsize = 0);
PRAGMA user_version = {VERSION};
"""


def connect(path: pathlib.Path) -> sqlite3.Connection:
    """A connection. Raises `sqlite3.Error`."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(path: pathlib.Path) -> tuple[sqlite3.Connection, pathlib.Path | None]:
    """A connection to a database of our shape, made when new; where a file of another shape was put.

    Raises `OSError` or `sqlite3.Error`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = connect(path)
    version = int(pragma(connection, "user_version"))
    moved = None
    if version != VERSION and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        connection.close()
        moved = path.with_suffix(f".version-{version}.db")
        path.replace(moved)
        for rest in ("-wal", "-shm"):
            pathlib.Path(f"{path}{rest}").unlink(missing_ok=True)
        connection, version = connect(path), 0
    if version != VERSION:
        with transaction(connection):
            for statement in _SCHEMA.split(";"):
                connection.execute(statement)
    return connection, moved


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, durable at the end."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """A number that the database knows of itself."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def size(connection: sqlite3.Connection) -> int:
    """Bytes in use."""
    used = pragma(connection, "page_count") - pragma(connection, "freelist_count")
    return used * pragma(connection, "page_size")
