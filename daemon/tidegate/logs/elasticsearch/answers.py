"""What a `_bulk` answer means, document by document. HTTP 200 means nothing by itself: the items decide, by position."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import orjson

from tidegate.logs.ship import output

RETRIED = frozenset({401, 403, 404, 408, 425, 429})
"""Item statuses that are no fault of the document: overload, a block on the index, rights or a template that is missing."""
HELD = frozenset({401, 403, 404})
"""Those of them that a person has to do something about."""
_REASON = 500
_MALFORMED = frozenset(
    {
        "illegal_argument_exception",
        "action_request_validation_exception",
        "x_content_parse_exception",
        "json_parse_exception",
        "parse_exception",
        "parsing_exception",
        "document_parsing_exception",
        "mapper_parsing_exception",
    }
)


@dataclasses.dataclass(slots=True)
class Outcome:
    """What became of the documents of one request; indexes are those of the batch."""

    stored: int = 0
    duplicates: int = 0
    """Already there: an earlier try of ours had landed."""
    redirected: int = 0
    """Stored in the data stream's failure store."""
    rejected: list[output.Rejected] = dataclasses.field(default_factory=list)
    again: list[int] = dataclasses.field(default_factory=list)
    again_status: dict[int, int] = dataclasses.field(default_factory=dict)
    """How many of those for which status."""
    error: str = ""
    """Why documents are sent again; empty when none are."""
    places: list[tuple[int, str]] = dataclasses.field(default_factory=list)
    """When asked for: documents that were created, and the index that they are in."""


def read(body: bytes, indexes: Sequence[int], *, places: bool = False) -> Outcome | None:
    """The outcome of a 200 answer for these documents, or None when the answer does not fit them: then nothing is known."""
    if not places and body == _all_created(len(indexes)):
        return Outcome(stored=len(indexes))
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != len(indexes):
        return None
    outcome = Outcome()
    for index, item in zip(indexes, items, strict=True):
        result = item.get("create") if isinstance(item, dict) else None
        if not isinstance(result, dict) or not isinstance(status := result.get("status"), int):
            return None
        _sort(outcome, index, status, result)
        if places and status in (200, 201):
            outcome.places.append((index, str(result.get("_index", ""))))
    return outcome


@functools.lru_cache(maxsize=8)
def _all_created(count: int) -> bytes:
    """The answer that nearly always comes: compared as bytes, so that nobody reads thousands of equal items."""
    return b'{"errors":false,"items":[%b]}' % b",".join([b'{"create":{"status":201}}'] * count)


def _sort(outcome: Outcome, index: int, status: int, result: dict[str, Any]) -> None:
    if status in (200, 201):
        outcome.stored += 1
        outcome.redirected += result.get("failure_store") == "used"
    elif status == 409:
        outcome.duplicates += 1
    elif status in RETRIED or status >= 500:
        outcome.again.append(index)
        outcome.again_status[status] = outcome.again_status.get(status, 0) + 1
        if not outcome.error or status in HELD:
            outcome.error = f"HTTP {status} for a document: {reason(result.get('error'))}"
    else:
        outcome.rejected.append(output.Rejected(index, status, reason(result.get("error"))))


def reason(error: object) -> str:
    """An error object in one line: `type: reason, caused by type: reason`."""
    if not isinstance(error, dict):
        return str(error or "no reason given")[:_REASON]
    text = f"{error.get('type', 'error')}: {error.get('reason', 'no reason given')}"
    cause = error.get("caused_by")
    if isinstance(cause, dict) and cause.get("reason"):
        text += f", caused by {cause.get('type', 'error')}: {cause['reason']}"
    return text[:_REASON]


def whole(body: bytes) -> str:
    """The error of an answer that is not about items, in one line."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return " ".join(body[:200].decode("utf-8", "replace").split())
    error = answer.get("error") if isinstance(answer, dict) else None
    return reason(error if error is not None else answer)


def blames_documents(status: int, body: bytes) -> bool:
    """Whether an answer about a whole request means its documents: too large, or malformed in Elasticsearch's own words.

    A 400 of a proxy ("plain HTTP request to HTTPS port") is nobody's document's fault.
    """
    if status != 400:
        return status == 413
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    error = answer.get("error") if isinstance(answer, dict) else None
    return isinstance(error, dict) and error.get("type") in _MALFORMED
