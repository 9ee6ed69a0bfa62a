"""What detectors know, on disk: one small file with a digest, replaced atomically.

A file that is torn or was changed by hand is set aside, and everything is learned anew: that is said, never guessed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

NAME: Final = "log-rules.json"
SCHEMA: Final = 1


def load(folder: pathlib.Path) -> tuple[dict[str, Any], str]:
    """The states by name, and what is wrong with the file when it could not be used; it is set aside then."""
    path = folder / NAME
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        told = orjson.loads(head)
        body = body.removesuffix(b"\n")
        if told["schema"] != SCHEMA:
            raise ValueError(f"it is of schema {told['schema']}")
        if told["digest"] != _digest(body):
            raise ValueError("its digest does not match: it was not written to the end, or changed")
        return dict(orjson.loads(body)), ""
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError, KeyError, TypeError) as error:
        with contextlib.suppress(OSError):
            path.replace(folder / f"{NAME}.bad")
        return {}, f"{path}: {error}"


def save(folder: pathlib.Path, states: Mapping[str, Any]) -> None:
    """Write the states. Raises `OSError`, with the old file in place."""
    body = orjson.dumps(states)
    head = orjson.dumps({"schema": SCHEMA, "digest": _digest(body)})
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{NAME}.new"
    with new.open("wb") as file:
        file.write(head + b"\n" + body + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / NAME)


def _digest(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=8).hexdigest()
