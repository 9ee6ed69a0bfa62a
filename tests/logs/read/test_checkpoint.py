"""The checkpoint never runs ahead of what was stored, in whatever order batches come back."""

from __future__ import annotations

import pathlib

import hypothesis
import pytest
from hypothesis import strategies as st

from tidegate.logs.read import checkpoint, rotations


@hypothesis.given(st.permutations(range(8)), st.lists(st.booleans(), min_size=8, max_size=8))
def test_ledger_is_behind_every_batch_that_is_out(order: list[int], empty: list[bool]) -> None:
    ledger = checkpoint.Ledger(0, "0")
    sent = []
    for number in range(8):
        if empty[number]:
            ledger.passed((number + 1) * 10, str(number + 1))
        else:
            ledger.sent(number, (number + 1) * 10, str(number + 1))
            sent.append(number)
    out = set(sent)
    for number in order:
        ledger.stored(number)
        out.discard(number)
        wanted = min(out) * 10 if out else 80
        assert ledger.committed == (wanted, str(wanted // 10))
    assert ledger.idle


def test_one_batch_with_several_chunks() -> None:
    ledger = checkpoint.Ledger(5, "5")
    ledger.sent(1, 10, "10")
    ledger.sent(1, 20, "20")
    assert ledger.committed == (5, "5")
    ledger.stored(1)
    assert ledger.committed == (20, "20")


def entry(number: int) -> checkpoint.Entry:
    return checkpoint.Entry(
        (1, number), f"/{number}", f"/r{number}", f"id{number}", 1, 5, "digest", number, "mark", 100, (("stdout", 7),)
    )


def test_round_trip_and_the_one_before(tmp_path: pathlib.Path) -> None:
    checkpoint.save(tmp_path, [entry(1)])
    checkpoint.save(tmp_path, [entry(1), entry(2)])
    assert checkpoint.load(tmp_path) == ({(1, 1): entry(1), (1, 2): entry(2)}, "")
    file = tmp_path / checkpoint.NAME
    file.write_bytes(file.read_bytes()[:-30])
    found, wrong = checkpoint.load(tmp_path)
    assert found == {(1, 1): entry(1)}
    assert wrong.startswith(str(file))


def test_nothing_there(tmp_path: pathlib.Path) -> None:
    assert checkpoint.load(tmp_path) == ({}, "")
    assert checkpoint.looked_at(tmp_path) == 0.0


@hypothesis.given(st.binary(max_size=200))
def test_no_bytes_upset_loading(raw: bytes) -> None:
    import tempfile  # noqa: PLC0415 - the fixture is not made anew for each example

    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, checkpoint.NAME).write_bytes(raw)
        found, wrong = checkpoint.load(pathlib.Path(folder))
        assert found == {}
        assert wrong


def test_fields_of_a_later_version_are_ignored() -> None:
    assert checkpoint.Entry.load({**entry(1).dump(), "later": 1}) == entry(1)


@pytest.mark.parametrize(
    ("name", "base", "is_one"),
    [
        ("app.log.1", "app.log", True),
        ("app.log.20260102-030405", "app.log", True),
        ("app.log-20260102", "app.log", True),
        ("app-2026-01-02.log", "app.log", True),
        ("app.1.log", "app.log", True),
        ("0.log.20260102-030405", "0.log", True),
        ("app.log.1.gz", "app.log", False),
        ("app.log.audit", "app.log", False),
        ("app1.log", "app.log", False),
        ("other.log.1", "app.log", False),
    ],
)
def test_names_of_rotations(name: str, base: str, *, is_one: bool) -> None:
    assert rotations.named(name, base) is is_one
