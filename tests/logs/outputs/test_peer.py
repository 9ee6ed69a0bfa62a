"""The way to a peer over HTTP: certificates, credentials that change, proxies' pages, redirects."""

from __future__ import annotations

import pathlib
import ssl

import pytest
import trustme

from tests.faults import fake, fronts, outrig, peers
from tidegate.logs.outputs import peer, sending
from tidegate.model import problems


def secure(folder: pathlib.Path, name: str) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize("told", ["logstash.test", ""])
async def test_the_certificates_name(tmp_path: pathlib.Path, told: str) -> None:
    made = peers.Logstash()
    async with fronts.http(made, secure(tmp_path, "logstash.test")) as url:
        given = {"logstash": {"url": url, "tls_config": {"ca_file": "ca.pem", "server_name": told}}}
        async with outrig.running(tmp_path, given) as it:
            it.write(range(10))
            if told:
                await it.stored(made)
            else:
                await it.until(lambda: "certificate verify failed" in it.agent.streams()[-1].error)
                assert made.texts == []
                assert it.metric("output_uncertain_total", output="logstash") == 0


async def test_a_changed_password_counts_from_the_next_try(tmp_path: pathlib.Path) -> None:
    made = peers.Logstash()
    made.authorization = "Basic c2hpcHBlcjpuZXc="  # shipper:new
    (tmp_path / "password").write_text("old\n")
    async with fronts.http(made) as url:
        login = {"username": "shipper", "password_file": "password"}
        async with outrig.running(tmp_path, {"logstash": {"url": url, "basic_auth": login}}) as it:
            it.write(range(10))
            await it.until(lambda: "HTTP 401: who are you?" in it.agent.streams()[-1].error)
            (tmp_path / "password").write_text("new\n")
            await it.stored(made)
            assert it.metric("dead_letters_total") == 0


async def test_a_password_file_that_is_missing_is_shown(tmp_path: pathlib.Path) -> None:
    made = peers.Logstash()
    async with fronts.http(made) as url:
        login = {"username": "shipper", "password_file": "password"}
        async with outrig.running(tmp_path, {"logstash": {"url": url, "basic_auth": login}}) as it:
            it.write(range(10))
            await it.until(lambda: "cannot read the secret's file" in it.agent.streams()[-1].error)
            (tmp_path / "password").write_text("new\n")
            await it.stored(made)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (301, "text/plain", "held"),
        (302, "text/html", "held"),
        (400, "text/html", "held"),
        (401, "text/plain", "held"),
        (404, "application/json", "held"),
        (408, "text/plain", "rate_limited"),
        (429, "text/html", "rate_limited"),
        (500, "text/plain", "server"),
        (502, "text/html", "server"),
        (503, "text/html", "rate_limited"),
    ],
)
def test_what_is_no_documents_fault(status: int, kind: str, reason: str) -> None:
    with pytest.raises(problems.TransientError) as caught:
        peer.judge(status, {"content-type": kind, "retry-after": "7"}, b"a  long\nstory")
    assert (caught.value.reason, caught.value.after) == (reason, 7.0)
    assert str(caught.value) == f"HTTP {status}: a long story"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "application/json"), (413, "text/html"), (422, ""), (431, "text/plain")]
)
def test_what_documents_are_to_blame_for(status: int, kind: str) -> None:
    with pytest.raises(sending.RefusedError) as caught:
        peer.judge(status, {"content-type": kind}, b"")
    assert (caught.value.status, caught.value.reason) == (status, "no reason given")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_is_stored(status: int) -> None:
    peer.judge(status, {}, b"")


async def test_redirects_are_held(tmp_path: pathlib.Path) -> None:
    made = peers.Logstash()
    made.whole.append(fake.times(2, fake.Answer(302, b"", {"location": "/login"})))
    async with fronts.http(made) as url, outrig.running(tmp_path, {"logstash": {"url": url}}) as it:
        it.write(range(10))
        await it.until(lambda: "HTTP 302" in it.agent.streams()[-1].error)
        await it.stored(made)
        assert {request.method for request in made.requests} == {"POST"}


def test_pieces_of_a_batch() -> None:
    assert sending.pieces([5, 5, 5, 20, 1], range(10, 15), most_bytes=10) == [
        range(10, 12),
        range(12, 13),
        range(13, 14),
        range(14, 15),
    ]
    assert sending.pieces([1] * 5, range(5), most_bytes=100, most=2) == [range(2), range(2, 4), range(4, 5)]
    assert sending.pieces([], range(0), most_bytes=1) == []
