"""Fixtures of the notify tests: the alert stage's databases, with both stages' tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.alerts.conftest import url as url  # noqa: PLC0414 - a fixture, handed on
from tests.alerts.world import InlineDatabase
from tidegate.notify import store


@pytest.fixture
def state(url: str) -> Iterator[InlineDatabase]:
    """A database that works in the test's own thread, so that virtual time does not run ahead of it."""
    opened = InlineDatabase(url)
    opened.create(store.METADATA)
    yield opened
    opened.close()
