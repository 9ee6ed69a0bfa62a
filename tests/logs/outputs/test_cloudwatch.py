"""Amazon CloudWatch Logs: limits of a request, events outside of the allowed times, streams that are missing, identities."""

from __future__ import annotations

import datetime
import pathlib
import time

import hypothesis
import orjson
import pytest
from hypothesis import strategies

from tests.faults import fronts, outrig, peers
from tidegate.logs.outputs import cloudwatch
from tidegate.logs.ship import output
from tidegate.model import logoutputs

DAY = 86400.0


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def given(url: str, **more: object) -> dict[str, object]:
    return {
        "cloudwatch": {"group": "/shop", "stream": "n1", "region": "eu-west-1", "endpoint": url, "timeout": 1, **more}
    }


def stamp(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def batch(times: list[float], padding: int = 0) -> output.Batch:
    bodies = [
        orjson.dumps({"@timestamp": stamp(at), "message": f"seq={n}" + "x" * padding}) for n, at in enumerate(times)
    ]
    return output.Batch(["logs-a-b"] * len(times), [str(n) for n in range(len(times))], bodies)


@hypothesis.given(
    strategies.lists(strategies.integers(0, 4 * 86400), min_size=1, max_size=60), strategies.sampled_from([0, 200_000])
)
@hypothesis.settings(deadline=None)
def test_every_request_keeps_the_limits_and_none_is_left_out(times: list[int], padding: int) -> None:
    made = batch([float(each) for each in times], padding)
    parts = cloudwatch.Wire(logoutputs.CloudWatch(group="g"), 1).cut(made, range(len(made)))
    assert sorted(index for part in parts for index in part) == list(range(len(made)))
    for part in parts:
        events = [times[index] for index in part]
        assert events == sorted(events)
        assert events[-1] - events[0] < DAY
        assert sum(len(made.bodies[index]) + 26 for index in part) <= 1_048_576


def test_ten_thousand_events_at_most() -> None:
    made = batch([1.0] * 10_001)
    parts = cloudwatch.Wire(logoutputs.CloudWatch(group="g"), 1).cut(made, range(len(made)))
    assert [len(part) for part in parts] == [10_000, 1]


async def test_too_old_and_too_new_are_dead_letters(tmp_path: pathlib.Path) -> None:
    peer, now = peers.CloudWatch(), time.time()
    when = {"old": now - 20 * DAY, "now": now, "hour": now + 3600, "new": now + DAY / 2}
    async with fronts.http(peer) as url, outrig.running(tmp_path, given(url)) as it:
        with (tmp_path / "app.log").open("w") as file:
            for name, at in when.items():
                file.write(f'{{"time":"{stamp(at)}","msg":"seq={name}"}}\n')
        await it.until(lambda: it.metric("dead_letters_total") == 2)
        rows = map(orjson.loads, (it.data / "logs/dead-letters.jsonl").read_bytes().splitlines())
        told = {row["document"]["message"].removeprefix("seq="): row["reason"] for row in rows}
        assert told == {"old": "older than 14 days", "new": "more than two hours in the future"}
        assert sorted(peer.texts) == ["seq=hour", "seq=now"]
        assert peer.wrongs == []


def test_positions_of_what_is_refused() -> None:
    told = {"expiredLogEventEndIndex": 1, "tooOldLogEventEndIndex": 2, "tooNewLogEventStartIndex": 4}
    found = cloudwatch._refused(told, [10, 11, 12, 13, 14])
    assert [(each.index, each.reason.split()[0]) for each in found] == [(10, "older"), (11, "older"), (14, "more")]
    assert cloudwatch._refused({"tooNewLogEventStartIndex": 0}, [5])[0].index == 5
    assert cloudwatch._refused({}, [5]) == []


async def test_a_stream_that_is_missing_and_not_to_be_made(tmp_path: pathlib.Path) -> None:
    peer = peers.CloudWatch()
    async with fronts.http(peer) as url, outrig.running(tmp_path, given(url, create=False)) as it:
        it.write(range(5))
        await it.until(lambda: "ResourceNotFoundException" in it.agent.streams()[-1].error)
        assert it.metric("dead_letters_total") == 0
        assert it.metric("output_uncertain_total", output="cloudwatch") == 0


async def test_nobody_to_be(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    peer = peers.CloudWatch()
    async with fronts.http(peer) as url, outrig.running(tmp_path, given(url)) as it:
        it.write(range(5))
        await it.until(lambda: "Unable to locate credentials" in it.agent.streams()[-1].error)
        assert peer.requests == []
