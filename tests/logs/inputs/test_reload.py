"""Other settings of inputs while they run: what stays is not disturbed, and what was acknowledged is shipped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pathlib
import ssl
from typing import Any

import pytest
import trustme

from tests.faults import fake
from tests.logs.inputs import peers, test_syslog
from tidegate import sources
from tidegate.kit import config, telemetry
from tidegate.logs.inputs import addresses, instruments
from tidegate.model import problems, settings


def take(it: peers.Rig, receive: dict[str, Any]) -> None:
    """What a reload does."""
    it.config = settings.Logs.model_validate({**it.config.model_dump(), "receive": receive})
    it.inputs.reload(it.config)
    it.agent.set_inputs(it.config.inputs)


async def test_what_stays_is_not_disturbed(tmp_path: pathlib.Path) -> None:
    first = {"http": {"stays": {"listen": "127.0.0.1:0"}, "goes": {"listen": "127.0.0.1:0"}}}
    async with peers.running(tmp_path, first) as it:
        kept, gone = await it.address("http-stays"), await it.address("http-goes")
        reader, writer = await asyncio.open_connection(*kept)
        one, before = it.inputs.running["http-stays"], it.inputs.running["http-goes"]
        take(it, {"http": {"stays": {"listen": "127.0.0.1:0"}, "comes": {"listen": "127.0.0.1:0", "dataset": "new"}}})
        assert it.inputs.running["http-stays"] is one
        fresh = await it.address("http-comes")
        await it.until(lambda: before not in [each for each, _ in it.inputs._tasks.values()])
        with pytest.raises(ConnectionError):
            await peers.request(gone, b"x")
        body, names = peers.numbered(range(3))
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        assert (await peers.answer(reader))[0] == 200  # on the connection from before
        more, others = peers.numbered(range(3), "new")
        assert (await peers.request(fresh, more))[0] == 200
        it.written = names | others
        await it.stored()
        writer.close()
        datasets = {each["message"][4:7]: each["data_stream"]["dataset"] for each in it.documents()}
        assert datasets == {"m-0": "generic", "m-1": "generic", "m-2": "generic", "new": "new"}


async def test_a_changed_token_counts_at_once(tmp_path: pathlib.Path) -> None:
    port = peers.free_port()
    async with peers.running(tmp_path, peers.http(listen=f"127.0.0.1:{port}", token="old")) as it:
        address = await it.address("http-in")
        assert (await peers.request(address, b"seq=a-1", headers={"authorization": "Bearer old"}))[0] == 200
        take(it, peers.http(listen=f"127.0.0.1:{port}", token="new"))
        await it.address("http-in")
        assert (await peers.request(address, b"seq=a-2", headers={"authorization": "Bearer old"}))[0] == 401
        assert (await peers.request(address, b"seq=a-3", headers={"authorization": "Bearer new"}))[0] == 200
        it.written = {"a-1", "a-3"}
        await it.stored()
        assert it.verdict().strangers == 0
        assert it.metric("input_restarts_total", input="http-in") == 0


async def test_a_renewed_certificate_is_shown_after_a_reload(tmp_path: pathlib.Path) -> None:
    """With settings that did not change, as a renewal leaves them; the files are among those that are watched."""
    old, new = trustme.CA(), trustme.CA()
    tls = test_syslog.certificates(tmp_path, old, clients=False)
    async with peers.running(tmp_path, peers.http(listen="127.0.0.1:0", tls=tls)) as it:
        assert await trusts(old, await it.address("http-in"))
        one = it.inputs.running["http-in"]
        take(it, it.config.receive.model_dump())
        assert it.inputs.running["http-in"] is one
        test_syslog.certificates(tmp_path, new, clients=False)
        take(it, it.config.receive.model_dump())
        address = await it.address("http-in")
        assert await trusts(new, address)
        assert not await trusts(old, address)
    path = tmp_path / "tidegate.yaml"
    path.write_text(json.dumps({"logs": {"receive": {"http": {"in": {"tls": tls}}}}}))
    assert {str(tmp_path / name) for name in tls.values()} <= set(sources.watched(config.load(path, {}), path))


async def trusts(authority: trustme.CA, address: tuple[str, int]) -> bool:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    try:
        _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="localhost")
    except ssl.SSLCertVerificationError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"listen": "0.0.0.0:0"}, "logs-input-open"),
        ({"tls": {"cert_file": "none.pem", "key_file": "none.pem"}}, "logs-input-tls"),
    ],
)
async def test_bad_settings_leave_the_old_ones_in_force(tmp_path: pathlib.Path, wrong: Any, code: str) -> None:
    async with peers.running(tmp_path, peers.http()) as it:
        address, one = await it.address("http-in"), it.inputs.running["http-in"]
        with pytest.raises(problems.ConfigError) as caught:
            take(it, {"http": {"in": wrong, "other": {}}})
        assert [each.code for each in caught.value.problems] == [code]
        assert it.inputs.running == {"http-in": one}
        assert (await peers.request(address, b"seq=a-1"))[0] == 200
        it.written = {"a-1"}
        await it.stored()


async def test_an_input_is_taken_away_in_an_outage(tmp_path: pathlib.Path) -> None:
    """What it acknowledged is stored when the output is back, and then its spool is empty."""
    async with peers.running(tmp_path, peers.http(dataset="gone"), elasticsearch={"bulk_bytes": 2000}) as it:
        down = [True]
        it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to") if down[0] else None)
        address = await it.address("http-in")
        for turn in range(10):
            body, names = peers.numbered(range(turn * 50, turn * 50 + 50))
            assert (await peers.request(address, body))[0] == 200
            it.written |= names
        take(it, {})
        assert it.inputs.running == {}
        down[0] = False
        await it.stored()
        await it.until(lambda: it.spool_files("http-in") == [])
        await it.until(lambda: it.metric("spool_bytes", input="http-in") == 0)
        assert (it.verdict().lost, it.verdict().doubled_stored) == (0, 0)
        take(it, peers.http(dataset="back"))
        await it.address("http-in")
        assert (await peers.request(await it.address("http-in"), b"seq=b-1"))[0] == 200
        it.written.add("b-1")
        await it.stored()
        assert it.documents()[-1]["data_stream"]["dataset"] == "back"


async def test_an_input_is_taken_away_while_nobody_runs(tmp_path: pathlib.Path) -> None:
    """The spool knows by itself how its lines are to be shipped."""
    it = peers.Rig(tmp_path, peers.http(dataset="gone", labels={"team": "a"}, redact_patterns={"word": "hush"}))
    it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to"))
    it.start()
    assert (await peers.request(await it.address("http-in"), b"hush seq=a-1"))[0] == 200
    await it.stop(0.0)
    again = peers.Rig(tmp_path, {})
    again.written = {"a-1"}
    again.start()
    await again.stored()
    await again.until(lambda: again.spool_files("http-in") == [])
    (document,) = again.documents()
    assert document["message"] == "[redacted:word] seq=a-1"
    assert (document["data_stream"]["dataset"], document["labels"]["team"]) == ("gone", "a")
    await again.stop()


async def test_a_spool_that_does_not_know_its_input_is_shipped_all_the_same(tmp_path: pathlib.Path) -> None:
    it = peers.Rig(tmp_path, peers.http(dataset="gone"))
    it.server.whole.append(lambda _: fake.error(503, "unavailable", "told to"))
    it.start()
    assert (await peers.request(await it.address("http-in"), b"seq=a-1"))[0] == 200
    await it.stop(0.0)
    (tmp_path / "data/logs/spool/http-in/shipped-as.json").write_text("{torn")
    again = peers.Rig(tmp_path, {})
    again.written = {"a-1"}
    again.start()
    await again.stored()
    assert [each["data_stream"]["dataset"] for each in again.documents()] == ["generic"]
    await again.stop()


async def test_redaction_and_limits_of_what_is_sent(tmp_path: pathlib.Path) -> None:
    limits = {"sample": {"debug": 10}, "report_interval": "50ms"}
    async with peers.running(tmp_path, peers.http(redact=["cards"], limits=limits)) as it:
        address = await it.address("http-in")
        lines = [f'{{"level":"debug","msg":"d {number}"}}' for number in range(100)]
        lines.append('{"level":"error","msg":"card 4111 1111 1111 1111 seq=a-1"}')
        assert (await peers.request(address, "\n".join(lines).encode()))[0] == 200
        it.written = {"a-1"}
        await it.stored()

        def kept() -> int:
            return sum(each["message"].startswith("d ") for each in it.documents())

        await it.until(lambda: kept() + it.metric("left_out_lines_total", dataset="generic", reason="sample") == 100)
        assert 0 < kept() < 40
        (card,) = [each["message"] for each in it.documents() if "seq=a-1" in each["message"]]
        assert card == "card [redacted:card] seq=a-1"
        assert it.metric("redacted_total", rule="card") == 1


@pytest.mark.parametrize("late", [False, True])
async def test_a_connection_that_comes_as_its_listener_goes_is_closed(*, late: bool) -> None:
    """Cancelled before it was looked at, or handed over after the end: the sender must see an end, and send elsewhere."""
    limits = addresses.Connections("x", 10, instruments.Instruments(telemetry.Registry()))

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("it is not served")

    accept = limits.serving(never)
    ended = asyncio.Event()

    async def handed_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if late:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
        accept(reader, writer)
        for task in limits._tasks:
            task.cancel()
        ended.set()

    server = await asyncio.start_server(handed_over, "127.0.0.1", 0, start_serving=False)
    serving = asyncio.create_task(limits.until_cancelled(server))
    await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    await ended.wait()
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
