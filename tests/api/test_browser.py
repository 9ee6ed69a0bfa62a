"""The page in a real browser: phone and desktop, light and dark, with and without JavaScript."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright import async_api

from tests import conftest
from tests.api import busy, world
from tests.gate import fakes

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESKTOP = async_api.ViewportSize(width=390, height=844), async_api.ViewportSize(width=1440, height=900)
SMALL, TABLET = async_api.ViewportSize(width=320, height=640), async_api.ViewportSize(width=768, height=1024)
pytestmark = pytest.mark.service

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduceRight((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = (color) => color.slice(0, 3).map((c) => linear(c / 255))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest("noscript, .skip")) continue;
    const back = ground(node), ink = over(rgba(getComputedStyle(node).color), back);
    const [low, high] = [light(ink), light(back)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const words = walker.currentNode.data.trim().slice(0, 40);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${node.className || node.tagName}: ${words}`);
  }
  return [...new Set(poor)];
}"""


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[async_api.Browser]:
    if not pathlib.Path(CHROMIUM).exists():
        conftest.unavailable(f"no browser at {CHROMIUM}")
    async with async_api.async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        await found.close()


async def open_page(browser: async_api.Browser, url: str, **given: Any) -> async_api.Page:
    """A new page; whatever the browser complains about fails the test at once."""
    page = await (await browser.new_context(**given)).new_page()
    page.set_default_timeout(5000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    response = await page.goto(url)
    assert response is not None
    assert response.status == 200
    assert complaints == []
    return page


async def test_fits_and_can_be_read_at_every_size_and_in_both_schemes(browser: async_api.Browser) -> None:
    async with world.serving(busy.busy()) as server:
        for scheme in ("light", "dark"):
            for size in (PHONE, DESKTOP, SMALL, TABLET):
                page = await open_page(browser, server.url, viewport=size, color_scheme=scheme)
                assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"], (scheme, size)
                assert await page.evaluate(CONTRAST) == [], (scheme, size)
                await page.context.close()
            form = await open_page(browser, server.url + "/silences/new", viewport=PHONE, color_scheme=scheme)
            assert await form.evaluate("document.documentElement.scrollWidth") <= 390
            assert await form.evaluate(CONTRAST) == []


async def test_works_without_javascript(browser: async_api.Browser) -> None:
    found = busy.busy()
    async with world.serving(found) as server:
        page = await open_page(browser, server.url, java_script_enabled=False, viewport=PHONE)
        await page.get_by_role("searchbox").fill("refused")
        await page.get_by_role("button", name="Search").click()
        await page.wait_for_url("**/?q=refused#logs")
        assert await page.locator(".lines li").count() == 3
        await page.locator("#alerts").get_by_role("link", name="Silence", exact=True).first.click()
        await page.get_by_label("Who").fill("mara")
        await page.get_by_label("Why").fill("known, being repaired")
        await page.get_by_role("button", name="Silence").click()
        await page.wait_for_url("**/#silences")
        assert await page.locator("#silences tbody tr").count() == 2
    made = [one for one in found.silences.found.values() if one.comment == "known, being repaired"]
    assert [str(one) for one in made[0].matchers][:2] == ['alertname="ShopErrors"', 'environment="production"']


async def test_renews_itself_but_not_under_the_reader(browser: async_api.Browser) -> None:
    found = busy.busy()
    async with world.serving(found) as server:
        page = await (await browser.new_context(viewport=DESKTOP)).new_page()
        await page.clock.install()
        await page.goto(server.url)
        await page.locator(".lines details").first.locator("summary").click()
        found.book.alerts = [fakes.alert("Renewed")]
        found.clock.at += 1
        found.targets.found = [dataclasses.replace(one, last_scrape=fakes.NOW) for one in found.targets.found]
        await page.get_by_role("searchbox").fill("half a quer")
        await page.clock.run_for(10_500)
        assert await page.locator(".alert h3").first.inner_text() != "Renewed critical"
        await page.get_by_role("searchbox").blur()
        await page.clock.run_for(10_500)
        await page.locator(".alert h3", has_text="Renewed").wait_for(timeout=5000)
        assert await page.get_by_role("searchbox").input_value() == "half a quer"
        assert await page.locator(".lines details").first.evaluate("one => one.open")
