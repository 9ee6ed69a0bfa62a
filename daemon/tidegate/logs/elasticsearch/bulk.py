"""The Elasticsearch output: `_bulk` with `create`, until every document is stored or refused for good.

Each document has its own fate: 201 and 409 are stored, overload and outages are tried again (only the documents
concerned, with the same ids, for ever), 400 is refused. A request whose outcome is unknown is sent again as it was.
What needs a person (401, 403, 404) is held, shown and counted, never dropped.
"""

from __future__ import annotations

import asyncio
import email.utils
import zlib
from collections.abc import Mapping, Sequence

import elastic_transport

from tidegate.kit import tasks, telemetry
from tidegate.logs.elasticsearch import answers, connection
from tidegate.logs.ship import output
from tidegate.model import ports, settings

LONGEST_WAIT = 30.0
LONGEST_ASKED = 300.0
"""More than this a server cannot make us wait by `Retry-After`."""
THREAD_FROM = 128 * 1024
"""Answers of this size are read in a thread."""
GZIP_LEVEL = 1
TARGET = "/_bulk?filter_path=errors,items.*.status,items.*.error,items.*.failure_store,error"


class ElasticsearchOutput:
    """Sends batches to the data streams that they name. At most `concurrency` requests are under way at once."""

    name = "elasticsearch"

    def __init__(
        self,
        config: settings.Elasticsearch,
        clock: ports.Clock,
        registry: telemetry.Registry,
        *,
        node_class: connection.NodeClass | None = None,
    ) -> None:
        self._clock = clock
        self._node_class = node_class
        self._log = telemetry.logger("logs.elasticsearch")
        self._errors: dict[int, str] = {}
        self._last_error = ""
        self._most = float("inf")
        """Bytes of documents in a request that the server (or a proxy) was seen to refuse."""
        self._count(registry)
        self._transport = self._connect(config)
        self._retired: list[elastic_transport.AsyncTransport] = []
        self._slots = asyncio.Semaphore(max(config.concurrency, 1))

    @property
    def error(self) -> str:
        """What is wrong right now; empty when nothing is."""
        return next(iter(self._errors.values()), "")

    async def send(self, batch: output.Batch) -> Sequence[output.Rejected]:
        """Store every document, or say why not. Raises nothing but cancellation."""
        key = id(batch)
        try:
            return await self._send(batch, list(range(len(batch))), key) if len(batch) else []
        finally:
            self._errors.pop(key, None)

    def reconfigure(self, config: settings.Elasticsearch) -> None:
        """Go on with other nodes or credentials; batches that are being tried again use them at their next try.

        Raises `ConfigError`, with the old ones in force.
        """
        self._retired.append(self._transport)
        try:
            self._transport = self._connect(config)
        except BaseException:
            self._retired.pop()
            raise

    async def close(self) -> None:
        """Close connections."""
        for each in (*self._retired, self._transport):
            await each.close()
        self._retired.clear()

    def _connect(self, config: settings.Elasticsearch) -> elastic_transport.AsyncTransport:
        made = connection.transport(config, self._node_class) if self._node_class else connection.transport(config)
        self._headers = {"content-type": connection.NDJSON, "accept": connection.JSON}
        if authorization := connection.authorization(config):
            self._headers["authorization"] = authorization
        if config.compress:
            self._headers["content-encoding"] = "gzip"
        self._compress = config.compress
        self._timeout = config.timeout
        return made

    def _count(self, registry: telemetry.Registry) -> None:
        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> telemetry.Counter:
            return telemetry.Counter(f"tidegate_logs_elasticsearch_{name}", text, labels, registry=registry)

        self._requests = counter("requests", "Bulk requests, by HTTP status or kind of failure.", ("outcome",))
        self._retried = counter("retried", "Documents sent again, by the status that they had.", ("status",))
        self._duplicates = counter("duplicates", "Documents that were already there: an earlier try had landed.")
        self._redirected = counter("failure_store", "Documents that Elasticsearch put into a failure store.")
        self._rejected = counter("rejected", "Documents refused for good, by status.", ("status",))
        self._unreadable = counter("unreadable", "Answers that did not fit their request; it was sent again.")
        self._sent = counter("sent_bytes", "Bytes of bulk bodies sent, compressed where that is on.")

    # --- one batch ----------------------------------------------------------------------------------------------

    async def _send(self, batch: output.Batch, indexes: list[int], key: int) -> list[output.Rejected]:
        rejected: list[output.Rejected] = []
        attempt = 0
        while indexes:
            size = sum(len(batch.bodies[index]) for index in indexes)
            if size > self._most and len(indexes) > 1:
                return rejected + await self._halves(batch, indexes, key)
            status, headers, body = await self._request(batch, indexes)
            if answers.blames_documents(status, body):
                self._most = min(self._most, size / 2) if status == 413 and len(indexes) > 1 else self._most
                return rejected + await self._split(batch, indexes, key, status, body)
            before = len(indexes)
            if status == 200:
                indexes, error = await self._sort(body, indexes, rejected)
            else:
                error = f"HTTP {status}: {answers.whole(body)}" if status else body.decode()
                self._retried.labels(str(status or "connection")).inc(len(indexes))
            if not indexes:
                break
            attempt = 1 if len(indexes) < before else attempt + 1  # it moves: do not slow down further
            self._tell(key, error)
            await self._clock.sleep(_wait(attempt, headers))
        self._tell(key, "")
        return rejected

    async def _sort(self, body: bytes, indexes: list[int], rejected: list[output.Rejected]) -> tuple[list[int], str]:
        """Account for an answer: the documents to send again, and why."""
        if len(body) >= THREAD_FROM:
            outcome = await asyncio.to_thread(answers.read, body, indexes)
        else:
            outcome = answers.read(body, indexes)
        if outcome is None:
            self._unreadable.inc()
            self._retried.labels("unreadable").inc(len(indexes))
            return indexes, f"an answer that does not fit the request: {answers.whole(body[:300])}"
        self._duplicates.inc(outcome.duplicates)
        self._redirected.inc(outcome.redirected)
        for item in outcome.rejected:
            self._rejected.labels(str(item.status)).inc()
        for status, count in outcome.again_status.items():
            self._retried.labels(str(status)).inc(count)
        rejected.extend(outcome.rejected)
        return outcome.again, outcome.error

    async def _split(
        self, batch: output.Batch, indexes: list[int], key: int, status: int, body: bytes
    ) -> list[output.Rejected]:
        """Halve a request that is too large or malformed; a single document that is either is refused."""
        if len(indexes) == 1:
            self._rejected.labels(str(status)).inc()
            reason = answers.whole(body) or ("the document is too large" if status == 413 else "bad request")
            return [output.Rejected(indexes[0], status, reason)]
        return await self._halves(batch, indexes, key)

    async def _halves(self, batch: output.Batch, indexes: list[int], key: int) -> list[output.Rejected]:
        middle = len(indexes) // 2
        first = await self._send(batch, indexes[:middle], key)
        return first + await self._send(batch, indexes[middle:], key)

    async def _request(self, batch: output.Batch, indexes: list[int]) -> tuple[int, Mapping[str, str], bytes]:
        """One request: (status, headers, answer). Status 0 stands for no answer, with the reason as the body."""
        async with self._slots:
            body = await asyncio.to_thread(encode, batch, indexes, compress=self._compress)
            self._sent.inc(len(body))
            try:
                meta, answer = await self._transport.perform_request(
                    "POST", TARGET, body=body, headers=self._headers, request_timeout=self._timeout or None
                )
            except elastic_transport.ConnectionTimeout:
                self._requests.labels("timeout").inc()
                return 0, {}, b"no answer in time"
            except (elastic_transport.TransportError, OSError, ValueError) as error:
                self._requests.labels("connection").inc()
                return 0, {}, f"cannot reach Elasticsearch: {_plain(error)}".encode()
        self._requests.labels(str(meta.status)).inc()
        return meta.status, meta.headers, answer or b""

    def _tell(self, key: int, error: str) -> None:
        if not error:
            self._errors.pop(key, None)
            if self._last_error and not self._errors:
                self._log.info("Elasticsearch takes documents again")
                self._last_error = ""
            return
        self._errors[key] = error
        if error != self._last_error:
            self._log.warning("Elasticsearch does not take documents; trying again", reason=error)
            self._last_error = error


