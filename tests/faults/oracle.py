"""The generator and the oracle: numbered lines are written, and each must be stored once, and no other."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.faults import table

SEQ = re.compile(r"seq=([\w.\-]+)")
_TEXTS = {
    "plain": "INFO x seq={}\n",
    "json": '{{"msg":"seq={}","level":"info"}}\n',
    "wide": "INFO x seq={} " + "y" * 1000 + "\n",
    "cri": "2026-01-02T03:04:05.1Z stdout F INFO x seq={}\n",
}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of the lines of one case."""

    lost: int
    doubled_sent: int
    doubled_stored: int
    strangers: int


class Oracle:
    """Knows what was written, and judges what is stored."""

    keeps = False
    """Whether `documents` gives the same objects each time."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.written: set[str] = set()
        self._read: dict[int, tuple[Mapping[str, Any], list[str]]] = {}

    def write(self, name: str, numbers: Sequence[int] | range, *, form: str = "plain", prefix: str = "") -> int:
        """Append numbered lines to a file of the folder; how many bytes that were."""
        names = [f"{prefix or name}-{number}" for number in numbers]
        self.written.update(names)
        text = "".join(_TEXTS[form].format(each) for each in names)
        with (self.folder / name).open("a") as file:
            file.write(text)
        return len(text)

    def documents(self) -> Iterable[Mapping[str, Any]]:
        """Every stored document, doubles included."""
        raise NotImplementedError

    def doubled_sent(self) -> int:
        """How many documents were sent more than once."""
        return 0

    def names(self) -> collections.Counter[str]:
        """How often each numbered line is stored."""
        found: collections.Counter[str] = collections.Counter()
        for document in self.documents():
            found.update(self._known(document) if self.keeps else _names(document))
        return found

    def _known(self, document: Mapping[str, Any]) -> list[str]:
        """The names in a document, looked for once; with the document, so that no other one gets its address."""
        if id(document) not in self._read:
            self._read[id(document)] = document, _names(document)
        return self._read[id(document)][1]

    def verdict(self) -> Verdict:
        """Lost, doubled and foreign lines."""
        names = self.names()
        return Verdict(
            lost=len(self.written - names.keys()),
            doubled_sent=self.doubled_sent(),
            doubled_stored=sum(count - 1 for count in names.values()),
            strangers=len(names.keys() - self.written),
        )

    def judge(
        self, case: str, counted: int, by: str, *, lost: int = 0, doubled: int = 0, server: str = table.FAKE
    ) -> None:
        """Give the row of a case; what is lost or doubled beyond what was foreseen, or not counted, fails it."""
        found = self.verdict()
        by = by if counted else ""
        table.add(table.Row(case, found.lost, found.doubled_sent, found.doubled_stored, counted, by, server))
        assert (found.lost, found.doubled_stored, found.strangers) == (lost, doubled, 0)
        assert counted or not (lost or doubled)


def _names(document: Mapping[str, Any]) -> list[str]:
    texts = [document["message"].replace("\0", ""), document.get("error", {}).get("stack_trace", "")]
    return [match for text in texts for match in SEQ.findall(text)]
