"""Redaction of documents before they go anywhere: one look over all of a step's bytes, and work only where it finds something.

What leaves the node is documents, so documents are what is redacted: whatever wrapped, cut, escaped or structured the line,
its parts are whole here. A secret becomes `[redacted:NAME]`; in a field that is no text, the field becomes a label.
"""

from __future__ import annotations

import bisect
import collections
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import re2

from tidegate.logs.ecs import types
from tidegate.logs.process import rules
from tidegate.model import settings

_OURS = frozenset({"@timestamp", "host", "data_stream", "ecs", "container", "kubernetes"})
_OUR_FIELDS = frozenset({"log.offset", "log.file", "log.flags", "log.iostream", "event.dataset", "event.created"})
"""What we write ourselves, and no line can change."""
_KEY_LINES = 200
"""A private key has at most so many lines."""
_KEY = "private-key"
_BEGIN, _END = "-----BEGIN ", "-----END "
_KEY_LINE = re2.compile(r"\s*(?:[A-Za-z0-9+/=]{1,100}|(?:Proc-Type|DEK-Info): .{0,100})?\s*")
_REST_OF_KEY = re2.compile(rb'\{"@timestamp":"[^"]*","message":"[A-Za-z0-9+/]{40,76}={0,2}"')
_TEXTS = frozenset({"keyword", "text"})


