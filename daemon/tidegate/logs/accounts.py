"""Where what the files gave is accounted for: counted, handed to the delivery, and said when something is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.kit import telemetry
from tidegate.logs.read import lookout, roster, source, tail
from tidegate.logs.ship import delivery, instruments


class Accounts:
    """Takes what steps on files gave."""

    def __init__(self, looks: lookout.Lookout, deliveries: delivery.Delivery, metrics: instruments.Instruments) -> None:
        self._looks = looks
        self._delivery = deliveries
        self._metrics = metrics
        self._log = telemetry.logger("logs.agent")

    async def take(self, watched: roster.Watched, chunks: Sequence[source.Chunk], error: Exception | None) -> bool:
        """Account for what steps on one file gave; whether there is more at once."""
        dataset = watched.source.input.dataset
        watched.more = False
        for chunk in chunks:
            self._delivery.add(chunk)
            self._count(dataset, chunk)
            watched.lines += chunk.lines
            watched.more = watched.more or chunk.more
        watched.take_over()
        for chunk in chunks:
            await self._anew(watched, chunk)
        self._judge(watched, error)
        return watched.more

    def _count(self, dataset: str, chunk: source.Chunk) -> None:
        self._metrics.lines.labels(dataset).inc(chunk.lines)
        self._metrics.bytes.labels(dataset).inc(chunk.read)
        self._metrics.events.labels(dataset).inc(len(chunk.ids))
        self._metrics.cut.inc(chunk.cut)
        self._metrics.changed(dataset, chunk.unparsed, chunk.untimed, chunk.redacted, chunk.left_out)

    async def _anew(self, watched: roster.Watched, chunk: source.Chunk) -> None:
        """Account for content that went away; what was not read of it is lost unless a copy is about."""
        if not chunk.rewritten:
            return
        lost = chunk.lost
        if chunk.before is not None and chunk.before.file_id:
            self._looks.roster.before[watched.source.path] = chunk.before
            if await self._looks.recover(chunk.before):
                lost = 0
        self._metrics.rewritten.inc()
        self._metrics.lost.inc(lost)
        self._log.info("file begins anew", file=watched.source.path, lost_bytes=lost)

    def _judge(self, watched: roster.Watched, error: Exception | None) -> None:
        """Say once what is wrong with a file; drop one that cannot be had any more."""
        if error is None:
            watched.error = ""
        elif isinstance(error, tail.GoneError):
            if not watched.present:
                self._metrics.lost.inc(error.lost)
                self._log.warning("file is gone before it was read", file=watched.source.path, lost_bytes=error.lost)
                watched.wanted = False
        else:
            watched.seen = None
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            if text != watched.error:
                self._metrics.file_errors.inc()
                self._log.warning("cannot read a file", file=watched.source.path, reason=text)
            watched.error = text
