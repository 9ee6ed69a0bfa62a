"""What Elasticsearch and the machine do to a shipper: each case prints lost, doubled-sent, doubled-stored, counted."""

from __future__ import annotations

import asyncio
import itertools
import pathlib
import random
import ssl

import orjson
import pydantic
import pytest

from tests.faults import fake, fronts, oracle, rig, table
from tidegate.kit import clock, telemetry
from tidegate.logs import agent
from tidegate.logs.elasticsearch import bulk, connection
from tidegate.logs.read import checkpoint, files
from tidegate.logs.ship import output
from tidegate.model import problems, settings

virtual = pytest.mark.looptime


batch = rig.batch


class Direct:
    """An output without an agent, in virtual time."""

    def __init__(self, **config: object) -> None:
        self.server = fake.Elasticsearch()
        self.registry = telemetry.Registry()
        self.time = clock.LoopClock()
        self.config = settings.Elasticsearch.model_validate({"urls": ["http://a:9200", "http://b:9200"], **config})
        self.output = bulk.ElasticsearchOutput(
            self.config, self.time, self.registry, node_class=fronts.node(self.server)
        )

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"tidegate_logs_elasticsearch_{name}_total", labels) or 0.0

    def check(self, case: str, count: int, *, rejected: int = 0, doubled_stored: int = 0, by: str = "") -> None:
        """Give the row, and insist on each document being stored once, or being counted where it is not."""
        stored = self.server.documents()
        unique = {document["message"] for document in stored}
        sent = sum(self.server.sent.values()) - len(self.server.sent)
        lost, doubled = count - rejected - len(unique), len(stored) - len(unique)
        by = by or (
            "elasticsearch_rejected_total" if rejected else "elasticsearch_rolled_over_total" if doubled else ""
        )
        counted = int(self.total(by)) if by else 0
        table.add(table.Row(case, lost, sent, doubled, counted, by))
        assert (lost, doubled) == (0, doubled_stored)
        assert self.total("elasticsearch_rejected_total") == rejected
        assert self.total("elasticsearch_rolled_over_total") == doubled_stored
        assert self.server.wrongs == []
        assert self.output.error == ""

    def total(self, name: str) -> float:
        """A counter, summed over its labels."""
        families = self.registry.collect()
        return sum(each.value for family in families for each in family.samples if each.name == f"tidegate_logs_{name}")


@virtual
async def test_nothing_wrong() -> None:
    it = Direct()
    assert await it.output.send(batch(1000)) == []
    it.check("nothing wrong", 1000)
    assert len(it.server.requests) == 1
    assert it.metric("requests", outcome="200") == 1


@virtual
async def test_half_of_the_items_429() -> None:
    it, rounds = Direct(), itertools.count()
    it.server.item.append(
        fake.refuse_items(
            429, "es_rejected_execution_exception", lambda _: next(rounds) % 2 == 0 and next(rounds) < 3000
        )
    )
    assert await it.output.send(batch(1000)) == []
    it.check("item 429 for half", 1000, by="elasticsearch_retried_total")
    assert it.metric("retried", status="429") == sum(it.server.sent.values()) - 1000
    assert it.metric("duplicates") == 0  # only what was refused is sent again


@virtual
async def test_all_items_429() -> None:
    it, left = Direct(), [500]

    def full(_: dict[str, object]) -> bool:
        left[0] -= 1
        return left[0] >= 0

    it.server.item.append(fake.refuse_items(429, "es_rejected_execution_exception", full))
    assert await it.output.send(batch(100)) == []
    it.check("item 429 for all", 100, by="elasticsearch_retried_total")
    assert it.metric("retried", status="429") == 500


@virtual
async def test_a_third_of_the_items_503() -> None:
    it, rounds = Direct(), itertools.count()
    it.server.item.append(fake.refuse_items(503, "unavailable_shards_exception", lambda _: next(rounds) % 3 == 0))
    assert await it.output.send(batch(900)) == []
    it.check("item 503 for a third", 900, by="elasticsearch_retried_total")
    assert it.metric("duplicates") == 0


