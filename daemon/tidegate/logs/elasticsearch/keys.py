"""API keys with no more rights than their use needs: one ships lines, one reads them. Made only when somebody asks.

A key is written to a file that only its owner may read, and is never shown or logged. Rights are those of
https://www.elastic.co/docs/deploy-manage/users-roles/cluster-or-deployment-auth/elasticsearch-privileges.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pathlib
from typing import Any, Final

import orjson

from tidegate.logs.elasticsearch import administration, connection, mapping, search
from tidegate.model import problems, settings

PATH: Final = "/_security/api_key"
RIGHTS: Final[dict[str, list[dict[str, Any]]]] = {
    "ship": [{"names": [mapping.PATTERN], "privileges": ["create_doc", "auto_configure"]}],
    "read": [{"names": [search.INDICES], "privileges": ["read", "view_index_metadata"]}],
}
"""What each key may do with which indices; nothing with the cluster."""


def bodies() -> dict[str, dict[str, Any]]:
    """The request for each key."""
    return {
        use: {"name": f"tidegate-{use}", "role_descriptors": {f"tidegate-{use}": {"cluster": [], "indices": rights}}}
        for use, rights in RIGHTS.items()
    }


async def make(
    config: settings.Elasticsearch, folder: pathlib.Path, *, node_class: connection.NodeClass | None = None
) -> list[str]:
    """Make both keys and write them to `<use>.key` in a folder; what was done, one line each.

    Raises `PermanentError` when a file is there already (then no key is made), or the server refuses; `TransientError`
    when it does not answer.
    """
    client = administration.Administration(config, node_class)
    try:
        return [await _one(client, use, body, folder / f"{use}.key") for use, body in bodies().items()]
    finally:
        await client.close()


async def _one(client: administration.Administration, use: str, body: dict[str, Any], path: pathlib.Path) -> str:
    fd = await asyncio.to_thread(_reserve, path)
    try:
        status, answer = await client.send("POST", PATH, body)
        os.write(fd, _encoded(use, status, answer))
    except BaseException:
        _forget(path)
        raise
    finally:
        os.close(fd)
    return f"API key tidegate-{use}: made, in {path}"


def _reserve(path: pathlib.Path) -> int:
    """A new file that only we may read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise problems.PermanentError(f"cannot make {path}: {error.strerror}", reason="file") from None


def _forget(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _encoded(use: str, status: int, answer: bytes) -> bytes:
    """The key as `logs.elasticsearch.api_key_file` wants it."""
    if status in (400, 404, 405) and b"no handler found" in answer:
        text = "this server has no API keys (OpenSearch has none): make a user whose role has the rights that --dry-run shows"
        raise problems.PermanentError(text, reason="rejected")
    if status != 200:
        raise administration.refused(f"API key tidegate-{use}", status, answer)
    return str(orjson.loads(answer)["encoded"]).encode()
