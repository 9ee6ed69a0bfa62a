"""Amazon CloudWatch Logs, by `PutLogEvents` of Amazon's own client. The one module that knows botocore.

Limits of a request: 1 MiB with 26 bytes for each event, 10,000 events, in order of time, within 24 hours. What is too old
or too new is told by position, and refused. There are no ids: what is sent again can be there twice.
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.kit import http
from tidegate.logs.ecs import lines
from tidegate.logs.outputs import calls, sending
from tidegate.logs.ship import output
from tidegate.model import logoutputs, problems

NAME = "cloudwatch"
MOST_BYTES = 1_048_576
MOST_EVENTS = 10_000
EVENT_BYTES = 26
"""What each event costs beside its text."""
SPAN = 24 * 3600 * 1000
"""Milliseconds between the first and the last event of a request, at most."""
_BUSY = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "ServiceUnavailableException"})
_BLAMED = frozenset({"InvalidParameterException", "SerializationException", "ValidationException"})
_LATE = 400
"""The status under which events outside of the allowed times are kept."""


class Wire:
    """Implements `sending.Wire`."""

    def __init__(self, config: logoutputs.CloudWatch, threads: int) -> None:
        calls.need("botocore", NAME, "aws")
        self._config = config
        self._stream = config.stream or socket.gethostname()
        self._calls = calls.Calls(NAME, threads)
        self._making = threading.Lock()
        self._made: Any = None

    def cut(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[Sequence[int]]:
        """See `sending.Wire`. In order of time, which is not always that of reading."""
        times = _times(batch)
        found = []
        for part in _spans(sorted(indexes, key=times.__getitem__), times):
            sizes = [len(batch.bodies[index]) + EVENT_BYTES for index in part]
            found += sending.pieces(sizes, part, most_bytes=MOST_BYTES, most=MOST_EVENTS)
        return found

    async def post(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        """See `sending.Wire`."""
        return await self._calls.run(lambda: self._put(batch, indexes))

    async def close(self) -> None:
        """See `sending.Wire`."""
        await self._calls.close()
        if self._made is not None:
            self._made.close()

    # --- in a thread --------------------------------------------------------------------------------------------

    def _put(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        import botocore.exceptions  # noqa: PLC0415 - an extra, and slow to load
        import botocore.parsers  # noqa: PLC0415

        times = _times(batch)
        events = [{"timestamp": times[index], "message": batch.bodies[index].decode()} for index in indexes]
        try:
            answer = self._asked(events)
        except botocore.exceptions.ClientError as error:
            _judge(error.response)
            return ()
        except (
            botocore.exceptions.EndpointConnectionError,
            botocore.exceptions.ConnectTimeoutError,
            botocore.exceptions.ProxyConnectionError,
        ) as error:
            raise http.UnreachedError(str(error), reason="connection") from None
        except botocore.exceptions.ReadTimeoutError as error:
            raise problems.TransientError(str(error), reason="timeout") from None
        except (botocore.exceptions.HTTPClientError, botocore.parsers.ResponseParserError) as error:
            raise problems.TransientError(str(error), reason="connection") from None
        except botocore.exceptions.BotoCoreError as error:  # no credentials, no region, a bad profile
            raise problems.TransientError(str(error), reason="held") from None
        return _refused(answer.get("rejectedLogEventsInfo") or {}, indexes)

    def _asked(self, events: list[dict[str, Any]]) -> Mapping[str, Any]:
        """Put events; where there is no such stream, make it and try once more."""
        client = self._client()
        request = {"logGroupName": self._config.group, "logStreamName": self._stream, "logEvents": events}
        try:
            return dict(client.put_log_events(**request))
        except client.exceptions.ResourceNotFoundException:
            if not self._config.create:
                raise
        for make, names in (
            (client.create_log_group, {"logGroupName": self._config.group}),
            (client.create_log_stream, {"logGroupName": self._config.group, "logStreamName": self._stream}),
        ):
            try:
                make(**names)
            except client.exceptions.ResourceAlreadyExistsException:
                continue
        return dict(client.put_log_events(**request))

    def _client(self) -> Any:
        import botocore.config  # noqa: PLC0415 - an extra, and slow to load
        import botocore.session  # noqa: PLC0415

        with self._making:
            if self._made is None:
                options = botocore.config.Config(
                    retries={"total_max_attempts": 1},
                    connect_timeout=self._config.timeout,
                    read_timeout=self._config.timeout,
                    user_agent_extra="tidegate",
                )
                self._made = botocore.session.get_session().create_client(
                    "logs",
                    region_name=self._config.region or None,
                    endpoint_url=self._config.endpoint or None,
                    config=options,
                )
            return self._made


def _times(batch: output.Batch) -> list[int]:
    """Unix milliseconds of every document."""
    return [round(lines.at(document) * 1000) for document in batch.documents()]


def _spans(indexes: Sequence[int], times: Sequence[int]) -> list[Sequence[int]]:
    """Cut where a request would span too much time."""
    found: list[Sequence[int]] = []
    start = 0
    for place, index in enumerate(indexes):
        if times[index] - times[indexes[start]] >= SPAN:
            found.append(indexes[start:place])
            start = place
    if start < len(indexes):
        found.append(indexes[start:])
    return found


def _refused(told: Mapping[str, Any], indexes: Sequence[int]) -> Sequence[output.Rejected]:
    """Events outside of the allowed times: too old ones stand before a position, too new ones from one on."""
    old = int(told.get("tooOldLogEventEndIndex") or 0)
    expired = int(told.get("expiredLogEventEndIndex") or 0)
    new = told.get("tooNewLogEventStartIndex")
    found = []
    for place, index in enumerate(indexes):
        if place < expired:
            found.append(output.Rejected(index, _LATE, "older than the log group's retention"))
        elif place < old:
            found.append(output.Rejected(index, _LATE, "older than 14 days"))
        elif new is not None and place >= int(new):
            found.append(output.Rejected(index, _LATE, "more than two hours in the future"))
    return found


def _judge(response: Mapping[str, Any]) -> None:
    """Pass what says that the events are there. Raises `TransientError` or `sending.RefusedError`."""
    error = response.get("Error", {})
    meta = response.get("ResponseMetadata", {})
    code, status = str(error.get("Code", "")), int(meta.get("HTTPStatusCode", 0))
    text = f"{code}: {error.get('Message') or 'no reason given'}"
    if code == "DataAlreadyAcceptedException":
        return
    if code in _BLAMED or status == 413:
        raise sending.RefusedError(status or 400, text)
    after = http.retry_after(meta.get("HTTPHeaders", {}).get("retry-after"))
    if code in _BUSY or status in (429, 503):
        raise problems.TransientError(f"HTTP {status}: {text}", after=after, reason="rate_limited")
    reason = "server" if status >= 500 else "held"
    raise problems.TransientError(f"HTTP {status}: {text}", after=after, reason=reason)
