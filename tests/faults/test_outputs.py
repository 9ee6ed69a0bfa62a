"""What peers do to the outputs beside Elasticsearch: each case prints output, lost, doubled-stored, counted."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from tests.faults import fake, fronts, outrig, peers

Settings = Callable[[str], dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Kind:
    """One output, its peer, and the settings that lead to it."""

    name: str
    peer: Callable[[], peers.Peer]
    settings: Settings
    secure: bool = False


AWS = {"group": "/shop/production", "stream": "node-1", "region": "eu-west-1"}
KINDS = [
    Kind("logstash-json", peers.Logstash, lambda url: {"logstash": {"url": url, "timeout": 1}}),
    Kind("logstash-ndjson", peers.Logstash, lambda url: {"logstash": {"url": url, "timeout": 1, "format": "ndjson"}}),
    Kind("otlp-protobuf", peers.Otlp, lambda url: {"otlp": {"url": url + "/v1/logs", "timeout": 1, "max_records": 50}}),
    Kind("otlp-json", peers.Otlp, lambda url: {"otlp": {"url": url + "/v1/logs", "timeout": 1, "encoding": "json"}}),
    Kind("cloudwatch", peers.CloudWatch, lambda url: {"cloudwatch": {**AWS, "endpoint": url, "timeout": 1}}),
    Kind("google", peers.Google, lambda url: {"google": {"project": "shop-1", "endpoint": url, "timeout": 1}}),
    Kind(
        "azure",
        peers.Azure,
        lambda url: {"azure": {**peers.Azure.SETTINGS, "endpoint": url, "authority": url}},
        secure=True,
    ),
]
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "key.json").write_text(peers.Google.key("http://127.0.0.1:9"))
    peers.Google.alone(monkeypatch)
    monkeypatch.setattr("google.oauth2.service_account.Credentials.refresh", peers.Google.refresh)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@dataclasses.dataclass
class Case:
    """A running rig with its peer."""

    kind: Kind
    peer: peers.Peer
    rig: outrig.Rig

    @property
    def uncertain(self) -> float:
        """Documents that may be there twice, as the shipper has counted them."""
        return self.rig.metric("output_uncertain_total", output=self.kind.name.partition("-")[0])

    def report(self, case: str, *, lost: int = 0) -> None:
        """Print the row, and insist: nothing lost; nothing doubled where ids are kept, else no more than was counted."""
        found = self.rig.verdict(self.peer)
        print(f"{case}, {self.kind.name}, {found.lost}, {found.doubled}, {self.uncertain:g}")
        assert (found.lost, found.strangers) == (lost, 0)
        assert found.doubled <= (0 if self.peer.dedupes else self.uncertain)
        assert self.peer.wrongs == []


@contextlib.asynccontextmanager
async def case(kind: Kind, folder: pathlib.Path, **more: Any) -> AsyncIterator[Case]:
    peer = kind.peer()
    async with fronts.http(peer, peers.trusted(folder / "ca.pem") if kind.secure else None) as url:
        given = {**kind.settings(url), "elasticsearch": {"bulk_bytes": 20_000, **more}}
        async with outrig.running(folder, given) as rig:
            yield Case(kind, peer, rig)


@every
async def test_all_goes_well(tmp_path: pathlib.Path, kind: Kind) -> None:
    async with case(kind, tmp_path) as it:
        it.rig.write(range(1000))
        await it.rig.stored(it.peer)
        it.report("all goes well")
        assert it.rig.verdict(it.peer).doubled == 0 == it.uncertain
        assert it.rig.metric("output_stored_total", output=kind.name.partition("-")[0]) == 1000


@every
async def test_stored_then_cut(tmp_path: pathlib.Path, kind: Kind) -> None:
    turns = [0, 0]  # requests that stored something, and how much there was before

    async with case(kind, tmp_path) as it:

        def cut(answer: fake.Answer) -> fake.Answer:
            if len(it.peer.texts) == turns[1]:
                return answer
            turns[:] = turns[0] + 1, len(it.peer.texts)
            return dataclasses.replace(answer, cut=True) if turns[0] in (1, 3, 4) else answer

        it.peer.after.append(cut)
        it.rig.write(range(500))
        await it.rig.stored(it.peer)
        it.report("stored, then cut")
        assert turns[0] > (0 if it.peer.dedupes else 1)
        assert it.peer.dedupes or it.rig.verdict(it.peer).doubled == it.uncertain > 0


@every
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_overload(tmp_path: pathlib.Path, kind: Kind, status: int) -> None:
    async with case(kind, tmp_path) as it:
        it.peer.whole.append(fake.times(4, fake.Answer(status, b"later", {"retry-after": "1"})))
        it.rig.write(range(300))
        await it.rig.until(lambda: f"HTTP {status}" in it.rig.agent.streams()[-1].error)
        await it.rig.stored(it.peer)
        it.report(f"HTTP {status}")
        assert it.rig.verdict(it.peer).doubled == 0
        assert it.rig.agent.streams()[-1].error == ""


@every
async def test_half_open_and_slow(tmp_path: pathlib.Path, kind: Kind) -> None:
    async with case(kind, tmp_path) as it:
        it.peer.whole.append(fake.times(2, fake.Answer(200, b"", delay=3.0)))
        it.peer.after.append(lambda answer: dataclasses.replace(answer, delay=0.1))
        it.rig.write(range(300))
        await it.rig.stored(it.peer)
        it.report("half-open, then slow")


@every
async def test_gone_and_back(tmp_path: pathlib.Path, kind: Kind) -> None:
    gone = [True]
    async with case(kind, tmp_path) as it:
        it.peer.whole.append(lambda _: fake.Answer(0, b"", cut=True) if gone[0] else None)
        it.rig.write(range(2000))
        await it.rig.until(lambda: it.rig.agent.streams()[-1].error != "")
        assert it.rig.metric("in_flight_bytes") < 6_000_000  # files are the spool
        gone[0] = False
        await it.rig.stored(it.peer)
        it.report("gone and back")


@every
async def test_killed_and_started_again(tmp_path: pathlib.Path, kind: Kind) -> None:
    async with case(kind, tmp_path) as it:
        for turn in range(5):
            it.rig.write(range(turn * 400, turn * 400 + 400))
            await it.rig.until(lambda: len(it.peer.texts) > 100)
            await it.rig.kill()
            it.rig.start()
        await it.rig.stored(it.peer)
        found = it.rig.verdict(it.peer)
        print(f"killed 5 times, {kind.name}, {found.lost}, {found.doubled}")
        assert (found.lost, found.strangers) == (0, 0)
        assert found.doubled == 0 or not it.peer.dedupes


@every
async def test_one_poison_line(tmp_path: pathlib.Path, kind: Kind) -> None:
    async with case(kind, tmp_path) as it:
        it.peer.poison = "-77"
        it.rig.write(range(200))
        it.rig.written.discard("app.log-77")
        await it.rig.stored(it.peer)
        await it.rig.until(lambda: it.rig.metric("dead_letters_total") == 1)
        it.report("one poison line")
        assert it.rig.verdict(it.peer).doubled == 0
        [row] = [orjson.loads(row) for row in (it.rig.data / "logs/dead-letters.jsonl").read_bytes().splitlines()]
        assert row["document"]["message"] == "seq=app.log-77"
        assert row["status"] == 400
        assert row["output"] == kind.name.partition("-")[0]


@every
async def test_too_large(tmp_path: pathlib.Path, kind: Kind) -> None:
    async with case(kind, tmp_path) as it:
        it.peer.most_bytes = 6000
        it.rig.write(range(200))
        await it.rig.stored(it.peer)
        it.report("413")
        assert it.rig.metric("dead_letters_total") == 0


@every
async def test_no_rights_and_given_them(tmp_path: pathlib.Path, kind: Kind) -> None:
    denied = [True]
    async with case(kind, tmp_path) as it:
        it.peer.whole.append(lambda _: fake.Answer(403, b"not you") if denied[0] else None)
        it.rig.write(range(100))
        await it.rig.until(lambda: "not you" in it.rig.agent.streams()[-1].error)
        await asyncio.sleep(0.2)
        assert it.peer.texts == []
        assert it.rig.metric("dead_letters_total") == 0
        denied[0] = False
        await it.rig.stored(it.peer)
        it.report("403, then allowed")
