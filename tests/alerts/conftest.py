"""Databases for the alert stage's tests: SQLite always, PostgreSQL where one is given."""

from __future__ import annotations

import os
import pathlib
import uuid
from collections.abc import Iterator

import pytest

from tests.alerts import world
from tidegate.alerts import store
from tidegate.kit import database

POSTGRES = os.environ.get("TIDEGATE_TEST_POSTGRES_URL", "")


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRES else [])])
def url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield database.sqlite_url(tmp_path / "state.db")
        return
    schema = f"t{uuid.uuid4().hex}"
    admin = database.Database(POSTGRES)
    admin.run_now(lambda connection: connection.exec_driver_sql(f"CREATE SCHEMA {schema}"))
    yield f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}options=-csearch_path%3D{schema}"
    admin.run_now(lambda connection: connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE"))
    admin.close()


@pytest.fixture
def state(url: str) -> Iterator[world.InlineDatabase]:
    """A database that works in the test's own thread, so that virtual time does not run ahead of it."""
    opened = world.InlineDatabase(url)
    opened.create(store.METADATA)
    yield opened
    opened.close()
