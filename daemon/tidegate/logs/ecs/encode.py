"""Lines to ECS documents, as bytes. What is the same for all lines of a file is serialised once.

The document is put together from byte strings, and only the parts that change are escaped (orjson). Field names and types
follow ECS 8.17; `kubernetes.*` is Elastic's own naming. Unknown names of the application live under `labels`.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import orjson

from tidegate.logs.formats import base
from tidegate.model import settings

ECS_VERSION = "8.17.0"
_CONTAINERS = re.compile(r".*/(?P<pod>[^_/]+)_(?P<namespace>[^_/]+)_(?P<container>.+)-(?P<id>[0-9a-f]{64})\.log\Z")
_PODS = re.compile(r".*/pods/(?P<namespace>[^_/]+)_(?P<pod>[^_/]+)_(?P<uid>[^_/]+)/(?P<container>[^/]+)/[^/]+\Z")
_DOCKER = re.compile(r".*/containers/(?P<id>[0-9a-f]{64})/[^/]+\Z")
_TRUNCATED = b',"flags":["truncated"]'
_ALONE = {"trace.id": b',"trace":{"id":', "span.id": b',"span":{"id":'}
"""Fields that are the only ones of their object."""


def container_of(path: str) -> dict[str, Any]:
    """ECS and Kubernetes fields that a container log's path tells: pod, namespace, container, ids; empty for other files."""
    if match := _CONTAINERS.match(path) or _PODS.match(path):
        parts = match.groupdict()
        pod = {"name": parts["pod"]}
        if "uid" in parts:
            pod["uid"] = parts["uid"]
        container = {"name": parts["container"]}
        if "id" in parts:
            container["id"] = parts["id"]
        kubernetes = {"pod": pod, "namespace": parts["namespace"], "container": {"name": parts["container"]}}
        return {"container": container, "kubernetes": kubernetes}
    if match := _DOCKER.match(path):
        return {"container": {"id": match["id"]}}
    return {}


@dataclasses.dataclass(frozen=True, slots=True)
class Static:
    """What is the same for all lines of a file."""

    path: str
    host: str
    dataset: str
    namespace: str
    service: dict[str, str]
    labels: dict[str, str]
    origin: dict[str, Any]

    @classmethod
    def of(cls, input_: settings.LogInput, path: str, host: str) -> Static:
        """From an input's settings and a path."""
        origin = container_of(path)
        named = {"name": input_.service, "version": input_.version, "environment": input_.environment}
        service = {name: text for name, text in named.items() if text}
        if "name" not in service and "kubernetes" in origin:
            service["name"] = origin["kubernetes"]["container"]["name"]
        labels = {name.replace(".", "_"): text for name, text in input_.labels.items()}
        return cls(path, host, input_.dataset, input_.namespace, service, labels, origin)

    @property
    def stream(self) -> str:
        """The data stream."""
        return f"logs-{self.dataset}-{self.namespace}"


class Encoder:
    """Writes the documents of one file."""

    def __init__(self, static: Static) -> None:
        self._static = static
        self._path = b',"file":' + orjson.dumps({"path": static.path})
        self._service = _member("service", static.service)
        self._labels = _member("labels", static.labels)
        rest = {
            "host": {"name": static.host},
            "data_stream": {"type": "logs", "dataset": static.dataset, "namespace": static.namespace},
            "ecs": {"version": ECS_VERSION},
            **static.origin,
        }
        self._end = b"," + orjson.dumps(rest)[1:]
        self._event = b',"event":{"dataset":' + orjson.dumps(static.dataset) + b',"created":"'
        self._created_text = ""
        self._tail = b""
        self.created("")

    def created(self, at: str) -> None:
        """Set the time of reading, for the documents to come (ISO 8601)."""
        if at == self._created_text and self._tail:
            return
        self._created_text = at
        self._event_end = self._event + at.encode() + b'"}' + self._end
        self._tail = b"}" + self._service + self._labels + self._event_end

    def body(self, line: base.Line, offset: int, *, truncated: bool = False, stream: str = "") -> bytes:
        """One document on one line. `offset` is where the line begins in the file, in bytes."""
        if line.known is not None:
            return self._wide(line, offset, truncated=truncated, stream=stream)
        parts = [
            b'{"@timestamp":"',
            (line.time or self._created_text).encode(),
            b'","message":',
            orjson.dumps(line.message),
            b',"log":{"offset":',
            str(offset).encode(),
        ]
        if line.level:
            parts += (b',"level":"', line.level.encode(), b'"')
        parts.append(self._path)
        if truncated:
            parts.append(_TRUNCATED)
        if line.fields is None and line.labels is None and not stream:
            parts.append(self._tail)
        else:
            self._varying(parts, line, stream)
        return b"".join(parts)

    def _varying(self, parts: list[bytes], line: base.Line, stream: str) -> None:
        """The rest of a document that has fields or labels of its own."""
        fields = line.fields
        if fields is not None and (logger := fields.get("log.logger")):
            parts += (b',"logger":', orjson.dumps(logger))
        if stream:
            parts += (b',"iostream":"', stream.encode(), b'"')
        parts.append(b"}")
        if fields is None:
            parts.append(self._service)
        else:
            self._fields(parts, fields)
        if line.labels is None:
            parts.append(self._labels)
        else:
            merged = {**line.labels, **self._static.labels} if self._static.labels else line.labels
            parts += (b',"labels":', orjson.dumps(merged))
        parts.append(self._event_end)

    def _fields(self, parts: list[bytes], fields: dict[str, str]) -> None:
        """`service`, with what the line says of it, and the other objects that the line fills."""
        service: dict[str, str] | None = None
        groups: dict[str, dict[str, str]] = {}
        for name, text in fields.items():
            if name in _ALONE:
                parts += (_ALONE[name], orjson.dumps(text), b"}")
                continue
            group, _, leaf = name.partition(".")
            if group == "service":
                service = service or dict(self._static.service)
                service[leaf] = text
            elif group != "log":
                groups.setdefault(group, {})[leaf] = text
        parts.append(self._service if service is None else _member("service", service))
        parts.extend(_member(name, group) for name, group in groups.items())

    def _wide(self, line: base.Line, offset: int, *, truncated: bool, stream: str) -> bytes:
        """A document with fields of any name, put together as an object."""
        static = self._static
        log: dict[str, Any] = {"offset": offset, "file": {"path": static.path}}
        log |= {"level": line.level} if line.level else {}
        log |= {"flags": ["truncated"]} if truncated else {}
        log |= {"iostream": stream} if stream else {}
        event = {"dataset": static.dataset, "created": self._created_text}
        document: dict[str, Any] = {"@timestamp": line.time or self._created_text, "message": line.message, "log": log}
        document |= {"event": event, "service": dict(static.service)}
        for name, value in (*(line.known or {}).items(), *(line.fields or {}).items()):
            node = document
            *path, leaf = name.split(".")
            for step in path:
                node = node.setdefault(step, {})
            node[leaf] = value
        labels = {**(line.labels or {}), **static.labels}
        document |= {"labels": labels} if labels else {}
        if not document["service"]:
            del document["service"]
        return orjson.dumps(document)[:-1] + self._end


def _member(name: str, value: dict[str, str]) -> bytes:
    """`,"name":{...}`, or nothing for an empty value."""
    return b',"' + name.encode() + b'":' + orjson.dumps(value) if value else b""
