"""Searches log lines in Elasticsearch or OpenSearch: KQL in, lines out, newest first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import elastic_transport
import orjson

from tidegate.logs import kql
from tidegate.logs.ecs import lines
from tidegate.logs.elasticsearch import connection, discover
from tidegate.logs.kql import dsl
from tidegate.model import logs, problems, settings

INDICES = "logs-*"
MOST = 1000
COUNTED = 10_000
"""Hits that are counted exactly; beyond, the total is a lower bound."""
MOST_NODES = 3
"""Nodes that one search tries."""
_TARGET = f"/{INDICES}/_search?ignore_unavailable=true&allow_no_indices=true"


class ElasticsearchReader:
    """Implements `ports.LogReader`."""

    def __init__(self, config: settings.Elasticsearch, kibana: settings.Kibana | None = None) -> None:
        """Raises `ConfigError` for a URL or certificate file that cannot be used."""
        self._kibana = kibana or settings.Kibana()
        self._transport = connection.transport(config)
        self._timeout = config.timeout
        self._nodes = min(len(config.urls), MOST_NODES)
        self._headers = {"content-type": connection.JSON, "accept": connection.JSON}
        if authorization := connection.authorization(config):
            self._headers["authorization"] = authorization

    async def search(self, query: str, *, start: float, end: float, limit: int) -> logs.LogPage:
        """See `ports.LogReader`."""
        first, last = math.ceil(round(start * 1000, 3)), math.floor(round(end * 1000, 3))
        asked = {**body(query, first, last, limit), "timeout": f"{max(int(self._timeout * 1000), 1)}ms"}
        found = await self._ask(orjson.dumps(asked))
        hits = found.get("hits") or {}
        total = hits.get("total") or {}
        shown = tuple(lines.line(hit.get("_source") or {}) for hit in hits.get("hits") or ())
        link = discover.link(self._kibana, query, first, last)
        return logs.LogPage(shown, int(total.get("value", len(shown))), total.get("relation") == "gte", link)

    async def close(self) -> None:
        """Close connections."""
        await self._transport.close()

    async def _ask(self, body: bytes) -> Mapping[str, Any]:
        status, raw = await self._post(body)
        text = raw[:300].decode("utf-8", "replace")
        if status == 400:
            raise problems.QueryError(f"Elasticsearch refuses the query: {_reason(raw) or text}")
        if status in (401, 403):
            raise problems.TransientError(f"Elasticsearch does not let us search ({status}): {text}", reason="auth")
        if status != 200:
            raise problems.TransientError(f"Elasticsearch answered {status}: {text}", reason="server")
        found = _object(raw)
        if found is None:
            raise problems.TransientError("Elasticsearch answered something that is no JSON object", reason="server")
        if found.get("timed_out") or (found.get("_shards") or {}).get("failed"):
            raise problems.TransientError("the search is incomplete: shards failed or took too long", reason="server")
        return found

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. A node that does not answer is left for the next one."""
        for left in reversed(range(self._nodes)):
            try:
                answer = await self._transport.perform_request(
                    "POST", _TARGET, headers=self._headers, body=body, request_timeout=self._timeout
                )
                return answer.meta.status, bytes(answer.body or b"")
            except elastic_transport.ConnectionTimeout as error:
                raise problems.TransientError(
                    f"Elasticsearch does not answer in time: {error.message}", reason="timeout"
                ) from None
            except elastic_transport.TransportError as error:
                if not left:
                    raise problems.TransientError(
                        f"Elasticsearch does not answer: {error.message}", reason="connection"
                    ) from None
        raise problems.TransientError("no node of Elasticsearch is configured", reason="connection")


def body(query: str, start: int, end: int, limit: int) -> dict[str, Any]:
    """The search for a query between two whole milliseconds, both included. Raises `QueryError`."""
    between = {"range": {"@timestamp": {"gte": start, "lte": end, "format": "epoch_millis"}}}
    return {
        "size": min(limit, MOST),
        "query": {"bool": {"filter": [dsl.compile(kql.parse(query)), between]}},
        "sort": [
            {"@timestamp": {"order": "desc", "unmapped_type": "date", "numeric_type": "date"}},
            {"log.offset": {"order": "desc", "unmapped_type": "long"}},
        ],
        "track_total_hits": COUNTED,
    }


def _object(raw: bytes) -> Mapping[str, Any] | None:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _reason(raw: bytes) -> str:
    """What Elasticsearch says is wrong with a query."""
    error = (_object(raw) or {}).get("error")
    causes = error.get("root_cause") if isinstance(error, dict) else None
    return str(causes[0].get("reason", "")) if isinstance(causes, list) and causes else ""