class Redactor:
    """The redaction of one file; remembers between lines that it is inside of a private key."""

    def __init__(self, found: Sequence[rules.Rule]) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        """Replacements by rule, since somebody took them."""
        self._rules = tuple(found)
        self._prefilter = rules.prefilter(found)
        self._apart = any(rule.apart for rule in found)
        self._own = any(rule.own for rule in found)
        self._names = re2.compile(rules.NAME) if any(rule.name == "password" for rule in found) else None
        self._keys = any(rule.name == _KEY for rule in found)
        self._inside: dict[str, int] = {}
        """For each stream of the container, how many lines of a key may still come."""
        self._fresh = self._keys

    def bodies(self, bodies: list[bytes]) -> list[bytes]:
        """The documents, with what is secret replaced."""
        if self._fresh and bodies:
            self._resume(bodies)
        block = b"\n".join(bodies)
        suspects: Sequence[int] = range(len(bodies)) if self._apart else self._suspects(block, bodies)
        if (
            self._own and not self._apart and b"\\" in block
        ):  # an escape can hide what a pattern of the user's looks for
            suspects = [*suspects, *(number for number, body in enumerate(bodies) if b"\\" in body)]
        if not self._inside and not suspects:
            return bodies
        return self._redacted(bodies, suspects)

    def take(self) -> dict[str, int]:
        """The counts since the last call."""
        counts, self.counts = dict(self.counts), collections.Counter()
        return counts

    def _suspects(self, block: bytes, bodies: list[bytes]) -> list[int]:
        """The documents in which the prefilter finds something."""
        search, found = self._prefilter.search, []
        match = search(block)
        ends = list(itertools.accumulate(len(body) + 1 for body in bodies)) if match else []
        while match is not None:
            number = bisect.bisect_right(ends, match.start())
            found.append(number)
            if number + 1 == len(bodies):
                break
            match = search(block, ends[number])
        return found

    def _redacted(self, bodies: list[bytes], suspects: Sequence[int]) -> list[bytes]:
        """The documents; inside of a private key all are looked at, since its lines are no secrets by themselves."""
        out = list(bodies)
        wanted = set(suspects)
        for number, body in enumerate(bodies):
            if number in wanted or self._inside:
                out[number] = self._body(body)
        return out

    def _resume(self, bodies: list[bytes]) -> None:
        """The first lines of all may be the rest of a key whose beginning was read before a restart."""
        self._fresh = False
        if _REST_OF_KEY.match(bodies[0]):
            stream = orjson.loads(bodies[0])["log"].get("iostream", "")
            self._inside[stream] = _KEY_LINES

    def _body(self, body: bytes) -> bytes:
        document = orjson.loads(body)
        before = sum(self.counts.values())
        if self._keys:
            self._key_lines(document)
        labels = document.get("labels")
        if labels:
            document["labels"] = self._labels(labels)
        for name in [name for name in document if name not in _OURS and name != "labels"]:
            self._member(document, document, name, name)
        return orjson.dumps(document) if sum(self.counts.values()) != before else body

    # --- keys over several lines --------------------------------------------------------------------------------

    def _key_lines(self, document: dict[str, Any]) -> None:
        """Replace the lines of a key; they are documents of their own."""
        stream = document["log"].get("iostream", "")
        text = document["message"]
        left = self._inside.get(stream, 0)
        if left:
            self._inside[stream] = left - 1
            before, end, after = text.partition(_END)
            if end:
                document["message"] = self._mark(_KEY) + after.rpartition("-----")[2]
                text = document["message"]
            elif _KEY_LINE.fullmatch(before):
                document["message"] = self._mark(_KEY)
            if end or left == 1:
                del self._inside[stream]
        if "PRIVATE KEY" in text and text.rfind(_BEGIN) > text.rfind(_END):
            self._inside[stream] = _KEY_LINES

    # --- values -------------------------------------------------------------------------------------------------

    def _member(self, document: dict[str, Any], node: dict[str, Any], key: str, path: str) -> None:
        """Redact one member of an object; a field that is no text any more becomes a label."""
        value = node[key]
        if path in _OUR_FIELDS:
            return
        if isinstance(value, dict):
            for inner in list(value):
                self._member(document, value, inner, f"{path}.{inner}")
            return
        clean = self._named(path, value)
        if clean == value:
            return
        if types.table().get(path, "keyword") in _TEXTS:
            node[key] = clean
            return
        del node[key]
        labels = document.setdefault("labels", {})
        name = path.replace(".", "_")
        while name in labels:
            name += "_"
        labels[name] = clean if isinstance(clean, str) else orjson.dumps(clean).decode()

    def _named(self, name: str, value: Any) -> Any:
        """A value, by its field's name and its text."""
        if isinstance(value, list):
            return [self._named(name, one) for one in value]
        if isinstance(value, bool) or value is None:
            return value
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        if text and self._names is not None and self._names.search(name):
            return self._mark("password")
        clean = self._text(text)
        return value if clean == text else clean

    def _labels(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Labels, and their names: those come from the line too."""
        out: dict[str, Any] = {}
        for name, value in labels.items():
            shown = self._name(name)
            while shown in out:
                shown += "_"
            out[shown] = self._named(name, value)
        return out

    def _name(self, name: str) -> str:
        """The name of a label; a dot of what it was made from is a `_` now."""
        clean = self._text(name)
        for rule in self._rules:
            if rule.names is not None and rule.names.search(clean) is not None:
                clean = rule.names.sub(self._mark(rule.name), clean)
        return clean.replace(".", "_")

    def _text(self, text: str) -> str:
        if not self._apart and self._prefilter.search(text.encode()) is None:
            return text
        for rule in self._rules:
            if rule.pattern.search(text) is not None:
                text = self._replaced(rule, text)
        return text

    def _replaced(self, rule: rules.Rule, text: str) -> str:
        parts: list[str] = []
        at = 0
        for start, end in _spans(rule, text):
            parts += (text[at:start], self._mark(rule.name))
            at = end
        return "".join((*parts, text[at:]))

    def _mark(self, name: str) -> str:
        self.counts[name] += 1
        return f"[redacted:{name}]"


def _spans(rule: rules.Rule, text: str) -> Iterator[tuple[int, int]]:
    """What a rule replaces in a text."""
    group = 0 if rule.own else rule.pattern.groupindex.get(rules.VALUE, 0)
    for match in rule.pattern.finditer(text):
        start, end = match.span(group)
        if rule.proof is None:
            yield start, end
        else:
            yield from ((start + low, start + high) for low, high in rule.proof(text[start:end]))


def of(input_: settings.LogInput) -> Redactor | None:
    """What an input's settings ask for; None when that is nothing. Raises `QueryError`."""
    found = [rule for name in dict.fromkeys(input_.redact) for rule in rules.built_in(name)]
    found += [rules.own(name, pattern) for name, pattern in input_.redact_patterns.items()]
    return Redactor(found) if found else None
