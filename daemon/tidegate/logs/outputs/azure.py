"""Azure Monitor, by the Logs Ingestion API and Microsoft's own client. The one module that knows it.

A row has the columns `TimeGenerated`, `Id`, `Message`, `Level`, `Service` and `Document`, which the data collection rule's
stream declares. Limits: 1 MB a request, unpacked; 64 KB a value, beyond which Azure cuts. There are no ids: what is sent
again can be there twice. Source: https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tidegate.kit import access, http, telemetry
from tidegate.logs.ecs import lines
from tidegate.logs.outputs import calls, peer, sending
from tidegate.logs.ship import output
from tidegate.model import client, logoutputs, problems

NAME = "azure"
MOST_BYTES = 1_000_000
LONGEST = 64 * 1024
"""Bytes of one value that Azure keeps."""


class Wire:
    """Implements `sending.Wire`."""

    def __init__(
        self, config: logoutputs.AzureMonitor, secret: client.Secret, threads: int, registry: telemetry.Registry
    ) -> None:
        for module in ("azure.monitor.ingestion", "azure.identity"):
            calls.need(module, NAME, "azure")
        self._config, self._secret = config, secret
        self._calls = calls.Calls(NAME, threads)
        self._making = threading.Lock()
        self._made: Any = None
        self._text = ""
        self._cut = telemetry.Counter(
            "tidegate_logs_azure_cut", "Documents with a value of more than 64 KB, which Azure cuts.", registry=registry
        )

    def cut(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[Sequence[int]]:
        """See `sending.Wire`."""
        sizes = [len(one) + 1 for one in rows(batch, indexes)]
        return sending.pieces(sizes, indexes, most_bytes=MOST_BYTES - 1)

    async def post(self, batch: output.Batch, indexes: Sequence[int]) -> Sequence[output.Rejected]:
        """See `sending.Wire`."""
        await self._calls.run(lambda: self._upload(batch, indexes))
        self._cut.inc(sum(len(batch.bodies[index]) > LONGEST for index in indexes))
        return ()

    async def close(self) -> None:
        """See `sending.Wire`."""
        await self._calls.close()
        if self._made is not None:
            self._made.close()

    # --- in a thread --------------------------------------------------------------------------------------------

    def _upload(self, batch: output.Batch, indexes: Sequence[int]) -> None:
        from azure.core import exceptions  # noqa: PLC0415 - an extra, and slow to load

        body = peer.gzipped(b"[" + b",".join(rows(batch, indexes)) + b"]")
        try:
            self._client().upload(self._config.rule, self._config.stream, io.BytesIO(body))
        except exceptions.HttpResponseError as error:
            if error.response is None:  # no identity, or no token for it
                raise problems.TransientError(_plain(error), reason="auth") from None
            answer: Any = error.response
            peer.judge(answer.status_code, answer.headers, answer.body())
            raise problems.TransientError(_plain(error), reason="unreadable") from None
        except exceptions.ServiceRequestError as error:
            raise http.UnreachedError(f"cannot reach the service: {_plain(error)}", reason="connection") from None
        except exceptions.ServiceResponseTimeoutError as error:
            raise problems.TransientError(f"no answer in time: {_plain(error)}", reason="timeout") from None
        except exceptions.AzureError as error:
            raise problems.TransientError(f"cannot reach the service: {_plain(error)}", reason="connection") from None

    def _client(self) -> Any:
        """The client; a new one when our secret was changed."""
        from azure.monitor import ingestion  # noqa: PLC0415 - an extra, and slow to load

        given = self._config
        with self._making:
            text = access.read(self._secret)
            if self._made is None or text != self._text:
                self._made = ingestion.LogsIngestionClient(
                    given.endpoint,
                    self._identity(text),
                    credential_scopes=[f"{given.audience.rstrip('/')}/.default"],
                    connection_timeout=given.timeout,
                    read_timeout=given.timeout,
                    retry_total=0,
                    user_agent="tidegate",
                    **self._trust(),
                )
                self._text = text
            return self._made

    def _identity(self, secret: str) -> Any:
        from azure import identity  # noqa: PLC0415 - an extra, and slow to load

        given = self._config
        place: dict[str, Any] = {}
        if given.authority:
            place = {"authority": given.authority, "disable_instance_discovery": True}
        if not given.tenant:
            return identity.DefaultAzureCredential(retry_total=0, **place)
        return identity.ClientSecretCredential(
            given.tenant, given.client_id, secret, retry_total=0, **place, **self._trust()
        )

    def _trust(self) -> dict[str, Any]:
        return {"connection_verify": self._config.ca_file} if self._config.ca_file else {}


def rows(batch: output.Batch, indexes: Sequence[int]) -> list[bytes]:
    """The rows of some documents, as JSON."""
    documents = batch.documents()
    return [_row(batch.ids[index], documents[index], batch.bodies[index]) for index in indexes]


def _row(name: str, document: Mapping[str, Any], body: bytes) -> bytes:
    head = {
        "TimeGenerated": document.get("@timestamp"),
        "Id": name,
        "Message": lines.text(document, "message"),
        "Level": lines.text(document, "log.level"),
        "Service": lines.text(document, "service.name"),
    }
    return orjson.dumps(head)[:-1] + b',"Document":' + body + b"}"


def _plain(error: Exception) -> str:
    return str(getattr(error, "message", "") or error)[: peer.SHOWN]
