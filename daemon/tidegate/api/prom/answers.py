"""How Prometheus' API answers: its JSON envelope with warnings, its errors, and query results in its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

from tidegate.api import endpoint, goformat
from tidegate.api.endpoint import Failure
from tidegate.model import problems, series

TRUNCATED = "results truncated due to limit"
SHOWN = 10
"""Annotations of a kind that are shown; how many more there were is said."""


def say(failure: Failure) -> Response:
    """Prometheus' error body."""
    body = {"status": "error", "errorType": failure.kind, "error": failure.detail}
    return endpoint.json(body, failure.status, failure.headers)


def raw(content: bytes) -> Response:
    """A body that is JSON already."""
    return Response(content, 200, {"cache-control": "no-store"}, "application/json")


def success(data: Any, warnings: Sequence[str] = (), infos: Sequence[str] = ()) -> bytes:
    """The envelope of an answer."""
    body = {"status": "success", "data": data}
    body |= {"warnings": _shown(warnings, "warning")} if warnings else {}
    body |= {"infos": _shown(infos, "info")} if infos else {}
    return orjson.dumps(body)


def listed(found: Sequence[Any], limit: int) -> bytes:
    """A list of at most `limit` things (0: all), with a warning where some were left out."""
    cut = bool(limit) and len(found) > limit
    return success(found[:limit] if cut else found, [TRUNCATED] if cut else ())


def answered(answer: series.Answer, limit: int, more: dict[str, Any]) -> bytes:
    """A query's answer; `more` goes beside its result. Raises `QueryError` for a form that the API has no words for."""
    data, cut = result(answer.result, limit)
    return success(data | more, (*answer.warnings, TRUNCATED) if cut else answer.warnings, answer.infos)


def result(found: series.Result, limit: int) -> tuple[dict[str, Any], bool]:
    """A query's result, and whether `limit` cut it."""
    match found:
        case series.Vector():
            at = goformat.seconds(found.at_ms)
            pairs = zip(found.labels[: limit or None], found.values.tolist(), strict=False)
            vector = [{"metric": dict(of), "value": [at, goformat.sample(value)]} for of, value in pairs]
            return {"resultType": "vector", "result": vector}, 0 < limit < len(found.labels)
        case series.Matrix():
            chosen = [_series(one) for one in found.series[: limit or None]]
            return {"resultType": "matrix", "result": chosen}, 0 < limit < len(found.series)
        case series.Scalar():
            at = goformat.seconds(found.at_ms)
            return {"resultType": "scalar", "result": [at, goformat.sample(found.value)]}, False
        case series.String():
            return {"resultType": "string", "result": [goformat.seconds(found.at_ms), found.value]}, False
    raise problems.QueryError(f"no JSON for {type(found).__name__}", kind="internal")


def _series(one: series.Series) -> dict[str, Any]:
    points = zip(one.times.tolist(), one.values.tolist(), strict=True)
    return {
        "metric": dict(one.labels),
        "values": [[goformat.seconds(at), goformat.sample(value)] for at, value in points],
    }


def _shown(texts: Sequence[str], kind: str) -> list[str]:
    left = len(texts) - SHOWN
    more = [f"{left} more {kind} annotations omitted"] if left > 0 else []
    return [*texts[:SHOWN], *more]
