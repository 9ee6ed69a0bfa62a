"""`/runbooks/{pack}`: Markdown as a page, anchors for links, nothing that a text could smuggle in."""

from __future__ import annotations

import pytest

from tests.api import world
from tidegate import packs
from tidegate.api.pages import render, runbook


def test_headings_paragraphs_code_and_links() -> None:
    text = "# Runbook\n\n## NodeDown\n\nLook at\n`df -h`, then [there](#other).\n"
    top, heading, paragraph = runbook.blocks(text)
    assert (top.level, heading.level, heading.anchor, paragraph.level) == (1, 2, "nodedown", 0)
    assert paragraph.spans == (
        runbook.Span("Look at "),
        runbook.Span("df -h", code=True),
        runbook.Span(", then "),
        runbook.Span("there", href="#other"),
        runbook.Span("."),
    )


@pytest.mark.parametrize("target", ["javascript:alert(1)", "../packs.md", "//elsewhere", "data:text/html,x"])
def test_links_that_lead_elsewhere_are_text(target: str) -> None:
    (block,) = runbook.blocks(f"[here]({target.replace('(', '%28').replace(')', '%29')})")
    assert block.spans == (runbook.Span("here"),)


def test_markup_is_shown_not_obeyed() -> None:
    blocks = tuple(runbook.blocks("## <b>\n\n<script>x</script> `<i>`"))
    body = bytes(render.page("runbook.html", pack="<x>", blocks=blocks).body).decode()
    assert "<script>x" not in body
    assert "&lt;script&gt;" in body
    assert "<code>&lt;i&gt;</code>" in body


@pytest.mark.parametrize("pack", packs.NAMES)
def test_shipped_runbooks_leave_no_markdown_behind(pack: str) -> None:
    text = packs.read_runbook(pack)
    assert text is not None
    plain = "".join(one.text for block in runbook.blocks(text) for one in block.spans if not one.code)
    assert "`" not in plain
    assert "](" not in plain


async def test_a_pack_has_a_page_with_its_anchors() -> None:
    async with world.client(world.World()) as client:
        found = await client.get("/runbooks/node")
        assert found.status_code == 200
        assert '<h2 id="nodedown">NodeDown</h2>' in found.text
        assert (await client.get("/runbooks/nothing")).status_code == 404
        assert (await client.get("/runbooks/..%2fnode")).status_code == 404
