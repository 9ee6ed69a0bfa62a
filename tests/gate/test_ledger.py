"""The deploy ledger on a real file."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Iterator

import pytest

from tests.gate import fakes
from tidegate.gate import ledger
from tidegate.kit import database, telemetry
from tidegate.model import gate

NOW = fakes.NOW


@pytest.fixture
def state(tmp_path: pathlib.Path) -> Iterator[database.Database]:
    found = database.Database(database.sqlite_url(tmp_path / "state.db"))
    yield found
    found.close()


def deploy(number: int, version: str, **more: str) -> gate.Deploy:
    given = {"environment": "production", "service": "shop", "digest": ""} | more
    return gate.Deploy(f"d{number}", version=version, at=NOW + number, **given)  # type: ignore[arg-type]


async def test_directions_are_worked_out_and_kept(state: database.Database) -> None:
    book = ledger.Ledger(state, telemetry.Registry())
    steps = [
        ("1.3", "forward"),
        ("1.4", "forward"),
        ("1.4", "config"),
        ("1.3", "rollback"),
        ("1.4", "forward"),
        ("1.5", "forward"),
    ]
    for number, (version, expected) in enumerate(steps):
        assert book.direction("production", "shop", version) == expected
        kept = await book.record(deploy(number, version))
        assert kept.direction == expected
    again = ledger.Ledger(state, telemetry.Registry())
    assert [(one.version, one.direction) for one in again.deploys()] == list(reversed(steps))
    assert again.direction("production", "shop", "1.4") == "rollback"
    assert again.direction("production", "cart", "1.4") == "forward"
    assert again.direction("staging", "shop", "1.4") == "forward"


async def test_another_build_of_the_same_version_is_no_config_change(state: database.Database) -> None:
    book = ledger.Ledger(state, telemetry.Registry())
    await book.record(deploy(1, "latest", digest="sha256:a"))
    assert book.direction("production", "shop", "latest", "sha256:b") == "forward"
    assert book.direction("production", "shop", "latest", "sha256:a") == "config"
    assert book.direction("production", "shop", "latest") == "config"


async def test_the_same_id_again_changes_nothing(state: database.Database) -> None:
    registry = telemetry.Registry()
    book = ledger.Ledger(state, registry)
    first = await book.record(deploy(1, "1.0"))
    both = await asyncio.gather(book.record(deploy(1, "2.0")), book.record(deploy(1, "3.0")))
    assert list(both) == [first, first]
    assert len(book.deploys()) == 1
    counted = {"environment": "production", "direction": "forward"}
    assert registry.get_sample_value("tidegate_deploys_recorded_total", counted) == 1


async def test_what_is_told_late_is_judged_by_its_own_time(state: database.Database) -> None:
    book = ledger.Ledger(state, telemetry.Registry())
    await book.record(deploy(1, "1.0"))
    await book.record(deploy(9, "2.0"))
    late = await book.record(deploy(5, "1.5"))
    assert late.direction == "forward"
    assert [one.version for one in book.deploys("production", "shop")] == ["2.0", "1.5", "1.0"]
    assert (await book.record(deploy(4, "1.0"))).direction == "config"


async def test_given_directions_are_taken(state: database.Database) -> None:
    book = ledger.Ledger(state, telemetry.Registry())
    given = gate.Deploy("1", "production", "shop", "1.0", NOW, direction="rollback")
    assert (await book.record(given)).direction == "rollback"


async def test_deploys_by_place(state: database.Database) -> None:
    book = ledger.Ledger(state, telemetry.Registry())
    for number, (environment, service) in enumerate([("production", "shop"), ("staging", "shop"), ("staging", "cart")]):
        await book.record(deploy(number, "1.0", environment=environment, service=service))
    assert [one.id for one in book.deploys()] == ["d2", "d1", "d0"]
    assert [one.id for one in book.deploys("staging")] == ["d2", "d1"]
    assert [one.id for one in book.deploys(service="shop")] == ["d1", "d0"]
    assert [one.id for one in book.deploys("staging", "shop")] == ["d1"]
    assert [one.id for one in book.deploys(limit=1)] == ["d2"]
    assert list(book.deploys("nowhere", "shop")) == []
