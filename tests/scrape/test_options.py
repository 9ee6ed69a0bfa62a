"""Every way of reaching a target, with real peers: TLS, certificates of our own, proxies, passwords, tokens, redirects."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import os
import pathlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trustme
from aiohttp import web

from tests.gate import fakes
from tests.support import samples
from tidegate.discovery import build
from tidegate.kit import access, clock, telemetry
from tidegate.metrics import store as store_
from tidegate.model import client, problems, scraping, targets
from tidegate.scrape import fetch, loop

BODY = 'a{x="1",long="abcdef"} 1\nb{x="2"} 2\nc 3\n'
Answer = Callable[[web.Request], web.Response]


def plain(_request: web.Request) -> web.Response:
    return web.Response(text=BODY)


@contextlib.asynccontextmanager
async def serving(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free port; everything asked of it is answered by `answer`."""

    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[Any]:
    http = fetch.session()
    yield http
    await http.close()


def target(port: int, folder: pathlib.Path, host: str = "127.0.0.1", **more: Any) -> targets.Target:
    job = scraping.Job.model_validate({"job_name": "j", **more})
    found = build.Builder(job, scraping.Scrape(), folder).target({"__address__": f"{host}:{port}"}, {})
    assert isinstance(found, targets.Target)
    return found


async def get(session: Any, one: targets.Target) -> str:
    return (await fetch.Fetcher(session, one, clock.SystemClock()).get()).body.decode()


async def test_tls_with_an_authority_a_server_name_and_a_certificate_of_our_own(
    session: Any, tmp_path: pathlib.Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = authority.issue_cert("client.example")
    ours.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "cert.pem").write_bytes(b"".join(one.bytes() for one in ours.cert_chain_pems))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("shop.example").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    both = {"cert_file": "cert.pem", "key_file": "key.pem"}
    async with serving(plain, context) as port:
        good = target(
            port, tmp_path, scheme="https", tls_config={"ca_file": "ca.pem", "server_name": "shop.example", **both}
        )
        assert await get(session, good) == BODY
        careless = target(port, tmp_path, scheme="https", tls_config={"insecure_skip_verify": True, **both})
        assert await get(session, careless) == BODY
        for wrong in ({"ca_file": "ca.pem", **both}, {"server_name": "shop.example", **both}, {"ca_file": "none.pem"}):
            with pytest.raises(problems.TransientError):
                await get(session, target(port, tmp_path, scheme="https", tls_config=wrong))


def test_a_certificate_that_was_renewed_is_used(tmp_path: pathlib.Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    way = access.Access(client.Client(tls=client.Tls(ca=client.Secret("", str(tmp_path / "ca.pem")))), fakes.Clock())
    first = way.context()
    assert way.context() is first
    os.utime(tmp_path / "ca.pem", (1, 1))
    assert way.context() is not first


IDENTITIES: list[tuple[dict[str, Any], str]] = [
    ({"basic_auth": {"username": "u", "password": "p:w"}}, f"Basic {base64.b64encode(b'u:p:w').decode()}"),
    ({"basic_auth": {"username": "u", "password_file": "secret"}}, f"Basic {base64.b64encode(b'u:s3').decode()}"),
    ({"authorization": {"credentials": "t"}}, "Bearer t"),
    ({"authorization": {"type": "Token", "credentials_file": "secret"}}, "Token s3"),
    ({"bearer_token": "old"}, "Bearer old"),
    ({"bearer_token_file": "secret"}, "Bearer s3"),
]


@pytest.mark.parametrize(("more", "expected"), IDENTITIES, ids=str)
async def test_who_we_are(session: Any, tmp_path: pathlib.Path, more: dict[str, Any], expected: str) -> None:
    (tmp_path / "secret").write_text("s3\n")
    seen: list[str] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("authorization", ""))
        return plain(request)

    async with serving(answer) as port:
        await get(session, target(port, tmp_path, **more))
    assert seen == [expected]


async def test_a_rotated_secret_counts_at_once_and_a_lost_one_fails_the_scrape(
    session: Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "secret").write_text("one")
    seen: list[str] = []

    def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["authorization"])
        return plain(request)

    async with serving(answer) as port:
        fetcher = fetch.Fetcher(session, target(port, tmp_path, bearer_token_file="secret"), clock.SystemClock())
        await fetcher.get()
        (tmp_path / "secret").write_text("two")
        await fetcher.get()
        (tmp_path / "secret").unlink()
        with pytest.raises(problems.TransientError, match="cannot read the secret's file") as caught:
            await fetcher.get()
    assert seen == ["Bearer one", "Bearer two"]
    assert caught.value.reason == "auth"


