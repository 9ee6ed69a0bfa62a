"""A secret reaches nobody behind the shipper: no index, dead letter, observer, metric, embedded store or log."""

from __future__ import annotations

import pathlib

import pytest

from tests.faults import fake, rig
from tidegate.kit import clock, telemetry
from tidegate.logs.local_store import local
from tidegate.logs.ship import output

SECRET = "hunter2Zq9"


async def test_no_place_behind_the_shipper_sees_a_secret(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = [
        {"paths": ["*.log"], "redact": ["secrets"], "limits": {"sample": {"debug": 1000}, "report_interval": "10ms"}}
    ]
    async with rig.running(tmp_path, inputs=inputs) as it:
        it.server.item = [
            fake.refuse_items(400, "document_parsing_exception", lambda each: "seq=b-1 " in each["message"])
        ]
        with (tmp_path / "b.log").open("w") as file:
            for number in range(4):
                level = "debug" if number == 3 else "info"
                file.write(f'{{"msg":"seq=b-{number} password={SECRET}","api_key":"{SECRET}","level":"{level}"}}\n')
        it.written.update(("b-0", "b-2"))
        await it.stored()
        await it.until(lambda: it.metric("dead_letters_total") == 1)
        await it.until(lambda: it.metric("left_out_lines_total", dataset="generic", reason="sample") == 1)
        assert it.metric("redacted_total", rule="password") == 6
        letters = (it.data / "logs/dead-letters.jsonl").read_text()
        assert "[redacted:password]" in letters
        store = local.LocalStore(tmp_path / "store", 1e9, 2**30, clock.SystemClock(), telemetry.Registry())
        body = letters.partition('"document":')[2][:-2].encode()
        await store.send(output.Batch(["logs-x-default"], ["1"], [body]))
        await store.close()
        seen = [*map(str, it.server.documents()), *map(str, it.observed), letters]
        seen.append(telemetry.exposition(it.registry).decode())
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "b.log"]
    assert len(kept) >= 3
    assert all(SECRET not in text for text in seen)
    assert all(SECRET.encode() not in path.read_bytes() for path in kept)
    assert SECRET not in "".join(capsys.readouterr())
