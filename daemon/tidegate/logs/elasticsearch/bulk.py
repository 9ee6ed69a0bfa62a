"""The Elasticsearch output: `_bulk` with `create`, until every document is stored or refused for good.

Each document has its own fate: 201 and 409 are stored, overload and outages are tried again (only the documents
concerned, with the same ids, for ever), 400 is refused. A request whose outcome is unknown is sent again as it was.
What needs a person (401, 403, 404) is held, shown and counted, never dropped.
"""

from __future__ import annotations

import asyncio
import dataclasses
import email.utils
import errno
from collections.abc import Mapping, Sequence

import elastic_transport

from tidegate.kit import tasks, telemetry
from tidegate.logs.elasticsearch import answers, backing, connection
from tidegate.logs.elasticsearch import body as body_
from tidegate.logs.ship import output
from tidegate.model import ports, settings

LONGEST_WAIT = 30.0
LONGEST_ASKED = 300.0
"""More than this a server cannot make us wait by `Retry-After`."""
THREAD_FROM = 128 * 1024
"""Answers of this size are read in a thread."""
TARGET = "/_bulk?filter_path=errors,items.*.status,items.*.error,items.*.failure_store,error"
PLACES = f"{TARGET},items.*._index"
"""The same, with the index that each document went to."""
_NEVER_SENT = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})


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
        self._backing = backing.Backing()
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
        self._rolled = counter(
            "rolled_over", "Documents that may be stored twice: their stream may have rolled over between two tries."
        )
        self._rejected = counter("rejected", "Documents refused for good, by status.", ("status",))
        self._unreadable = counter("unreadable", "Answers that did not fit their request; it was sent again.")
        self._sent = counter("sent_bytes", "Bytes of bulk bodies sent, compressed where that is on.")

    # --- one batch ----------------------------------------------------------------------------------------------

    async def _send(
        self, batch: output.Batch, indexes: list[int], key: int, before: Mapping[str, str] | None = None
    ) -> list[output.Rejected]:
        """Store some documents of a batch. `before`, when an earlier try of them has an unknown outcome: see `_Tries`."""
        tries = _Tries(batch, indexes, before)
        while tries.indexes:
            size = sum(map(len, batch.some(batch.bodies, tries.indexes)))
            if size > self._most and len(tries.indexes) > 1:
                return tries.rejected + await self._halves(tries, key)
            answer = await self._request(tries)
            if answers.blames_documents(answer.status, answer.body):
                self._most = (
                    min(self._most, size / 2) if answer.status == 413 and len(tries.indexes) > 1 else self._most
                )
                return tries.rejected + await self._split(tries, key, answer)
            before_this = len(tries.indexes)
            error = await self._judge(tries, answer)
            if not tries.indexes:
                break
            # While some get through, it moves: do not slow down further.
            tries.attempt = 1 if len(tries.indexes) < before_this else tries.attempt + 1
            self._tell(key, error)
            await self._clock.sleep(_wait(tries.attempt, answer.headers))
        self._tell(key, "")
        return tries.rejected

    async def _judge(self, tries: _Tries, answer: _Answer) -> str:
        """Account for an answer; why documents must be sent again, if some must."""
        if answer.status == 200:
            outcome = await _read(answer.body, tries.indexes, places=answer.places)
            if outcome is not None:
                self._account(tries, outcome)
                return outcome.error
            self._unreadable.inc()
            self._retried.labels("unreadable").inc(len(tries.indexes))
            error = f"an answer that does not fit the request: {answers.whole(answer.body[:300])}"
        else:
            self._retried.labels(str(answer.status or "connection")).inc(len(tries.indexes))
            error = f"HTTP {answer.status}: {answers.whole(answer.body)}" if answer.status else answer.body.decode()
        if answer.unknown and tries.before is None:
            tries.before = answer.known
        return error

    def _account(self, tries: _Tries, outcome: answers.Outcome) -> None:
        self._duplicates.inc(outcome.duplicates)
        self._redirected.inc(outcome.redirected)
        for item in outcome.rejected:
            self._rejected.labels(str(item.status)).inc()
        for status, count in outcome.again_status.items():
            self._retried.labels(str(status)).inc(count)
        created = [(tries.batch.streams[index], name) for index, name in outcome.places]
        if tries.before is not None:
            self._rolled.inc(backing.doubtful(created, tries.before))
        self._backing.learn(created)
        tries.before = None
        tries.rejected.extend(outcome.rejected)
        tries.indexes = outcome.again

    async def _split(self, tries: _Tries, key: int, answer: _Answer) -> list[output.Rejected]:
        """Halve a request that is too large or malformed; a single document that is either is refused."""
        if len(tries.indexes) == 1:
            status = answer.status
            self._rejected.labels(str(status)).inc()
            reason = answers.whole(answer.body) or ("the document is too large" if status == 413 else "bad request")
            return [output.Rejected(tries.indexes[0], status, reason)]
        return await self._halves(tries, key)

    async def _halves(self, tries: _Tries, key: int) -> list[output.Rejected]:
        middle = len(tries.indexes) // 2
        first = await self._send(tries.batch, tries.indexes[:middle], key, tries.before)
        return first + await self._send(tries.batch, tries.indexes[middle:], key, tries.before)

    async def _request(self, tries: _Tries) -> _Answer:
        """One request and what came of it."""
        async with self._slots:
            body = await asyncio.to_thread(body_.encode, tries.batch, tries.indexes, compress=self._compress)
            self._sent.inc(len(body))
            places = self._backing.wanted(tries.streams, self._clock.now()) or tries.before is not None
            known = self._backing.known(tries.streams)
            try:
                meta, answer = await self._transport.perform_request(
                    "POST",
                    PLACES if places else TARGET,
                    body=body,
                    headers=self._headers,
                    request_timeout=self._timeout or None,
                )
            except elastic_transport.ConnectionTimeout:
                self._requests.labels("timeout").inc()
                return _Answer(0, {}, b"no answer in time", known, unknown=True)
            except (elastic_transport.TransportError, OSError, ValueError) as error:
                self._requests.labels("connection").inc()
                reason = f"cannot reach Elasticsearch: {_plain(error)}".encode()
                return _Answer(0, {}, reason, known, unknown=not _never_sent(error))
        self._requests.labels(str(meta.status)).inc()
        unknown = meta.status == 200 or meta.status >= 500
        return _Answer(meta.status, meta.headers, answer or b"", known, unknown=unknown, places=places)

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


