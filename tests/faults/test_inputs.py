"""What senders, kills and bad networks do to inputs: each case prints lost, doubled-sent, doubled-stored, counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
import random
import sys

import pytest

from tests.faults import fake, fronts, oracle
from tests.logs.inputs import peers

ROOT = pathlib.Path(__file__).parents[2]
KILLS = 8


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_killed_while_receiving(tmp_path: pathlib.Path) -> None:
    """Kills at random moments: what was acknowledged is stored once; only what was not may be there again."""
    chance = random.Random(5)
    server, port = fake.Elasticsearch(), peers.free_port()
    acknowledged: set[str] = set()
    unsure: set[str] = set()
    stop = asyncio.Event()

    async def send(sender: int) -> None:
        turn = 0
        while not stop.is_set():
            body, names = peers.numbered(range(20), f"s{sender}-{turn}")
            while True:
                try:
                    status, _, _ = await peers.request(("127.0.0.1", port), body)
                except (OSError, asyncio.IncompleteReadError):
                    unsure.update(names)
                    await asyncio.sleep(0.02)
                    continue
                if status == 200:
                    break
            acknowledged.update(names)
            turn += 1

    async with fronts.http(server) as url:
        config = {
            "receive": {"http": {"in": {"listen": f"127.0.0.1:{port}"}}},
            "elasticsearch": {"urls": [url], "bulk_bytes": 50_000, "bulk_delay": "20ms"},
            "poll_interval": "20ms",
        }
        given = {"data_dir": str(tmp_path / "data"), "folder": str(tmp_path), "logs": config}
        (tmp_path / "agent.json").write_text(json.dumps(given))
        senders = [asyncio.create_task(send(number)) for number in range(4)]
        for _ in range(KILLS):
            process = await _agent(tmp_path)
            seen = len(acknowledged)
            while len(acknowledged) <= seen:
                await asyncio.sleep(0.01)
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            process.kill()
            await process.wait()
        process = await _agent(tmp_path)
        await asyncio.sleep(0.5)
        stop.set()
        await asyncio.gather(*senders)
        for _ in range(3000):
            found = _counted(server)
            if acknowledged <= found.keys():
                break
            await asyncio.sleep(0.01)
        process.terminate()
        await process.wait()
    found = _counted(server)
    doubled = {name for name, count in found.items() if count > 1}
    sent = sum(count - 1 for count in server.sent.values())
    lost = len(acknowledged - found.keys())
    print(f"killed {KILLS} times while receiving, {lost}, {sent}, {len(doubled)}, {len(unsure)} unsure")
    assert len(acknowledged) > 1000
    assert lost == 0
    assert doubled <= unsure  # the sender sent these again, since nobody told him
    assert found.keys() <= acknowledged | unsure
    assert server.wrongs == []


async def _agent(folder: pathlib.Path) -> asyncio.subprocess.Process:
    with (folder / "agent.out").open("ab") as out:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.run_agent",
            str(folder / "agent.json"),
            cwd=ROOT,
            stdout=out,
            stderr=out,
        )


def _counted(server: fake.Elasticsearch) -> dict[str, int]:
    found: dict[str, int] = {}
    for document in server.documents():
        for name in oracle.SEQ.findall(document["message"]):
            found[name] = found.get(name, 0) + 1
    return found


async def test_slow_senders_are_cut_off_and_do_not_hold_others_up(tmp_path: pathlib.Path) -> None:
    config = peers.http(idle_timeout="400ms", max_connections=20)
    async with peers.running(tmp_path, config) as it:
        address = await it.address("http-in")
        slow = []
        for turn in range(15):
            _, writer = await asyncio.open_connection(*address)
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\n" + (b"content-length: 10\r\n\r\n12" if turn % 2 else b""))
            slow.append(writer)
        trickle = asyncio.create_task(_trickle(slow))
        body, it.written = peers.numbered(range(100))
        status, _, _ = await peers.request(address, body)
        assert status == 200
        await it.until(lambda: it.metric("input_refused_total", input="http-in", reason="timeout") == 15)
        await it.until(lambda: it.metric("input_connections", input="http-in") == 0)
        trickle.cancel()
        await asyncio.gather(trickle, return_exceptions=True)
        await it.stored()
        it.report("slow-loris", 15)
        for writer in slow:
            writer.close()


async def _trickle(writers: list[asyncio.StreamWriter]) -> None:
    while True:
        for writer in writers:
            with contextlib.suppress(ConnectionError):
                writer.write(b"a")
        await asyncio.sleep(0.05)


async def test_half_open_connections_make_room_again(tmp_path: pathlib.Path) -> None:
    """Peers that vanish without a word: as many as are let in, then none is, then time lets new ones in."""
    config = peers.http(idle_timeout="300ms", max_connections=5)
    async with peers.running(tmp_path, config) as it:
        address = await it.address("http-in")
        gone = [await asyncio.open_connection(*address) for _ in range(5)]
        await it.until(lambda: it.metric("input_connections", input="http-in") == 5)
        with pytest.raises(ConnectionError):
            await peers.request(address, b"x")
        assert it.metric("input_refused_total", input="http-in", reason="connections") == 1
        await it.until(lambda: it.metric("input_connections", input="http-in") == 0)
        status, _, _ = await peers.request(address, b"seq=after")
        assert status == 200
        for _, writer in gone:
            writer.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40, 400),
        (b"GET\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
            b"1000\r\n" + b"a" * 4096 + b"\r\n0\r\n\r\n",
            413,
        ),
    ],
)
async def test_what_is_no_request(tmp_path: pathlib.Path, raw: bytes, status: int) -> None:
    async with peers.running(tmp_path, peers.http(max_body_bytes=2048)) as it:
        address = await it.address("http-in")
        reader, writer = await asyncio.open_connection(*address)
        writer.write(raw)
        assert (await peers.answer(reader))[0] == status
        writer.close()
        reason = "too_large" if status == 413 else "protocol"
        assert it.metric("input_refused_total", input="http-in", reason=reason) == 1
        assert (await peers.request(address, b"seq=fine"))[0] == 200


async def test_a_refused_sender_reads_the_answer_though_he_is_still_sending(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, peers.http(token="s3cret")) as it:
        address = await it.address("http-in")
        for status, headers in ((401, {}), (413, {"authorization": "Bearer s3cret", "content-length": "9000000"})):
            found, _, _ = await peers.request(address, b"x" * 8_000_000, headers=headers)
            assert found == status


async def test_an_error_of_ours_ends_one_connection_and_is_counted(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, peers.http()) as it:
        address = await it.address("http-in")
        spool = it.inputs.spools["http-in"]
        put, spool.put = spool.put, None  # type: ignore[method-assign, assignment]
        with pytest.raises(ConnectionError):
            await peers.request(address, b"x")
        spool.put = put  # type: ignore[method-assign]
        assert it.metric("input_refused_total", input="http-in", reason="error") == 1
        assert (await peers.request(address, b"x"))[0] == 200


async def test_kept_alive_chunked_and_asking_first(tmp_path: pathlib.Path) -> None:
    async with peers.running(tmp_path, peers.http()) as it:
        reader, writer = await asyncio.open_connection(*await it.address("http-in"))
        for number in range(50):
            it.written.add(f"k-{number}")
            body = b"seq=k-%d\n" % number
            chunks = b"".join(b"1\r\n%c\r\n" % each for each in body) + b"0\r\n\r\n"
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks)
            assert (await peers.answer(reader))[0] == 200
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 8\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(b"seq=k-x\n")
        assert (await peers.answer(reader))[0] == 200
        it.written.add("k-x")
        writer.close()
        await it.stored()
        it.report("kept alive, chunked, 100-continue")


async def test_an_address_that_is_taken_is_tried_again(tmp_path: pathlib.Path) -> None:
    holder = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = holder.sockets[0].getsockname()[1]
    config = {"http": {"in": {"listen": f"127.0.0.1:{port}"}, "other": {"listen": "127.0.0.1:0"}}}
    async with peers.running(tmp_path, config) as it:
        await it.until(lambda: it.metric("input_restarts_total", input="http-in") > 0)
        assert (await peers.request(await it.address("http-other"), b"x"))[0] == 200
        holder.close()
        await holder.wait_closed()
        assert (await peers.request(await it.address("http-in"), b"x"))[0] == 200
