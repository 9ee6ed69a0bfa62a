"""Finds the templates of messages as they pass: a tree of fixed depth over masked words (Drain, He et al. 2017).

Lines of as many words and with the same first words meet in one leaf; there a line joins the template that it shares most
words with. Bounded: as many templates as `limit`, the one that was seen longest ago makes room; nodes and leaves are small.
A template is named by the first line that it was found in, so that its name stays when more lines join it.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from tidegate.logs.detect import masks

DEPTH: Final = 3
"""Words that choose the leaf."""
CHILDREN: Final = 64
"""Different words at one place of the tree, before further ones share a branch."""
ALIKE: Final = 100
"""Templates in one leaf, each of which a line is compared with; one more takes the room of the one seen longest ago."""

Leaf: TypeAlias = tuple[str, ...]


@dataclasses.dataclass(slots=True, eq=False)
class Template:
    """One template."""

    key: tuple[str, ...]
    """Which stream's it is."""
    name: str
    """Masked words of the first line."""
    words: list[str]
    """What its lines have in common, with masks for the rest."""
    leaf: Leaf


class Miner:
    """The templates of some streams of messages, each stream's apart from the others'."""

    def __init__(self, limit: int, similarity: float) -> None:
        self._limit, self._similarity = limit, similarity
        self._known: collections.OrderedDict[tuple[tuple[str, ...], str], Template] = collections.OrderedDict()
        self._leaves: dict[Leaf, list[Template]] = {}
        self._branches: dict[Leaf, collections.Counter[str]] = {}

    def find(self, key: tuple[str, ...], message: str) -> tuple[Template, Template | None]:
        """The template of a stream's message and, when it is new, the one that had to make room for it."""
        words = masks.words(message)
        name = " ".join(words)
        # One of this name may have another leaf by now: a branch was full once, or words were masked.
        found = self._known.get((key, name)) or self._closest(words, self._leaf(key, words))
        if found is not None:
            self._touch(found)
            _join(found, words)
            return found, None
        alike = self._leaves.get(self._leaf(key, words), [])
        gone = None
        if len(alike) >= ALIKE:
            gone = self._forget(alike[0])
        elif len(self._known) >= self._limit:
            gone = self._forget(next(iter(self)))
        return self.add(key, name, words), gone

    def add(self, key: tuple[str, ...], name: str, words: Sequence[str]) -> Template:
        """Know a template."""
        leaf = self._leaf(key, name.split(" "))
        made = Template(key, name, list(words), leaf)
        self._known[key, name] = made
        self._leaves.setdefault(leaf, []).append(made)
        for place in range(len(key) + 1, len(leaf)):
            self._branches.setdefault(leaf[:place], collections.Counter())[leaf[place]] += 1
        return made

    def __iter__(self) -> Iterator[Template]:
        """All of them, the one that was seen longest ago first."""
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def _leaf(self, key: tuple[str, ...], words: Sequence[str]) -> Leaf:
        """The way through the tree; a word that varies, or for which there is no branch left, takes the masks' branch."""
        path: Leaf = (*key, str(len(words)))
        for word in words[:DEPTH]:
            step = masks.MASK if masks.MASK in word else word
            known = self._branches.get(path)
            if known is not None and step not in known and len(known) >= CHILDREN:
                step = masks.MASK
            path = (*path, step)
        return path

    def _closest(self, words: Sequence[str], leaf: Leaf) -> Template | None:
        best, most = None, -1.0
        for one in self._leaves.get(leaf, ()):
            same = sum(a == b for a, b in zip(one.words, words, strict=True)) / len(words)
            if same > most:
                best, most = one, same
        return best if most >= self._similarity else None

    def _touch(self, one: Template) -> None:
        """It is the one seen last."""
        self._known.move_to_end((one.key, one.name))
        there = self._leaves[one.leaf]
        if there[-1] is not one:
            there.remove(one)
            there.append(one)

    def _forget(self, gone: Template) -> Template:
        del self._known[gone.key, gone.name]
        there = self._leaves[gone.leaf]
        there.remove(gone)
        if not there:
            del self._leaves[gone.leaf]
        for place in range(len(gone.key) + 1, len(gone.leaf)):
            branch = self._branches[gone.leaf[:place]]
            branch[gone.leaf[place]] -= 1
            if not branch[gone.leaf[place]]:
                del branch[gone.leaf[place]]
            if not branch:
                del self._branches[gone.leaf[:place]]
        return gone


def _join(template: Template, words: Sequence[str]) -> None:
    """Mask the words that the line does not share."""
    known = template.words
    for place, word in enumerate(words):
        if known[place] != word:
            known[place] = masks.MASK
