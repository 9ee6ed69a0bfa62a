"""Searches log lines in Elasticsearch or OpenSearch: KQL in, lines out, newest first."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import elastic_transport
import orjson

from tidegate.logs import connection, kql, lines
from tidegate.logs.kql import dsl
from tidegate.model import logs, problems, settings

INDICES = "logs-*"
MOST = 1000
COUNTED = 10_000
"""Hits that are counted exactly; beyond, the total is a lower bound."""


class ElasticsearchReader:
    """Implements `ports.LogReader`."""

    def __init__(self, config: settings.Elasticsearch) -> None:
        """Raises `ConfigError` for a URL or certificate file that cannot be used."""
        self._transport = connection.transport(config)
        self._timeout = config.timeout
        self._headers = {"content-type": connection.JSON, "accept": connection.JSON}
        if authorization := connection.authorization(config):
            self._headers["authorization"] = authorization

    async def search(self, query: str, *, start: float, end: float, limit: int) -> logs.LogPage:
        """See `ports.LogReader`."""
        between = {"range": {"@timestamp": {"gte": _iso(start), "lte": _iso(end)}}}
        body = {
            "size": min(limit, MOST),
            "query": {"bool": {"filter": [dsl.compile(kql.parse(query)), between]}},
            "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
            "track_total_hits": COUNTED,
        }
        found = await self._ask(orjson.dumps(body))
        hits = found.get("hits") or {}
        total = hits.get("total") or {}
        shown = tuple(lines.line(hit.get("_source") or {}) for hit in hits.get("hits") or ())
        return logs.LogPage(shown, int(total.get("value", len(shown))), total.get("relation") == "gte")

    async def close(self) -> None:
        """Close connections."""
        await self._transport.close()

    async def _ask(self, body: bytes) -> Mapping[str, Any]:
        target = f"/{INDICES}/_search?ignore_unavailable=true&allow_no_indices=true"
        try:
            answer = await self._transport.perform_request(
                "POST", target, headers=self._headers, body=body, request_timeout=self._timeout
            )
        except elastic_transport.TransportError as error:
            raise problems.TransientError(
                f"Elasticsearch does not answer: {error.message}", reason="connection"
            ) from None
        status, raw = answer.meta.status, bytes(answer.body or b"")
        if status == 400:
            raise problems.QueryError(f"Elasticsearch refuses the query: {raw[:300].decode('utf-8', 'replace')}")
        if status != 200:
            text = raw[:300].decode("utf-8", "replace")
            raise problems.TransientError(f"Elasticsearch answered {status}: {text}", reason="server")
        try:
            found: Mapping[str, Any] = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise problems.TransientError("Elasticsearch answered something that is no JSON", reason="server") from None
        if found.get("timed_out") or (found.get("_shards") or {}).get("failed"):
            raise problems.TransientError("the search is incomplete: shards failed or took too long", reason="server")
        return found


def _iso(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()
