"""The page as HTML, without a browser: what it shows, what it escapes, its forms."""

from __future__ import annotations

import dataclasses
import html.parser
import re

import pytest

from tests.api import busy, world
from tests.gate import fakes
from tidegate.api.pages import render, view
from tidegate.kit import http
from tidegate.model import alerts, gate, labels, logs, problems, settings

NOW = fakes.NOW


async def page(found: world.World, path: str = "/") -> str:
    async with world.client(found) as client:
        response = await client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "unsafe" not in response.headers["content-security-policy"]
    return response.text


def text(of: str) -> str:
    """What a reader sees."""
    return " ".join(re.sub(r"<[^>]+>", " ", of).split())


async def test_everything_is_there() -> None:
    shown = text(await page(busy.busy()))
    for piece in (
        "2 alerts fire",
        "3 gates are shut: production/shop, production/search and production/cart",
        "ShopErrors critical",
        "41.7 % of the shop's answers are errors.".replace("'", "&#39;"),
        "peak 0.5417",
        "for 12 min",
        "CartQueueGrowing warning … pending",
        "DiskFillingUp warning silenced",
        "Opens when ShopErrors and ShopSlow are over.",
        "Opens when fresh data is back.",
        "Opens at 07:21:40 UTC, if nothing fires until then.",
        "1.4.2 since 19 min",
        "2 of 3 targets report",
        "connect ECONNREFUSED",
        "SearchLatency: many-to-many matching not allowed",
        "POST /checkout failed after 2004 ms",
        "psycopg.OperationalError",
        "2.4 MB behind, 7 s",
        "pagerduty[0]",
        "HTTP 503: upstream unavailable",
        "1.3.9 rollback",
        "volume is being grown, OPS-2214",
    ):
        assert piece in shown, piece


async def test_a_quiet_page_says_so() -> None:
    shown = text(await page(world.World()))
    assert "All quiet Watching 1 target and 1 rule" in shown
    assert "Nothing fires." in shown
    assert "✓ allow" in shown


async def test_an_empty_page_claims_nothing() -> None:
    found = world.World()
    found.targets.found, found.rules.found = [], []
    assert "Nothing is watched yet" in text(await page(found))
    found.missing = ["the first rules did not run yet"]
    assert "Starting the first rules did not run yet" in text(await page(found))


EVIL = "<script>alert(1)</script>"


async def test_strangers_texts_are_escaped() -> None:
    found = world.World()
    evil = dataclasses.replace(
        fakes.alert(EVIL, team=EVIL),
        annotations=labels.make(summary=EVIL, runbook_url="javascript:alert(1)"),
        generator_url="javascript:alert(2)",
        log_query='"><img src=x>',
    )
    found.book.alerts = [evil]
    found.logs.lines = [logs.LogLine(NOW, f"{EVIL}\n{EVIL}", EVIL, EVIL, EVIL)]
    found.sent.found = [alerts.Sent("1", EVIL, EVIL, "failed", EVIL, 1, NOW, NOW, EVIL)]
    found.ledger.found = [gate.Deploy("1", "production", EVIL, EVIL, NOW, by=EVIL)]
    body = await page(found, "/?q=" + EVIL)
    assert "<script>alert" not in body
    assert "javascript:" not in body
    assert "<img" not in body