def encode(batch: output.Batch, indexes: Sequence[int], *, compress: bool) -> bytes:
    """The body of a bulk request for some documents of a batch, gzipped if asked."""
    heads: dict[str, bytes] = {
        stream: b'{"create":{"_index":"%b","_id":"' % stream.encode() for stream in set(batch.streams)
    }
    parts: list[bytes] = []
    streams, ids, bodies = batch.streams, batch.ids, batch.bodies
    for index in indexes:
        parts += (heads[streams[index]], ids[index].encode(), b'"}}\n', bodies[index], b"\n")
    body = b"".join(parts)
    if not compress:
        return body
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def _wait(attempt: int, headers: Mapping[str, str]) -> float:
    """Seconds until the next try: what the server asked for, or exponential with jitter."""
    asked = headers.get("retry-after", "").strip() if headers else ""
    if asked.isdigit():
        return max(min(float(asked), LONGEST_ASKED), 0.1)
    date = headers.get("date", "") if headers else ""
    if asked and date:
        try:
            there = email.utils.parsedate_to_datetime(asked) - email.utils.parsedate_to_datetime(date)
            return max(min(there.total_seconds(), LONGEST_ASKED), 0.1)
        except (ValueError, TypeError):
            pass
    return tasks.backoff(attempt, longest=LONGEST_WAIT)


def _plain(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return f"{text}"[:300]