@virtual
async def test_all_items_409() -> None:
    it = Direct()
    assert await it.output.send(batch(100)) == []
    again = await it.output.send(batch(100))
    assert again == []
    it.check("item 409 for all", 100, by="elasticsearch_duplicates_total")
    assert it.metric("duplicates") == 100


@virtual
async def test_flood_stage_block() -> None:
    it = Direct()
    begun = it.time.now()
    it.server.item.append(fake.refuse_items(429, "cluster_block_exception", lambda _: it.time.now() - begun < 600))
    task = asyncio.create_task(it.output.send(batch(50)))
    await it.time.sleep(60)
    assert it.output.error == "HTTP 429 for a document: cluster_block_exception: told to"
    assert await task == []
    assert it.time.now() - begun < 700
    it.check("flood-stage block for 10 min", 50)


@virtual
@pytest.mark.parametrize("case", ["whole 429", "whole 500", "whole 502", "whole 503", "whole 504"])
async def test_whole_requests_refused(case: str) -> None:
    status = int(case.removeprefix("whole "))
    it = Direct()
    it.server.whole.append(fake.times(7, fake.error(status, "x", "told to")))
    assert await it.output.send(batch(100)) == []
    it.check(case, 100, by="elasticsearch_retried_total")
    assert it.metric("requests", outcome=str(status)) == 7
    assert it.metric("retried", status=str(status)) == 700


@virtual
async def test_retry_after_is_honoured() -> None:
    it = Direct()
    answer = fake.error(429, "x", "told to")
    answer.headers["retry-after"] = "120"
    it.server.whole.append(fake.times(1, answer))
    begun = it.time.now()
    assert await it.output.send(batch(1)) == []
    assert 119.9 <= it.time.now() - begun < 121


@virtual
async def test_unreadable_answers() -> None:
    it = Direct()
    spoiled = [
        b"<html>Bad gateway</html>",
        b"",
        b'{"errors":false,"items":[]}',
        b'{"errors":false,"items":[{"create":{}}]}',
        b"[1]",
    ]

    def spoil(answer: fake.Answer) -> fake.Answer:
        return fake.Answer(200, spoiled.pop(), {"content-type": "text/html"}) if spoiled else answer

    it.server.after.append(spoil)
    assert await it.output.send(batch(100)) == []
    it.check("unreadable answers", 100, by="elasticsearch_duplicates_total")
    assert it.metric("unreadable") == 5
    assert it.metric("duplicates") == 100


