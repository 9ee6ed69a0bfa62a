"""Lines over HTTP: `POST /` with JSON objects, one a line or in an array, or with lines of text."""

from __future__ import annotations

import ssl

import orjson

from tidegate.logs.formats import spool as format_
from tidegate.logs.inputs import base, http1
from tidegate.model import receiving


class HttpLines:
    """One listener for lines."""

    def __init__(self, place: base.Place, config: receiving.HttpLines, context: ssl.SSLContext | None) -> None:
        self._place = place
        self.server = http1.Server(place.name, config, context, self._handle, place.metrics)

    async def run(self) -> None:
        """Receive until cancelled."""
        await self.server.run()

    async def _handle(self, request: http1.Request) -> http1.Answer:
        if request.path != "/":
            return http1.Answer(404, b'{"error":"lines are taken at /"}', reason="path")
        if request.method != "POST":
            return http1.Answer(405, b'{"error":"POST is taken here"}', reason="method")
        try:
            lines = await base.work(len(request.body), lambda: split(request.body))
        except ValueError as error:
            told = orjson.dumps({"error": f"the body is no JSON array: {error}"})
            return http1.Answer(400, told, reason="malformed")
        now, place = self._place.now(), self._place

        def records() -> list[tuple[bytes, bool]]:
            return [format_.record("text", now, request.peer, line, place.longest) for line in lines]

        made = await base.work(len(request.body), records)
        refusal = await place.keep(b"".join([each for each, _ in made]), len(made))
        if refusal is not None:
            return refusal
        place.metrics.cut.labels(place.name).inc(sum(cut for _, cut in made))
        return http1.Answer(200, orjson.dumps({"received": len(made)}))


def split(body: bytes) -> list[bytes]:
    """The lines of a body, or the elements of a JSON array. Raises `ValueError` for a body that begins as one and is none."""
    start = body.lstrip(b" \t\r\n\xef\xbb\xbf")
    if start.startswith(b"["):
        return [_element(each) for each in orjson.loads(start)] if _is_array(start) else _lines(body)
    return _lines(body)


def _is_array(start: bytes) -> bool:
    """Whether a `[` begins JSON, not a line of text such as `[info] ready`."""
    inner = start[1:].lstrip(b" \t\r\n")
    return inner[:1] in (b"{", b'"', b"]")


def _element(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _lines(body: bytes) -> list[bytes]:
    return [line.rstrip(b"\r") for line in body.split(b"\n") if line.strip()]
