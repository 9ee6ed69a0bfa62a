"""Google Cloud Logging, by `entries:write` of Google's own client over REST. The one module that knows it.

`insertId` is our `_id`: of entries with the same log, time and `insertId` one is kept. Limits of a request: 10 MB; of an
entry: 256 KB. What is wrong with which entry is told by `WriteLogEntriesPartialErrors`; the other entries are stored.
Sources: https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/write and its `LogEntry` page.
"""

from __future__ import annotations

import pathlib
import threading
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tidegate.kit import http
from tidegate.logs.outputs import calls, peer, sending
from tidegate.logs.ship import output
from tidegate.model import logoutputs, problems

NAME = "google"
MOST_BYTES = 9_000_000
"""Of documents in one request; each grows a little on its way."""
MOST_ENTRIES = 1000
SEVERITY: Mapping[str, str] = {
    "trace": "DEBUG",
    "debug": "DEBUG",
    "info": "INFO",
    "notice": "NOTICE",
    "warning": "WARNING",
    "error": "ERROR",
    "critical": "CRITICAL",
}
"""Google's names of our levels; others are `DEFAULT`, and stay in the document."""
_REFUSED = {3: 400, 11: 400}
"""gRPC codes that mean the entry itself (an invalid argument, out of range), and the status that they stand for."""
_PARTIAL = "WriteLogEntriesPartialErrors"


class Wire:
    """Implements `sending.Wire`."""

    def __init__(self, config: logoutputs.GoogleCloud, threads: int) -> None:
        calls.need("google.cloud.logging_v2", NAME, "google")
        self._config = config
        self._calls = calls.Calls(NAME, threads)
        self._making = threading.Lock()
        self._made: Any = None
        self._stamp = 0.0
        log = urllib.parse.quote(config.log, safe="")
        self._head = {"logName": f"projects/{config.project}/logs/{log}", "resource": {"type": "global"}}

    def cut(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[Sequence[int]]:
        """See `sending.Wire`."""
        sizes = [len(batch.bodies[index]) for index in indexes]
        return sending.pieces(sizes, indexes, most_bytes=MOST_BYTES, most=MOST_ENTRIES)

    async def post(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        """See `sending.Wire`."""
        return await self._calls.run(lambda: self._write(batch, indexes))

    async def close(self) -> None:
        """See `sending.Wire`."""
        await self._calls.close()
        if self._made is not None:
            self._made.close()

    # --- in a thread --------------------------------------------------------------------------------------------

    def _write(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        from google.api_core import exceptions  # noqa: PLC0415 - an extra, and slow to load
        from google.auth import exceptions as auth  # noqa: PLC0415

        documents = batch.documents()
        entries = [entry(batch.ids[index], documents[index]) for index in indexes]
        body = orjson.dumps({**self._head, "entries": entries, "partialSuccess": True})
        try:
            self._client().logging_api.api_request(
                method="POST",
                path="/entries:write",
                data=body,
                content_type="application/json",
                timeout=self._config.timeout,
            )
        except exceptions.GoogleAPICallError as error:
            return _judged(error.response, indexes)
        except auth.TransportError as error:
            raise http.UnreachedError(f"cannot get a token: {error}", reason="auth") from None
        except auth.GoogleAuthError as error:
            raise problems.TransientError(f"no credentials: {error}", reason="auth") from None
        except OSError as error:  # what the library's HTTP client raises, and a key file that cannot be read
            raise problems.TransientError(f"cannot reach the service: {error}", reason="connection") from None
        return ()

    def _client(self) -> Any:
        """The client; a new one when our key was changed."""
        from google.cloud import logging_v2  # noqa: PLC0415 - an extra, and slow to load

        file = self._config.credentials_file
        with self._making:
            stamp = pathlib.Path(file).stat().st_mtime if file else 0.0
            if self._made is None or stamp != self._stamp:
                options: dict[str, Any] = {"api_endpoint": self._config.endpoint} if self._config.endpoint else {}
                make: Any = logging_v2.Client
                if file:
                    # Read here and not by the options: those are for the default credentials only.
                    self._made = make.from_service_account_json(
                        file,
                        project=self._config.project,
                        client_options=options,
                        _use_grpc=False,
                    )
                else:
                    self._made = make(project=self._config.project, client_options=options, _use_grpc=False)
                self._stamp = stamp
            return self._made


def entry(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """One `LogEntry`: the document as its payload, and what the service has fields of its own for."""
    log, trace, span = (document.get(group) or {} for group in ("log", "trace", "span"))
    made: dict[str, Any] = {
        "insertId": name,
        "timestamp": document.get("@timestamp"),
        "severity": SEVERITY.get(str(log.get("level", "")), "DEFAULT"),
        "jsonPayload": document,
    }
    if trace.get("id"):
        made["trace"] = str(trace["id"])
    if span.get("id"):
        made["spanId"] = str(span["id"])
    return made


def _judged(response: Any, indexes: Sequence[int]) -> Sequence[output.Rejected]:
    """What an error means. Raises `TransientError` or `sending.RefusedError`; entries that are told of are refused."""
    told = _partial(response.content)
    if told is None:
        peer.judge(response.status_code, response.headers, response.content)
        raise problems.TransientError(f"HTTP {response.status_code}: cannot be read", reason="unreadable")
    found = []
    for place, error in told.items():
        code, reason = int(error.get("code", 0)), str(error.get("message") or "no reason given")
        if code not in _REFUSED:
            raise problems.TransientError(f"an entry was not written: {reason}", reason="held")
        found.append(output.Rejected(indexes[place], _REFUSED[code], reason))
    return found


def _partial(body: bytes) -> dict[int, Mapping[str, Any]] | None:
    """The errors by entry, or None where an answer is not about entries."""
    try:
        details = orjson.loads(body)["error"]["details"]
        for detail in details:
            if str(detail.get("@type", "")).endswith(_PARTIAL):
                return {int(place): error for place, error in detail["logEntryErrors"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
