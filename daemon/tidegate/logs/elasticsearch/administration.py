"""Requests that set a server up: over the same transport as the lines, so that what works here works there.

Whether an answer is good is for whoever asks to say; a server that does not answer is a `TransientError`.
"""

from __future__ import annotations

from typing import Any

import elastic_transport
import orjson

from tidegate.logs.elasticsearch import answers, connection
from tidegate.model import problems, settings


class Administration:
    """A client with the credentials of the settings."""

    def __init__(self, config: settings.Elasticsearch, node_class: connection.NodeClass | None = None) -> None:
        """Raises `ConfigError` for a URL or certificate file that cannot be used."""
        self._timeout = config.timeout
        self._client = connection.transport(config, node_class) if node_class else connection.transport(config)
        self._headers = {"content-type": connection.JSON, "accept": connection.JSON}
        if authorization := connection.authorization(config):
            self._headers["authorization"] = authorization

    async def send(self, method: str, path: str, value: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body of the answer. Raises `TransientError`."""
        try:
            meta, body = await self._client.perform_request(
                method, path, body=orjson.dumps(value), headers=self._headers, request_timeout=self._timeout or None
            )
        except (elastic_transport.TransportError, OSError) as error:
            raise problems.TransientError(f"cannot reach Elasticsearch: {error}", reason="connection") from None
        if meta.status in (408, 429) or meta.status >= 500:
            raise problems.TransientError(f"HTTP {meta.status}: {answers.whole(body)}", reason="server")
        return meta.status, body or b""

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()


def refused(what: str, status: int, body: bytes) -> problems.PermanentError:
    """The error for an answer that says no."""
    reason = "auth" if status in (401, 403) else "rejected"
    return problems.PermanentError(f"{what}: HTTP {status}: {answers.whole(body)}", reason=reason)


def shown(method: str, path: str, value: dict[str, Any]) -> str:
    """A request as Kibana's console takes it."""
    return f"{method} {path}\n{orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()}"
