"""The runbook of a rule pack as a page: where `runbook_url` of our packs leads, with an anchor for each alert.

Reads the little Markdown that runbooks are written in: headings, paragraphs, `code` and [links](#there). It makes data for
a template, never HTML, so that nothing has to be trusted.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api.context import Context
from tidegate.api.endpoint import Failure
from tidegate.api.pages import render

_SPAN = re.compile(r"`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)")


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A piece of a line: plain, code, or a link when `href` is given."""

    text: str
    code: bool = False
    href: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """A heading of `level` 1 or 2 with its anchor, or a paragraph (level 0)."""

    level: int
    anchor: str
    spans: tuple[Span, ...]


async def show(context: Context, request: Request) -> Response:
    """`/runbooks/{pack}`."""
    pack = request.path_params["pack"]
    text = context.runbook(pack)
    if text is None:
        raise Failure(404, f"there is no runbook {pack!r}")
    return render.page("runbook.html", pack=pack, blocks=tuple(blocks(text)))


def blocks(text: str) -> Iterator[Block]:
    """Headings and paragraphs, in order. An anchor is the heading in lower case."""
    for part in re.split(r"\n\s*\n", text.strip()):
        heading = re.match(r"(#{1,2}) +(.+)$", part)
        body = heading[2] if heading else " ".join(part.split())
        level = len(heading[1]) if heading else 0
        yield Block(level, body.lower() if heading else "", tuple(spans(body)))


def spans(line: str) -> Iterator[Span]:
    """The pieces of one paragraph. A link that leads neither to an anchor nor to the web is shown as its text."""
    at = 0
    for match in _SPAN.finditer(line):
        if match.start() > at:
            yield Span(line[at : match.start()])
        at = match.end()
        if match[1] is not None:
            yield Span(match[1], code=True)
        else:
            yield Span(match[2], href=match[3] if match[3].startswith(("#", "https://")) else "")
    if at < len(line):
        yield Span(line[at:])
