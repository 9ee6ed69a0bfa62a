"""The contract of every place that log lines can go to.

A batch is either stored, each document once, or refused document by document; until then the reader's checkpoint stays
where it is. Outputs never drop: what they cannot store they return, with a reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import orjson

Value = TypeVar("Value", str, bytes)


@dataclasses.dataclass(slots=True)
class Batch:
    """Documents on their way, in order of reading."""

    streams: Sequence[str]
    """For each document its data stream, `logs-<dataset>-<namespace>`."""
    ids: Sequence[str]
    """For each document its `_id`: file identity and offset, so that a second try is the same document."""
    bodies: Sequence[bytes]
    """For each document its ECS JSON, on one line, without the newline."""
    _documents: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.bodies)

    def some(self, values: Sequence[Value], indexes: Sequence[int]) -> Sequence[Value]:
        """Those of `streams`, `ids` or `bodies` that belong to some documents."""
        return values if len(indexes) == len(self.bodies) else [values[index] for index in indexes]

    def document(self, number: int) -> dict[str, Any]:
        """One document as an object."""
        if self._documents is not None:
            return self._documents[number]
        found: dict[str, Any] = orjson.loads(self.bodies[number])
        return found

    def part(self, start: int, end: int) -> Part:
        """Some of its documents."""
        return Part(self, start, self.bodies[start:end])

    def documents(self) -> list[dict[str, Any]]:
        """The documents as objects, parsed at the first call only."""
        if self._documents is None:
            self._documents = [orjson.loads(body) for body in self.bodies]
        return self._documents


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """Some documents of a batch; a `ports.LogLines`."""

    batch: Batch
    start: int
    bodies: Sequence[bytes]

    def document(self, number: int) -> dict[str, Any]:
        """One document as an object."""
        return self.batch.document(self.start + number)


@dataclasses.dataclass(frozen=True, slots=True)
class Rejected:
    """A document that can never be stored as it is."""

    index: int
    """Its place in the batch."""
    status: int
    reason: str
    output: str = ""
    """Which output refused it; known where there are several."""


class Output(Protocol):
    """One place that lines go to."""

    @property
    def name(self) -> str:
        """For metrics and the page, e.g. `elasticsearch`."""

    @property
    def error(self) -> str:
        """What is wrong right now (retrying); empty when nothing is."""

    async def send(self, batch: Batch) -> Sequence[Rejected]:
        """Return when every document is durably stored or refused for good. Retries by itself, for as long as it takes.

        A document that is already there (same `_id`) counts as stored. May be cancelled: the caller sends the batch again.
        """

    async def close(self) -> None:
        """Let go of connections and files."""
