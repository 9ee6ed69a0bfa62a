"""PromQL on another server: any that answers Prometheus' query API, for rule groups with a `datasource`.

Queries are parsed here for what can be said of them, and evaluated there: every form that the server knows is allowed. A
server that does not answer is an error of the rule, never an empty result. https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tidegate.kit import access, http
from tidegate.metrics.promql import facts, presence, syntax
from tidegate.model import client as client_
from tidegate.model import labels, problems, series

KINDS = frozenset({"bad_data", "execution", "timeout", "canceled", "internal", "unavailable", "not_found"})


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """Where queries go."""

    name: str
    url: str
    client: client_.Client = client_.PLAIN
    timeout: float = 30.0
    """Seconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class RemoteEngine:
    """Implements `ports.QueryEngine`. Engines of equal servers are equal, so that a reload leaves their groups alone."""

    server: Server
    way: access.Access = dataclasses.field(compare=False)
    """How to get there; its token is shared by all queries."""

    def allowing(self, *, experimental: bool) -> RemoteEngine:  # noqa: ARG002
        """See `ports.QueryEngine`: the server decides what it knows."""
        return self

    def prepare(self, expr: str) -> RemoteQuery:
        """See `ports.QueryEngine`."""
        parsed = syntax.parse(expr, experimental=True)
        op, number = facts.comparison(parsed)
        threshold = f"{op} {number}" if number else ""
        return RemoteQuery(expr, op in {"<", "<="}, threshold, self.server, self.way)


@dataclasses.dataclass(frozen=True, slots=True)
class RemoteQuery:
    """Implements `ports.Query`. Its methods wait for the server: call them in a thread."""

    expr: str
    lower_is_worse: bool
    threshold: str
    _server: Server
    _way: access.Access

    @property
    def names(self) -> frozenset[str]:
        """None of our series are read."""
        return frozenset()

    @property
    def lookback(self) -> float:
        """No history of ours is read."""
        return 0.0

    @property
    def presence(self) -> str:
        """See `ports.Query`."""
        return presence.query(syntax.parse(self.expr, experimental=True))

    @property
    def operand(self) -> str:
        """See `ports.Query`."""
        return presence.operand(syntax.parse(self.expr, experimental=True))

    @property
    def waits(self) -> bool:
        """See `ports.Query`."""
        return True

    def instant(self, at: float) -> series.Result:
        """See `ports.Query`."""
        return _result(self._ask("query", {"query": self.expr, "time": f"{at:.3f}"}), at)

    def range(self, start: float, end: float, step: float) -> series.Matrix:
        """See `ports.Query`."""
        form = {"query": self.expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        found = _result(self._ask("query_range", form), end)
        if not isinstance(found, series.Matrix):
            raise problems.QueryError(f"{self._server.name} answered a range query without a matrix", kind="execution")
        return found

    def _ask(self, path: str, form: Mapping[str, str]) -> Mapping[str, Any]:
        """The `data` of an answer. Raises `QueryError`."""
        url = f"{self._server.url.rstrip('/')}/api/v1/{path}"
        try:
            body = asyncio.run(self._post(url, {**form, "timeout": f"{self._server.timeout:g}s"}))
        except (problems.TransientError, problems.PermanentError, ValueError) as error:
            raise problems.QueryError(f"{self._server.name}: {error}", kind="unavailable") from None
        if not isinstance(body, dict) or body.get("status") != "success" or not isinstance(body.get("data"), dict):
            said = body.get("error", "no such answer") if isinstance(body, dict) else "no such answer"
            kind = str(body.get("errorType", "execution")) if isinstance(body, dict) else "execution"
            raise problems.QueryError(f"{self._server.name}: {said}", kind=kind if kind in KINDS else "execution")
        return dict(body["data"])

    async def _post(self, url: str, form: Mapping[str, str]) -> Any:
        async with http.client(timeout=self._server.timeout, **self._way.options(url)) as asking:
            return await http.query(asking, url, form, await self._way.headers())


def _result(data: Mapping[str, Any], at: float) -> series.Result:
    """A result as arrays. Raises `QueryError` for what is none."""
    try:
        return _read(data, round(at * 1000))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise problems.QueryError(f"the answer cannot be read: {error}", kind="execution") from None


def _read(data: Mapping[str, Any], at_ms: int) -> series.Result:
    found = data["result"]
    match data["resultType"]:
        case "vector":
            if any("value" not in one for one in found):
                raise problems.QueryError("not supported: native histograms of a datasource", kind="execution")
            values = np.array([float(one["value"][1]) for one in found], np.float64)
            return series.Vector(tuple(labels.make(one["metric"]) for one in found), values, at_ms)
        case "matrix":
            return series.Matrix(tuple(_series(one) for one in found))
        case "scalar":
            return series.Scalar(float(found[1]), at_ms)
        case "string":
            return series.String(str(found[1]), at_ms)
    raise ValueError(f"a result of the type {data['resultType']!r}")


def _series(one: Mapping[str, Any]) -> series.Series:
    points = one["values"]
    times = np.array([round(float(at) * 1000) for at, _ in points], np.int64)
    return series.Series(labels.make(one["metric"]), times, np.array([float(value) for _, value in points], np.float64))