class Outline(html.parser.HTMLParser):
    """Collects ids, landmarks, inline styles and scripts, and unlabelled fields."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.inline: list[str] = []
        self.described: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.described += [given["aria-labelledby"] or ""] if "aria-labelledby" in given else []
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


async def test_structure_is_sound() -> None:
    outline = Outline()
    outline.feed(await page(busy.busy()))
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.described) <= set(outline.ids)
    assert outline.inline == []
    assert [outline.tags.count(tag) for tag in ("main", "h1", "nav")] == [1, 1, 1]


async def test_log_search_errors_are_shown() -> None:
    found = world.World()
    found.logs.error = problems.QueryError("expected a value after `level:`", position=6)
    assert "expected a value after `level:`" in text(await page(found, "/?q=level:"))
    found.logs.error = problems.TransientError("the store does not answer")
    assert "the store does not answer" in text(await page(found))


async def test_static_files_are_named_by_content() -> None:
    async with world.client(world.World()) as client:
        linked = re.findall(r'(?:href|src)="(/static/[^"]+)"', (await client.get("/")).text)
        assert len(linked) == 3
        for path in linked:
            response = await client.get(path)
            assert response.status_code == 200
            assert "immutable" in response.headers["cache-control"]
        assert (await client.get("/static/style.css")).headers["cache-control"] == "no-cache"
        assert (await client.get("/static/../render.py")).status_code == 404
        assert (await client.get("/static/%2e%2e%2frender.py")).status_code == 404


FORM = {"matchers": 'alertname="ShopErrors"\nservice=shop', "span": "2h", "author": "mara", "comment": "known"}


def posted(found: world.World) -> list[alerts.Silence]:
    return list(found.silences.found.values())


async def send(found: world.World, form: dict[str, str], path: str = "/silences", **headers: str) -> http.Response:
    async with world.client(found) as client:
        return await client.post(path, data=form, headers=headers)


async def test_silence_form_is_filled_in_by_its_link() -> None:
    found = busy.busy()
    link = render.silence_link(found.book.alerts[0])
    body = await page(found, link)
    assert "alertname=&#34;ShopErrors&#34;\nenvironment=&#34;production&#34;" in body
    assert 'name="token"' not in body
    assert 'name="token"' in await page(world.World(), "/silences/new")


async def test_silences_are_made_and_ended_by_forms() -> None:
    found = world.World(web=settings.Web(open_writes=True))
    response = await send(found, FORM, origin="http://127.0.0.1:9320")
    assert (response.status_code, response.headers["location"]) == (303, "/#silences")
    (silence,) = posted(found)
    assert silence.matchers == (alerts.Matcher("alertname", "=", "ShopErrors"), alerts.Matcher("service", "=", "shop"))
    assert (silence.starts_at, silence.ends_at, silence.created_by) == (NOW, NOW + 7200, "mara")
    assert (await send(found, {}, f"/silences/{silence.id}/end")).status_code == 303
    assert posted(found)[0].ends_at == NOW
    assert (await send(found, {}, "/silences/nothing/end")).status_code == 404


async def test_forms_with_a_token_work_from_elsewhere_but_not_from_other_sites() -> None:
    found = world.World()
    public = {"host": "tidegate.example", "origin": "https://tidegate.example"}
    assert (await send(found, FORM, **public)).status_code == 401
    assert (await send(found, FORM | {"token": "wrong"}, **public)).status_code == 401
    evil = {"host": "tidegate.example", "origin": "https://evil.example"}
    assert (await send(found, FORM | {"token": world.TOKEN}, **evil)).status_code == 403
    assert posted(found) == []
    assert (await send(found, FORM | {"token": world.TOKEN}, **public)).status_code == 303
    silence = posted(found)[0]
    asked = await send(found, {}, f"/silences/{silence.id}/end", **public)
    assert (asked.status_code, 'name="token"' in asked.text) == (200, True)
    assert posted(found)[0].ends_at == NOW + 7200
    await send(found, {"token": world.TOKEN}, f"/silences/{silence.id}/end", **public)
    assert posted(found)[0].ends_at == NOW


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"matchers": ""}, "at least one matcher"),
        ({"matchers": "shop"}, "matchers:"),
        ({"matchers": 'a=~"("'}, "RE2"),
        ({"span": "soon"}, "is not a duration"),
        ({"span": "0"}, "must end after it starts"),
    ],
    ids=str,
)
async def test_a_bad_form_comes_back_with_what_was_written(more: dict[str, str], said: str) -> None:
    found = world.World(web=settings.Web(open_writes=True))
    response = await send(found, FORM | more)
    assert response.status_code == 400
    assert said in response.text
    assert 'value="known"' in response.text
    assert posted(found) == []


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h"), (5000, "1 h 23 min"), (90_000, "1 d")],
)
def test_spans(seconds: float, shown: str) -> None:
    assert render.span(seconds) == shown


def test_sizes() -> None:
    assert [render.size(count) for count in (0, 999, 1000, 2_411_724, 64_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.4 MB",
        "64 MB",
    ]


def test_worst_comes_first() -> None:
    found = busy.busy()
    rows = view._alerts(found.context())
    assert [row.alert.name for row in rows] == ["ShopErrors", "ShopSlow", "CartQueueGrowing", "DiskFillingUp"]
    cards = view._gates(found.context())
    assert [card.verdict.verdict for card in cards] == ["deny", "unknown", "wait", "allow", "allow"]
