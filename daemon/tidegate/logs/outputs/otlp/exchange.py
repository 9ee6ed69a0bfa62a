"""The exchange with an OTLP/HTTP receiver: one request, and what its answer means for the documents.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp. 429 and 5xx are tried again; a 400 is no document's luck
twice, so the request is halved until the one to blame is known. A partial success says how many, never which: all
documents of that request become dead letters, so that none is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.kit import access, telemetry
from tidegate.logs.outputs import peer, sending
from tidegate.logs.outputs.otlp import json, protobuf, records
from tidegate.logs.ship import output
from tidegate.model import logoutputs, problems

NAME = "otlp"
PARTIAL = 400
"""The status under which documents of a partial success are kept."""


class Wire:
    """Implements `sending.Wire`."""

    def __init__(self, config: logoutputs.Otlp, way: access.Access, registry: telemetry.Registry) -> None:
        self._config = config
        self._peer = peer.HttpPeer(config.url, way, config.timeout, compress=config.compress)
        binary = config.encoding == "protobuf"
        self._type = protobuf.TYPE if binary else json.TYPE
        self._encode = protobuf.encode if binary else json.encode
        self._log = telemetry.logger("logs.otlp")
        self._partial = telemetry.Counter(
            "tidegate_logs_otlp_partial",
            "Documents that a receiver refused without saying which; all of their request are dead letters.",
            registry=registry,
        )

    def cut(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[Sequence[int]]:
        """See `sending.Wire`."""
        sizes = [len(batch.bodies[index]) for index in indexes]
        return sending.pieces(sizes, indexes, most_bytes=self._config.request_bytes, most=self._config.max_records)

    async def post(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        """See `sending.Wire`."""

        def make() -> bytes:
            documents = batch.documents()
            return self._encode(records.grouped((batch.ids[index], documents[index]) for index in indexes))

        answer = await self._peer.post(make, self._type, self._type)
        rejected, why = _said(answer)
        if not rejected:
            if why:
                self._log.warning("the receiver has something to say", message=why)
            return ()
        self._partial.inc(rejected)
        reason = f"{rejected} of {len(indexes)} were refused, and it is not said which: {why or 'no reason given'}"
        return [output.Rejected(index, PARTIAL, reason) for index in indexes]

    async def close(self) -> None:
        """See `sending.Wire`."""
        await self._peer.close()


def _said(answer: peer.Answer) -> tuple[int, str]:
    """How many were refused, and why. A receiver may answer in the other form, or with nothing."""
    kind = answer.headers.get("content-type", "")
    if "html" in kind:
        raise problems.TransientError(f"HTTP {answer.status} with a page: not an OTLP receiver", reason="unreadable")
    try:
        if "protobuf" in kind:
            return protobuf.partial(answer.body)
        return json.partial(answer.body) if "json" in kind else (0, "")
    except ValueError as error:
        raise problems.TransientError(f"an answer that cannot be read: {error}", reason="unreadable") from None