@virtual
async def test_truncated_answer() -> None:
    it, left = Direct(), [3]

    def spoil(answer: fake.Answer) -> fake.Answer:
        left[0] -= 1
        return fake.Answer(200, answer.body[: len(answer.body) // 2]) if left[0] >= 0 else answer

    it.server.after.append(spoil)
    assert await it.output.send(batch(10_000)) == []
    it.check("short answers to 10,000 items", 10_000, by="elasticsearch_duplicates_total")


@virtual
async def test_stored_and_then_cut() -> None:
    it, rnd = Direct(), random.Random(7)

    def cut(answer: fake.Answer) -> fake.Answer:
        answer.cut = rnd.random() < 0.3
        return answer

    it.server.after.append(cut)
    for number in range(30):
        part = batch(100)
        part.ids = [f"{number}-{name}" for name in part.ids]
        part.bodies = [body.replace(b"seq=d-", b"seq=d%d-" % number) for body in part.bodies]
        assert await it.output.send(part) == []
    it.check("stored, then cut, 30 %", 3000, by="elasticsearch_duplicates_total")
    assert it.metric("duplicates") == sum(count > 1 for count in it.server.sent.values()) > 0


@virtual
async def test_no_answer_in_time() -> None:
    it, left = Direct(timeout=30), [4]

    def stall(answer: fake.Answer) -> fake.Answer:
        left[0] -= 1
        answer.delay = 3600.0 if left[0] >= 0 else 0.0
        return answer

    it.server.after.append(stall)
    assert await it.output.send(batch(10)) == []
    assert len(it.server.documents()) == 10
    assert it.metric("requests", outcome="timeout") == 4


@virtual
async def test_poison_goes_alone() -> None:
    it = Direct()
    it.server.item.append(
        fake.refuse_items(400, "document_parsing_exception", lambda each: each["message"].startswith("seq=d-5 "))
    )
    [refused] = await it.output.send(batch(1000))
    assert (refused.index, refused.status, refused.reason) == (5, 400, "document_parsing_exception: told to")
    it.check("poison 0.1 %", 1000, rejected=1)
    assert it.metric("rejected", status="400") == 1


@virtual
async def test_too_large_is_halved_and_a_giant_refused() -> None:
    it = Direct(compress=False)
    it.server.whole.append(lambda request: fake.Answer(413, b"too large") if len(request.body) > 1_000_000 else None)
    many = batch(4000, size=500)
    giant = batch(1, size=2_000_000)
    many.bodies = [*many.bodies, giant.bodies[0].replace(b"d-0", b"g-0")]
    many.ids, many.streams = [*many.ids, "giant"], [*many.streams, many.streams[0]]
    [refused] = await it.output.send(many)
    assert (refused.index, refused.status) == (4000, 413)
    it.check("413 at 1 MB", 4001, rejected=1)
    before = it.metric("requests", outcome="413")
    other = batch(3000, size=500)
    other.ids = [f"other{name}" for name in other.ids]
    assert await it.output.send(other) == []
    assert it.metric("requests", outcome="413") == before  # the limit was learned


@virtual
async def test_malformed_as_a_whole_is_narrowed_down() -> None:
    it = Direct()
    it.server.whole.append(
        lambda request: fake.error(400, "x_content_parse_exception", "bad") if b"seq=d-77 " in request.body else None
    )
    [refused] = await it.output.send(batch(100))
    assert (refused.index, refused.status) == (77, 400)
    it.check("whole 400 for one document", 100, rejected=1)


@virtual
@pytest.mark.parametrize(
    ("case", "answer"),
    [
        ("HTML from a proxy", fake.Answer(400, b"<html>The plain HTTP request was sent to HTTPS port</html>")),
        ("whole 403", fake.error(403, "security_exception", "not allowed")),
        ("whole 404", fake.error(404, "index_not_found_exception", "no such index")),
        ("whole 301", fake.Answer(301, b"", {"location": "https://elsewhere"})),
        ("HTML with status 200", fake.Answer(200, b"<html>log in</html>", {"content-type": "text/html"})),
    ],
)
async def test_what_a_person_has_to_mend_is_held(case: str, answer: fake.Answer) -> None:
    it = Direct()
    it.server.whole.append(fake.times(20, answer))
    task = asyncio.create_task(it.output.send(batch(10)))
    await it.time.sleep(30)
    assert it.output.error != ""
    assert await task == []
    it.check(case, 10)


@virtual
@pytest.mark.parametrize("case", ["item 403 for an hour", "item 404 for an hour"])
async def test_items_that_may_not_be_written_are_held(case: str) -> None:
    it, allowed, status = Direct(), asyncio.Event(), int(case[5:8])
    it.server.item.append(fake.refuse_items(status, "security_exception", lambda _: not allowed.is_set()))
    task = asyncio.create_task(it.output.send(batch(10)))
    await it.time.sleep(3600)
    assert it.output.error == f"HTTP {status} for a document: security_exception: told to"
    assert not task.done()
    allowed.set()
    assert await task == []
    it.check(case, 10)


@virtual
async def test_rotated_key() -> None:
    it = Direct(api_key=pydantic.SecretStr("old"))
    it.server.authorization = "ApiKey new"
    task = asyncio.create_task(it.output.send(batch(10)))
    await it.time.sleep(100)
    assert it.output.error == "HTTP 401: security_exception: unable to authenticate"
    it.output.reconfigure(it.config.model_copy(update={"api_key": pydantic.SecretStr("new")}))
    assert await task == []
    it.check("401, then a new key", 10)
    assert "old" not in repr(it.output.error)
    await it.output.close()


@virtual
async def test_rollover_between_two_tries_is_the_one_double() -> None:
    it, left = Direct(), [1]

    def roll(answer: fake.Answer) -> fake.Answer:
        left[0] -= 1
        if left[0] == 0:
            it.server.roll_over()
            answer.cut = True
        return answer

    it.server.after.append(roll)
    assert await it.output.send(batch(10)) == []
    it.check("rollover between try and retry", 10, doubled_stored=10)


@virtual
async def test_failure_store_is_counted() -> None:
    it = Direct()
    it.server.item.append(lambda stream, name, document: it.server.to_failure_store(stream, name, document, "d-3 "))
    assert await it.output.send(batch(10)) == []
    assert it.metric("failure_store") == 1
    it.check("failure store used", 10, by="elasticsearch_failure_store_total")


@virtual
async def test_requests_under_way_are_limited() -> None:
    it, now, most = Direct(concurrency=2), [0], [0]

    def slow(answer: fake.Answer) -> fake.Answer:
        answer.delay = 1.0
        return answer

    it.server.after.append(slow)
    begun = it.time.now()
    parts = [batch(1) for _ in range(6)]
    for number, part in enumerate(parts):
        part.ids = [f"p{number}"]
        part.bodies = [part.bodies[0].replace(b"d-0", b"d-%d" % number)]
    await asyncio.gather(*(it.output.send(part) for part in parts))
    assert 2.9 < it.time.now() - begun < 3.2
    assert len(it.server.documents()) == 6
    assert now == most


def test_credentials_in_the_url_are_refused() -> None:
    config = settings.Elasticsearch(urls=("https://me:secret@es:9200",))
    with pytest.raises(problems.ConfigError) as caught:
        bulk.ElasticsearchOutput(config, clock.SystemClock(), telemetry.Registry())
    assert "secret" not in str(caught.value)
    assert caught.value.problems[0].code == "logs-elasticsearch-url"


def test_tls_settings(tmp_path: pathlib.Path) -> None:
    context = connection.tls(settings.Elasticsearch(urls=("https://es",), verify_tls=False))
    assert context is not None
    assert context.verify_mode == ssl.CERT_NONE
    assert connection.tls(settings.Elasticsearch(urls=("http://es",))) is None
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(problems.ConfigError):
        connection.tls(settings.Elasticsearch(urls=("https://es",), ca_file=str(tmp_path / "ca.pem")))


# --- the whole shipper ------------------------------------------------------------------------------------------------


async def test_killed_twenty_times(tmp_path: pathlib.Path) -> None:
    it, rnd = rig.Rig(tmp_path, elasticsearch={"bulk_bytes": 20_000}), random.Random(3)
    for turn in range(20):
        it.write("app.log", range(turn * 200, turn * 200 + 200), form="json" if turn % 2 else "plain")
        it.start()
        await asyncio.sleep(rnd.random() * 0.1)
        await it.kill()
    it.start()
    await it.stored()
    it.report("killed 20 times at every step", by="elasticsearch_duplicates_total")
    await it.stop()


async def test_killed_and_terminated_during_an_outage(tmp_path: pathlib.Path) -> None:
    it = rig.Rig(tmp_path)
    down = [True]
    it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to") if down[0] else None)
    it.write("app.log", range(500))
    it.start()
    await it.until(lambda: len(it.server.requests) > 0)
    await it.kill()
    it.start()
    await it.until(lambda: it.agent.streams()[-1].error != "")
    before = asyncio.get_running_loop().time()
    await it.stop(grace=0.3)
    assert asyncio.get_running_loop().time() - before < 2.0
    down[0] = False
    it.start()
    await it.stored()
    assert it.verdict() == oracle.Verdict(0, it.verdict().doubled_sent, 0, 0)
    await it.stop()


async def test_trace_closed_by_time_and_killed(tmp_path: pathlib.Path) -> None:
    """An event that was closed because its file was quiet is closed at the same place after a kill."""
    it = rig.Rig(tmp_path)
    path = tmp_path / "app.log"
    path.write_text("ERROR seq=t-1\n\tat a.B.c(D.java:1)\n")
    it.written = {"t-1", "t-2"}
    it.start()
    await it.until(lambda: len(it.server.documents()) == 1)
    await it.kill()
    with path.open("a") as file:
        file.write("\tat seq=t-2 (D.java:2)\n")
    it.start()
    await it.stored()
    it.report("trace closed by time, then killed")
    await it.stop()


@pytest.mark.parametrize("case", ["checkpoint torn", "checkpoint with a byte changed", "checkpoint empty"])
async def test_torn_checkpoint(tmp_path: pathlib.Path, case: str) -> None:
    it = rig.Rig(tmp_path)
    for turn in range(2):
        it.write("app.log", range(turn * 100, turn * 100 + 100))
        it.start()
        await it.stored()
        await it.stop()
    file = it.data / "logs" / checkpoint.NAME
    good = file.read_bytes()
    damaged = {"torn": good[:-20], "changed": good.replace(b"offset", b"0ffset"), "empty": b""}
    file.write_bytes(damaged[case.rsplit(maxsplit=1)[-1]])
    it.write("app.log", range(200, 300))
    it.start()
    await it.stored()
    it.report(case, by="checkpoint_errors_total")
    assert it.metric("checkpoint_errors_total") == 1
    await it.stop()


async def test_state_lost_altogether(tmp_path: pathlib.Path) -> None:
    it = rig.Rig(tmp_path)
    it.write("app.log", range(300))
    it.start()
    await it.stored()
    await it.stop()
    for file in (it.data / "logs").iterdir():
        file.unlink()
    it.start()
    await it.until(lambda: it.metric("shipped_total") == 300)
    it.report("state lost altogether", by="elasticsearch_duplicates_total")
    assert it.metric("elasticsearch_duplicates_total") == 300
    await it.stop()


@pytest.mark.parametrize("case", ["state schema of a later version", "state schema of an earlier version"])
async def test_state_schema(tmp_path: pathlib.Path, case: str) -> None:
    """What a later version adds is ignored; what an earlier one did not have has a default."""
    it = rig.Rig(tmp_path)
    it.write("app.log", range(300))
    it.start()
    await it.stored()
    await it.stop()
    file = it.data / "logs" / checkpoint.NAME
    head, body = (orjson.loads(line) for line in file.read_bytes().splitlines())
    for entry in body:
        if "later" in case:
            entry.update(color="blue", cuts=[["", 5]])
        else:
            del entry["cuts"], entry["gone_at"]
    raw = orjson.dumps(body)
    schema = head["schema"] + (1 if "later" in case else -1)
    file.write_bytes(orjson.dumps({"schema": schema, "digest": files.digest(raw)}) + b"\n" + raw + b"\n")
    it.write("app.log", range(300, 350))
    it.start()
    await it.stored()
    it.report(case)
    assert it.metric("checkpoint_errors_total") == 0
    assert it.verdict().doubled_sent == 0  # it went on where it was
    await it.stop()


async def test_state_cannot_be_written(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        it = rig.Rig(tmp_path)
        it.start()
        it.write("app.log", range(100))
        await it.stored()
        await it.until(lambda: "No space left" in it.agent.streams()[-1].error)
        assert it.metric("checkpoint_errors_total") >= 1
    await it.until(lambda: it.agent.streams()[-1].error == "")
    assert it.verdict().lost == 0
    await it.stop()


@virtual
@pytest.mark.parametrize(
    ("case", "seconds"),
    [
        ("Elasticsearch gone for 30 s", 30),
        ("Elasticsearch gone for 10 min", 600),
        pytest.param("Elasticsearch gone for 24 h", 86_400, marks=pytest.mark.slow),
    ],
)
async def test_elasticsearch_gone(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, case: str, seconds: int
) -> None:
    monkeypatch.setattr(agent, "SAVE_INTERVAL", max(1.0, seconds / 1000))  # a day of saving each second takes too long
    time = clock.LoopClock()
    it = rig.Rig(
        tmp_path, time, poll_interval=max(1.0, seconds / 1000), elasticsearch={"bulk_bytes": 10_000, "concurrency": 1}
    )
    begun = time.now()
    gone = fake.Answer(0, b"", cut=True)
    it.server.whole.append(lambda _: gone if time.now() - begun < seconds else None)
    it.start()
    for part in range(5):
        it.write("app.log", range(part * 1000, part * 1000 + 1000))
        await time.sleep(seconds / 5)
    most = 10_000 * 4 + 2_000_000
    assert it.metric("in_flight_bytes") < most  # memory is bounded: files are the spool
    while it.written - it.names().keys():
        await time.sleep(seconds / 1000)
    it.report(case, by="elasticsearch_retried_total")
    assert it.metric("output_error", output="elasticsearch") in (0.0, 1.0)
    await it.stop()


async def test_poison_is_kept_with_its_reason(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path) as it:
        it.server.item.append(
            fake.refuse_items(400, "document_parsing_exception", lambda each: each["message"].endswith("-7"))
        )
        it.write("app.log", range(100), form="json")
        it.written -= {name for name in it.written if name.endswith("-7")}
        await it.stored()
        await it.until(lambda: it.metric("dead_letters_total") == 1)
        it.report("poison to the dead-letter file", by="dead_letters_total")
        rows = [orjson.loads(row) for row in (it.data / "logs/dead-letters.jsonl").read_bytes().splitlines()]
        assert [(row["status"], row["reason"], row["document"]["message"]) for row in rows] == [
            (400, "document_parsing_exception: told to", "seq=app.log-7")
        ]
    assert checkpoint.load(it.data / "logs")[0].popitem()[1].offset == (tmp_path / "app.log").stat().st_size


async def test_one_stream_all_poison(tmp_path: pathlib.Path) -> None:
    inputs = [{"paths": ["good*.log"], "dataset": "good"}, {"paths": ["bad*.log"], "dataset": "bad"}]
    async with rig.running(tmp_path, inputs=inputs, dead_letter_max_bytes=20_000) as it:
        it.server.item.append(
            lambda stream, _name, _doc: (400, {"error": {"type": "x", "reason": "y"}}) if "bad" in stream else None
        )
        it.write("bad.log", range(300), form="json")
        it.written.clear()
        it.write("good.log", range(300), form="json")
        await it.stored()
        await it.until(lambda: it.metric("dead_letters_total") == 300)
        it.report("one stream all poison", by="dead_letters_total")
        assert (it.data / "logs/dead-letters.1.jsonl").exists()


async def test_observers_see_each_document_once(tmp_path: pathlib.Path) -> None:
    async with rig.running(tmp_path) as it:
        it.server.whole.append(fake.times(3, fake.error(503, "x", "y")))
        it.write("app.log", range(500), form="json")
        await it.stored()
        seen = [str(document["message"]) for document in it.observed]
        assert sorted(seen) == sorted(f"seq={name}" for name in it.written)


async def test_a_batch_that_dies_is_read_again(tmp_path: pathlib.Path) -> None:
    """A fault of our own in the middle of a batch ends the component; started again, it loses nothing."""
    async with rig.running(tmp_path) as it:
        real, deaths = it.agent._delivery._show, [1]

        async def dying(batch_: output.Batch) -> None:
            if deaths and deaths.pop():
                raise RuntimeError("a fault of our own")
            await real(batch_)

        it.agent._delivery._show = dying  # type: ignore[method-assign,assignment]
        it.write("app.log", range(100))
        assert it._running is not None
        with pytest.raises(RuntimeError, match="a fault of our own"):
            await it._running
        it._running = asyncio.create_task(it.agent.run())  # as the supervisor does
        await it.stored()
        it.report("a batch that dies of a fault of our own")


async def test_over_real_http_with_gzip_and_cuts(tmp_path: pathlib.Path) -> None:
    server, rnd = fake.Elasticsearch(), random.Random(5)

    def cut(answer: fake.Answer) -> fake.Answer:
        answer.cut = rnd.random() < 0.3
        return answer

    server.after.append(cut)
    async with fronts.http(server) as url:
        config = settings.Elasticsearch(urls=(url,), api_key=pydantic.SecretStr("key"))
        out = bulk.ElasticsearchOutput(config, clock.SystemClock(), telemetry.Registry())
        server.authorization = "ApiKey key"
        for number in range(4):
            part = batch(200)
            part.ids = [f"{number}-{name}" for name in part.ids]
            assert await out.send(part) == []
        await out.close()
    assert len(server.documents()) == 800
    assert server.wrongs == []
    assert all(request.headers["content-encoding"] == "gzip" for request in server.requests)
    assert all(request.headers["content-type"] == "application/x-ndjson" for request in server.requests)
