"""`tidegate setup elasticsearch`: component and index template with retention. Safe to repeat.

A server that lacks a field type or the data stream lifecycle gets templates without it, and the report says so: nothing
is left out in silence. Requests go over the same transport as the lines, so what works here works there.
"""

from __future__ import annotations

import re
from typing import Any

import elastic_transport
import orjson

from tidegate.logs.elasticsearch import answers, connection, mapping
from tidegate.model import problems, settings

_NO_TYPE = re.compile(r"(?:No handler for type|The mapper type) \[(\w+)\]")
_NO_VALUE = "is missing required parameter [value]"
"""OpenSearch's constant keywords do not take the first document's value."""
_TRIES = 12
_SPARE = {
    "optional": (b"ignore_missing_component_templates",),
    "settings": (b"ignore_dynamic_beyond_limit",),
    "lifecycle": (b"lifecycle", b"data_retention"),
}
"""Parts of the index template that older servers do not know, and the words by which they say so."""
_MEANING = {
    "optional": "component templates that may be missing, so `logs@custom` is not applied",
    "settings": "`ignore_dynamic_beyond_limit` setting",
    "lifecycle": "data stream lifecycle, so nothing removes old lines; set up a policy there",
}


async def install(
    config: settings.Elasticsearch, dry_run: bool, *, node_class: connection.NodeClass | None = None
) -> list[str]:
    """Install both templates; what was done, one line each. With `dry_run` the requests as Kibana's console takes them.

    Raises `ConfigError` for unusable settings, `PermanentError` when Elasticsearch refuses, `TransientError` when it
    does not answer.
    """
    if dry_run:
        return _shown(config)
    client = connection.transport(config, node_class) if node_class else connection.transport(config)
    try:
        return await _Installer(config, client).run()
    finally:
        await client.close()


def _shown(config: settings.Elasticsearch) -> list[str]:
    pairs = [
        (f"/_component_template/{mapping.COMPONENT}", mapping.component()),
        (f"/_index_template/{mapping.TEMPLATE}", mapping.template(config.retention)),
    ]
    return [f"PUT {path}\n{orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()}" for path, body in pairs]


class _Installer:
    """One installation: keeps what the server turned out to lack."""

    def __init__(self, config: settings.Elasticsearch, client: elastic_transport.AsyncTransport) -> None:
        self._config = config
        self._client = client
        self._done: list[str] = []
        self._left_out: list[str] = []
        authorization = connection.authorization(config)
        self._headers = {"content-type": connection.JSON, "accept": connection.JSON}
        if authorization:
            self._headers["authorization"] = authorization

    async def run(self) -> list[str]:
        """Install; the report."""
        await self._component()
        await self._template()
        return self._done + self._left_out

    async def _component(self) -> None:
        missing: frozenset[str] = frozenset()
        for _ in range(_TRIES):
            status, body = await self._put(f"/_component_template/{mapping.COMPONENT}", mapping.component(missing))
            if status == 200:
                self._done.append(f"component template {mapping.COMPONENT}: installed")
                return
            lacks = _lacks(body.decode("utf-8", "replace"))
            if status != 400 or lacks in missing or lacks not in mapping.FALLBACKS:
                break
            missing |= {lacks}
            instead = mapping.FALLBACKS[lacks]["type"]
            self._left_out.append(f"left out: this server has no field type {lacks}; {instead} is used instead")
        raise _refused(f"component template {mapping.COMPONENT}", status, body)

    async def _template(self) -> None:
        wanted = mapping.template(self._config.retention)
        path = f"/_index_template/{mapping.TEMPLATE}"
        status, body = await self._put(path, wanted)
        spare = dict(_SPARE)
        while status == 400 and (name := next((name for name, words in spare.items() if _names(body, words)), "")):
            del spare[name]
            if name == "optional":
                del wanted["ignore_missing_component_templates"]
                wanted["composed_of"] = [mapping.COMPONENT]
            wanted["template"].pop(name, None)
            self._left_out.append(f"left out: this server has no {_MEANING[name]}")
            status, body = await self._put(path, wanted)
        if status != 200:
            raise _refused(f"index template {mapping.TEMPLATE}", status, body)
        kept = "lifecycle" in wanted["template"]
        text = f", kept for {self._config.retention / 86400:g} days" if kept else ", kept for ever"
        self._done.append(
            f"index template {mapping.TEMPLATE}: installed for {mapping.PATTERN}, priority {mapping.PRIORITY}{text}"
        )

    async def _put(self, path: str, value: dict[str, Any]) -> tuple[int, bytes]:
        try:
            meta, body = await self._client.perform_request(
                "PUT",
                path,
                body=orjson.dumps(value),
                headers=self._headers,
                request_timeout=self._config.timeout or None,
            )
        except (elastic_transport.TransportError, OSError) as error:
            raise problems.TransientError(f"cannot reach Elasticsearch: {error}", reason="connection") from None
        if meta.status in (408, 429) or meta.status >= 500:
            raise problems.TransientError(f"HTTP {meta.status}: {answers.whole(body)}", reason="server")
        return meta.status, body


def _lacks(answer: str) -> str:
    """The field type that an answer says the server does not have, as we use it; empty when it says something else."""
    if _NO_VALUE in answer:
        return "constant_keyword"
    found = _NO_TYPE.search(answer)
    return found[1] if found else ""


def _names(body: bytes, words: tuple[bytes, ...]) -> bool:
    """Whether an answer speaks of one of these words."""
    return any(word in body for word in words)


def _refused(what: str, status: int, body: bytes) -> problems.PermanentError:
    reason = "auth" if status in (401, 403) else "rejected"
    return problems.PermanentError(f"{what}: HTTP {status}: {answers.whole(body)}", reason=reason)
