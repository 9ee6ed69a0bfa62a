"""`tidegate setup elasticsearch`: pipeline, component and index template with retention. Safe to repeat.

A server that lacks a field type or the data stream lifecycle gets templates without it, and the report says so: nothing
is left out in silence.
"""

from __future__ import annotations

import re
from typing import Any

from tidegate.logs.elasticsearch import administration, connection, lifecycle, mapping
from tidegate.model import problems, settings

_NO_TYPE = re.compile(r"(?:No handler for type|The mapper type) \[(\w+)\]")
_NO_VALUE = "is missing required parameter [value]"
"""OpenSearch's constant keywords do not take the first document's value."""
_TRIES = 12
COMPONENT_PATH = f"/_component_template/{mapping.COMPONENT}"
TEMPLATE_PATH = f"/_index_template/{mapping.TEMPLATE}"
_SPARE = {
    "optional": (b"ignore_missing_component_templates",),
    "settings": (b"ignore_dynamic_beyond_limit",),
    "data_stream_options": (b"data_stream_options", b"failure_store"),
    "lifecycle": (b"lifecycle", b"data_retention"),
}
"""Parts of the index template that older servers do not know, and the words by which they say so."""
_MEANING = {
    "optional": "component templates that may be missing, so `logs@custom` is not applied",
    "settings": "`ignore_dynamic_beyond_limit` setting",
    "data_stream_options": "failure store",
    "lifecycle": "data stream lifecycle, so nothing removes old lines; set up a policy there",
}


async def install(
    config: settings.Elasticsearch, dry_run: bool, *, node_class: connection.NodeClass | None = None
) -> list[str]:
    """Install everything; what was done, one line each. With `dry_run` the requests as Kibana's console takes them.

    Raises `ConfigError` for unusable settings, `PermanentError` when Elasticsearch refuses, `TransientError` when it
    does not answer.
    """
    if dry_run:
        return _shown(config)
    client = administration.Administration(config, node_class)
    try:
        return await _Installer(config, client).run()
    finally:
        await client.close()


def _shown(config: settings.Elasticsearch) -> list[str]:
    steps = [("PUT", lifecycle.PIPELINE_PATH, lifecycle.pipeline())]
    if config.lifecycle == "policy":
        steps.append(("PUT", lifecycle.POLICY_PATH, lifecycle.policy(config.retention)))
    steps.append(("PUT", COMPONENT_PATH, mapping.component()))
    steps.append(("PUT", TEMPLATE_PATH, _wanted(config, pipeline=True)))
    return [administration.shown(*step) for step in steps]


def _wanted(config: settings.Elasticsearch, *, pipeline: bool) -> dict[str, Any]:
    return mapping.template(
        config.retention,
        lifecycle=config.lifecycle == "stream",
        index={
            **({"final_pipeline": lifecycle.NAME} if pipeline else {}),
            **({"lifecycle": {"name": lifecycle.NAME}} if config.lifecycle == "policy" else {}),
        },
        failure_store=config.failure_store,
    )


class _Installer:
    """One installation: keeps what the server turned out to lack."""

    def __init__(self, config: settings.Elasticsearch, client: administration.Administration) -> None:
        self._config = config
        self._client = client
        self._done: list[str] = []
        self._left_out: list[str] = []

    async def run(self) -> list[str]:
        """Install; the report."""
        pipeline = await self._pipeline()
        if self._config.lifecycle == "policy":
            await self._policy()
        await self._component()
        await self._template(_wanted(self._config, pipeline=pipeline))
        return self._done + self._left_out

    async def _pipeline(self) -> bool:
        """What notes when a line arrived; whether the server can."""
        status, body = await self._put(lifecycle.PIPELINE_PATH, lifecycle.pipeline())
        if status == 400 and b"No processor type exists" in body:
            self._left_out.append("left out: this server has no `set` processor, so `event.ingested` is not written")
            return False
        if status != 200:
            raise administration.refused(f"ingest pipeline {lifecycle.NAME}", status, body)
        self._done.append(f"ingest pipeline {lifecycle.NAME}: installed, writes `event.ingested`")
        return True

    async def _policy(self) -> None:
        status, body = await self._put(lifecycle.POLICY_PATH, lifecycle.policy(self._config.retention))
        if status in (400, 404, 405) and b"no handler found" in body:
            text = "this server has no index lifecycle management; set `logs.elasticsearch.lifecycle: stream`"
            raise problems.PermanentError(f"lifecycle policy {lifecycle.NAME}: {text}", reason="rejected")
        if status != 200:
            raise administration.refused(f"lifecycle policy {lifecycle.NAME}", status, body)
        self._done.append(f"lifecycle policy {lifecycle.NAME}: installed")

    async def _component(self) -> None:
        missing: frozenset[str] = frozenset()
        for _ in range(_TRIES):
            status, body = await self._put(COMPONENT_PATH, mapping.component(missing))
            if status == 200:
                self._done.append(f"component template {mapping.COMPONENT}: installed")
                return
            lacks = _lacks(body.decode("utf-8", "replace"))
            if status != 400 or lacks in missing or lacks not in mapping.FALLBACKS:
                break
            missing |= {lacks}
            instead = mapping.FALLBACKS[lacks]["type"]
            self._left_out.append(f"left out: this server has no field type {lacks}; {instead} is used instead")
        raise administration.refused(f"component template {mapping.COMPONENT}", status, body)

    async def _template(self, wanted: dict[str, Any]) -> None:
        path = TEMPLATE_PATH
        status, body = await self._put(path, wanted)
        spare = dict(_SPARE)
        while status == 400 and (name := next((name for name, words in spare.items() if _names(body, words)), "")):
            del spare[name]
            if name == "optional":
                del wanted["ignore_missing_component_templates"]
                wanted["composed_of"] = [mapping.COMPONENT]
            if name == "settings":
                del wanted["template"]["settings"]["index"]["mapping"]
            else:
                wanted["template"].pop(name, None)
            self._left_out.append(f"left out: this server has no {_MEANING[name]}")
            status, body = await self._put(path, wanted)
        if status != 200:
            raise administration.refused(f"index template {mapping.TEMPLATE}", status, body)
        kept = "lifecycle" in wanted["template"] or (self._config.lifecycle == "policy" and self._config.retention)
        text = f", kept for {self._config.retention / 86400:g} days" if kept else ", kept for ever"
        self._done.append(
            f"index template {mapping.TEMPLATE}: installed for {mapping.PATTERN}, priority {mapping.PRIORITY}{text}"
        )

    async def _put(self, path: str, value: dict[str, Any]) -> tuple[int, bytes]:
        return await self._client.send("PUT", path, value)


def _lacks(answer: str) -> str:
    """The field type that an answer says the server does not have, as we use it; empty when it says something else."""
    if _NO_VALUE in answer:
        return "constant_keyword"
    found = _NO_TYPE.search(answer)
    return found[1] if found else ""


def _names(body: bytes, words: tuple[bytes, ...]) -> bool:
    """Whether an answer speaks of one of these words."""
    return any(word in body for word in words)