async def test_an_oauth2_token_is_got_once_and_renewed(tmp_path: pathlib.Path) -> None:
    asked: list[tuple[dict[str, str], str]] = []
    forms: list[asyncio.Task[Any]] = []

    async def handle(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked.append((form, request.headers["authorization"]))
        return web.json_response({"access_token": f"t{len(asked)}", "expires_in": 100})

    app = web.Application()
    app.router.add_post("/token", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    now = fakes.Clock()
    given = scraping.Job.model_validate(
        {
            "job_name": "j",
            "oauth2": {
                "client_id": "me",
                "client_secret": "s3",
                "token_url": f"http://127.0.0.1:{runner.addresses[0][1]}/token",
                "scopes": ["a", "b"],
                "endpoint_params": {"audience": "x"},
            },
        }
    )
    way = access.Access(given.client(), now)
    assert (await way.headers())["authorization"] == "Bearer t1"
    assert (await way.headers())["authorization"] == "Bearer t1"
    now.at += 75
    assert (await way.headers())["authorization"] == "Bearer t2"
    await runner.cleanup()
    assert asked[0] == (
        {"grant_type": "client_credentials", "audience": "x", "scope": "a b"},
        f"Basic {base64.b64encode(b'me:s3').decode()}",
    )
    assert forms == []
    now.at += 1000
    with pytest.raises(problems.TransientError, match="cannot get a token"):
        await way.headers()


async def test_through_a_proxy_and_past_it(session: Any, tmp_path: pathlib.Path) -> None:
    through: list[str] = []

    def proxying(request: web.Request) -> web.Response:
        through.append(str(request.url))
        return plain(request)

    async with serving(proxying) as port:
        proxied = target(80, tmp_path, "shop.example", proxy_url=f"http://127.0.0.1:{port}")
        assert await get(session, proxied) == BODY
        assert through == ["http://shop.example/metrics"]
        direct = target(port, tmp_path, proxy_url="http://127.0.0.1:1", no_proxy="127.0.0.0/8")
        assert await get(session, direct) == BODY


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("shop.example", "shop.example", True),
        ("shop.example", "a.shop.example", True),
        (".shop.example", "a.shop.example", True),
        ("shop.example", "workshop.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("*", "anything", True),
        ("", "anything", False),
    ],
)
def test_exceptions_of_a_proxy(exceptions: str, host: str, direct: bool) -> None:
    found = access.proxy(client.Proxy("http://proxy", exceptions), f"http://{host}:80/metrics")
    assert found == ("" if direct else "http://proxy")


async def test_redirects_are_followed_unless_told_not_to(session: Any, tmp_path: pathlib.Path) -> None:
    def answer(request: web.Request) -> web.Response:
        if request.path == "/metrics":
            return web.Response(status=302, headers={"location": "/elsewhere"})
        return plain(request)

    async with serving(answer) as port:
        assert await get(session, target(port, tmp_path)) == BODY
        with pytest.raises(problems.TransientError, match="HTTP status 302"):
            await get(session, target(port, tmp_path, follow_redirects=False))


class World:
    """A loop on a store, and what it stored."""

    def __init__(self, folder: pathlib.Path, one: targets.Target, session: Any) -> None:
        self.registry = telemetry.Registry()
        self.store = store_.Store(folder / "store", clock.SystemClock(), self.registry)
        fetcher = fetch.Fetcher(session, one, clock.SystemClock())
        counted = loop.Instruments(self.registry)
        self.loop = loop.Loop(one, fetcher.get, self.store, clock.SystemClock(), counted, None)

    async def scrape(self, at: float) -> dict[str, Any]:
        await self.loop.scrape(at)
        return samples.read(self.store)


LIMITS: list[tuple[dict[str, Any], str]] = [
    ({"sample_limit": 2}, "3 samples are more than sample_limit 2"),
    ({"label_limit": 4}, "label_limit exceeded (metric: a, number of labels: 5, limit: 4)"),
    ({"label_name_length_limit": 7}, "label_name_length_limit exceeded (metric: a, label name: instance, length: 8"),
    ({"label_value_length_limit": 5, "relabel_configs": [{"target_label": "instance", "replacement": "i"}]},
     "label_value_length_limit exceeded (metric: a, label name: long, value: 'abcdef', length: 6, limit: 5)"),
    ({"body_size_limit": 10}, "larger than 10 bytes"),
    ({"metric_relabel_configs": [{"target_label": "__name__", "replacement": ""}]}, "no metric name"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "said"), LIMITS, ids=str)
async def test_what_is_beyond_a_limit_fails_the_scrape(
    session: Any, tmp_path: pathlib.Path, more: dict[str, Any], said: str
) -> None:
    async with serving(plain) as port:
        world = World(tmp_path, target(port, tmp_path, **more), session)
        found = await world.scrape(10)
    assert said in world.loop.status.error
    assert [values for name, values in found.items() if name.startswith("up{")] == [[(10000, 0)]]
    assert not any(name.startswith(("a{", "b{", "c{")) for name in found)


async def test_series_are_relabelled_before_they_are_stored_and_counted(session: Any, tmp_path: pathlib.Path) -> None:
    steps = [
        {"source_labels": ["__name__"], "regex": "b", "action": "drop"},
        {"regex": "long", "action": "labeldrop"},
        {"source_labels": ["__name__"], "regex": "(c)", "target_label": "__name__", "replacement": "renamed_$1"},
    ]
    async with serving(plain) as port:
        one = target(port, tmp_path, metric_relabel_configs=steps, sample_limit=2, extra_scrape_metrics=True)
        found = await World(tmp_path, one, session).scrape(10)
    values = {name.partition("{")[0]: [value for _, value in got] for name, got in found.items()}
    assert values.pop("scrape_duration_seconds")
    assert values == {
        "a": [1],
        "renamed_c": [3],
        "up": [1],
        "scrape_samples_scraped": [3],
        "scrape_samples_post_metric_relabeling": [2],
        "scrape_series_added": [2],
        "scrape_timeout_seconds": [10],
        "scrape_sample_limit": [2],
        "scrape_body_size_bytes": [len(BODY)],
    }
    assert any(name.startswith("a{") and "long" not in name for name in found)


async def test_a_refused_target_is_down_and_says_why(session: Any, tmp_path: pathlib.Path) -> None:
    one = target(1, tmp_path)
    world = World(tmp_path, dataclasses.replace(one, refused="target_limit exceeded (...)"), session)
    await world.scrape(10)
    assert world.loop.status.error == "target_limit exceeded (...)"


async def test_staleness_of_samples_with_timestamps_is_tracked_on_request(session: Any, tmp_path: pathlib.Path) -> None:
    bodies = ["a 1 9000\nb 1 9000\n", "b 2 19000\n"]
    async with serving(lambda _: web.Response(text=bodies.pop(0))) as port:
        world = World(tmp_path, target(port, tmp_path, track_timestamps_staleness=True), session)
        await world.scrape(10)
        found = await world.scrape(20)
    (name,) = [name for name in found if name.startswith("a{")]
    assert found[name] == [(9000, 1), (20000, "stale")]


async def test_legacy_names_only(session: Any, tmp_path: pathlib.Path) -> None:
    async with serving(lambda _: web.Response(text='{"a.b"} 1\n')) as port:
        world = World(tmp_path, target(port, tmp_path, metric_name_validation_scheme="legacy"), session)
        await world.scrape(10)
        assert "not a classic one" in world.loop.status.error


NONSENSE: list[dict[str, object]] = [
    {"basic_auth": {"username": "a"}, "bearer_token": "b"},
    {"authorization": {"type": "Basic", "credentials": "x"}},
    {"basic_auth": {"password": "a", "password_file": "b"}},
    {"oauth2": {"client_id": "a"}},
    {"no_proxy": "a"},
    {"proxy_from_environment": True, "proxy_url": "http://a"},
    {"tls_config": {"cert_file": "a"}},
    {"tls_config": {"min_version": "TLS9"}},
    {"scrape_protocols": ["PrometheusText0.0.4", "PrometheusText0.0.4"]},
    {"scrape_native_histograms": True},
    {"consul_sd_configs": []},
    {"body_size_limit": "10 apples"},
    {"metric_name_validation_scheme": "legacy", "metric_name_escaping_scheme": "allow-utf-8"},
]


@pytest.mark.parametrize("more", NONSENSE, ids=str)
def test_nonsense_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        scraping.Job.model_validate({"job_name": "j", **more})