@dataclasses.dataclass(slots=True)
class _Tries:
    """Documents of a batch on their way, over several tries."""

    batch: output.Batch
    indexes: list[int]
    """Those that are neither stored nor refused."""
    before: Mapping[str, str] | None
    """When an earlier try may have stored them: the backing indexes that were known before it."""
    rejected: list[output.Rejected] = dataclasses.field(default_factory=list)
    attempt: int = 0

    @property
    def streams(self) -> set[str]:
        """The data streams that they go to."""
        return set(self.batch.streams)


@dataclasses.dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one request."""

    status: int
    """0 for no answer, with the reason as the body."""
    headers: Mapping[str, str]
    body: bytes
    known: Mapping[str, str]
    """The backing indexes that were known before it was sent."""
    unknown: bool = False
    """Whether documents may have been stored, unless the answer tells of each."""
    places: bool = False
    """Whether the answer says which index each document went to."""


async def _read(body: bytes, indexes: list[int], *, places: bool) -> answers.Outcome | None:
    if len(body) >= THREAD_FROM:
        return await asyncio.to_thread(answers.read, body, indexes, places=places)
    return answers.read(body, indexes, places=places)


def _never_sent(error: Exception) -> bool:
    """Whether a connection was not even made. The transport keeps its client's own error only as the context."""
    return any(getattr(cause, "errno", None) in _NEVER_SENT for cause in (error, error.__context__))


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
