"""Prometheus' remote write, the receiving end: `/api/v1/write`, versions 1.0 and 2.0 of the protocol.

204 when all is stored, 400 with the reasons when some of it is not (the rest is stored; sending it again would not help), 415
for what is no such message. https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/
"""

from __future__ import annotations

import email.message
import functools

from starlette.requests import Request
from starlette.responses import Response

from tidegate.api import endpoint
from tidegate.api.context import Context
from tidegate.api.endpoint import Endpoint, Failure
from tidegate.api.prom import answers, runner
from tidegate.model import ports, problems

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
MEDIA = "application/x-protobuf"
WRITTEN = "x-prometheus-remote-write-samples-written"


async def write(context: Context, request: Request) -> Response:
    """Store the samples of one message."""
    message = _message(request)
    body = await endpoint.body(request, endpoint.LARGE)
    try:
        written = await runner.of(request).run(lambda: context.writes.write(body, message))
    except problems.PermanentError as error:
        raise Failure(400, str(error)) from None
    headers = {
        WRITTEN: str(written.samples),
        "x-prometheus-remote-write-histograms-written": "0",
        "x-prometheus-remote-write-exemplars-written": "0",
    }
    if written.dropped:
        return Response(_reasons(written), 400, headers, "text/plain")
    return Response(status_code=204, headers=headers)


def _message(request: Request) -> str:
    """Which message is sent. Raises `Failure` (415)."""
    header = email.message.Message()
    header["content-type"] = request.headers.get("content-type", "")
    if header.get_content_type() != MEDIA:
        raise Failure(415, f"expected {MEDIA}")
    proto = header.get_param("proto", V1)
    if proto not in (V1, V2):
        raise Failure(415, f"the message {proto!r} is not known: {V1} and {V2} are")
    if request.headers.get("content-encoding", "snappy") != "snappy":
        raise Failure(415, "the body should be a snappy block")
    return str(proto)


def _reasons(written: ports.Written) -> str:
    found = ", ".join(f"{number} {reason}" for reason, number in written.dropped)
    return f"not stored: {found}; {written.samples} samples were stored\n"


_Endpoint = functools.partial(Endpoint, say=answers.say)
ENDPOINTS = (_Endpoint(("POST",), "/api/v1/write", write, scope="write"),)
