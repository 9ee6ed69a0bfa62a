"""Lines like lines before: documents without parsing, for applications that write the same keys in the same order.

A shape is learned from one JSON line, bare or behind a container runtime's time: a line with marks in the places of its
values goes through parser and encoder, and where the marks come out is where values of further lines go, as the bytes
that they are. A value whose place depends on what it says is part of the shape, or makes the line go the long way. What a
shape gives is byte for byte what the long way gives; nothing here knows what a document looks like.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import re
from collections.abc import Callable
from typing import Any, Final

from tidegate.logs.formats import base, cri, json, levels

MOST: Final = 8
"""Shapes of one file."""
PATIENCE: Final = 32
"""Lines that went the long way before the first shape is learned: most files are quiet."""
TRIES: Final = 16
"""Shapes that are learned of a file whatever comes of them; further ones have to be earned."""
EARNED: Final = 1000
"""Lines that earn another try."""
MOST_VALUES: Final = 80
MOST_LEVELS: Final = 100
"""Words for levels that are remembered."""
LONGEST: Final = base.LONGEST_LABEL
CREATED: Final = "2003-07-11T05:23:17.481920Z"
"""Stands for the time of reading."""
OFFSET: Final = 7_290_000_000_000_000_001
"""Stands for where a line begins."""
_TIME = "2003-07-12T05:23:17.481920{:03}Z"
_TEXT = "zq{:03}shape"
_LEVEL = "ZQLevelOfShape"
"""Comes out in lower case where it is the level, and as it is where it is something else."""
_WHOLE = "730000000000{:03}"
_FRACTION = "730000{:03}.5"

_PATTERNS: Final = {
    (False, False): rb'"([^"\\\x00-\x1f]*+(?:\\["\\nrtbf][^"\\\x00-\x1f]*+)*+)"',
    (True, False): rb'"((?!")[^"\\\x00-\x1f]*+(?:\\["\\nrtbf][^"\\\x00-\x1f]*+)*+)"',
    (False, True): rb'"([^"\\\x00-\x1f]*+)"',
    (True, True): rb'"([^"\\\x00-\x1f]++)"',
}
"""Texts, by whether they are not empty, and without escapes; else with those that our encoder writes, too."""
_WHOLES: Final = rb"(0|-?[1-9]\d{0,17})"
_FRACTIONS: Final = rb"(-?(?:0|[1-9]\d{0,8})\.(?:0|\d{0,3}[1-9]))"
"""Of those that are written back as they were."""
_LEVELS: Final = rb'"([A-Za-z]{1,24})"'
_PREFIX = re.compile(cri.UTC_TIME + rb" (?:stdout|stderr) F ")
_VALUE = re.compile(rb'"(?P<text>[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*)"|(?P<number>-?\d[\d.eE+-]*)|true|false|null')
_KEY = re.compile(rb'"([^"\\\x00-\x1f]{0,1024})"[ \t]*:[ \t]*')
_SPACE = re.compile(rb"[ \t]*")


class _UnfitError(Exception):
    """No shape can be learned from this line."""


@dataclasses.dataclass(slots=True)
class _Sample:
    """A line taken apart: a pattern for lines like it, and the same line with marks."""

    pattern: bytearray = dataclasses.field(default_factory=bytearray)
    marked: bytearray = dataclasses.field(default_factory=bytearray)
    marks: list[bytes] = dataclasses.field(default_factory=list)
    """One for each group of the pattern."""

    def literal(self, text: bytes) -> None:
        """Text that must be the same."""
        self.pattern += re.escape(text)
        self.marked += text

    def hole(self, pattern: bytes, mark: str, *, quoted: bool = False) -> None:
        """A value."""
        if len(self.marks) >= MOST_VALUES:
            raise _UnfitError
        text = mark.format(len(self.marks)).encode()
        self.pattern += pattern
        self.marked += b'"%b"' % text if quoted else text
        self.marks.append(text)


@dataclasses.dataclass(slots=True)
class _Shape:
    """What takes lines of one shape apart, and puts documents together."""

    match: Callable[[bytes], re.Match[bytes] | None]
    pick: Callable[[tuple[Any, ...]], Any]
    """From the groups, the offset and the level to what the template wants, in its order."""
    whole: bytes
    """The template, with a mark for the time of reading."""
    level: int = 0
    """The group that is the level's word, to be looked up behind the offset; 0 for none."""
    created: str = ""
    template: bytes = b""


class _Levels(dict[bytes, bytes]):
    """The level that a word means."""

    def __missing__(self, word: bytes) -> bytes:
        found = levels.word(word.decode()).encode()
        if len(self) < MOST_LEVELS:
            self[word] = found
        return found


Document = Callable[[bytes], bytes | None]
"""The long way: the document of one line at `OFFSET`, read at `CREATED`; None when it is not just one document."""


class Shapes:
    """The shapes of one file."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._shapes: list[_Shape] = []
        self._missed = 0
        self._tries = 0
        self._hits = 0
        self._created = ""
        self._created_bytes = b""
        self._levels = _Levels()

    def created(self, at: str) -> None:
        """Set the time of reading, for the documents to come (ISO 8601)."""
        self._created, self._created_bytes = at, at.encode()

    def taker(self) -> Callable[[bytes, int], bytes | None]:
        """What makes the document of a line from the line and its offset, or None; for the lines of one block.

        What is met most is at hand there: looking it up again for each line would take a tenth of the time.
        """
        if not self._shapes:
            return self._body
        first, others, words = self._shapes[0], self._body, self._levels
        match, pick, level, template = first.match, first.pick, first.level, self._template(first)

        def body(raw: bytes, offset: int) -> bytes | None:
            found = match(raw)
            if found is None or not raw.isascii():
                return others(raw, offset)
            more = (offset, words[found[level]]) if level else (offset,)
            made: bytes = template % pick(found.groups() + more)
            return made

        return body

    def took(self, lines: int) -> None:
        """So many lines had a shape."""
        self._hits += lines

    def _body(self, raw: bytes, offset: int) -> bytes | None:
        """The document of a line by any shape."""
        found = None
        for shape in self._shapes:
            found = shape.match(raw)
            if found is not None:
                break
        if found is None or not (raw.isascii() or _is_text(raw)):
            return None
        if shape is not self._shapes[0]:
            self._advance(shape)
        more = (offset, self._levels[found[shape.level]]) if shape.level else (offset,)
        made: bytes = self._template(shape) % shape.pick(found.groups() + more)
        return made

    def _template(self, shape: _Shape) -> bytes:
        """The template of a shape, with the time of reading."""
        if shape.created != self._created:
            shape.template = shape.whole.replace(CREATED.encode(), self._created_bytes)
            shape.created = self._created
        return shape.template

    def missed(self, raw: bytes) -> None:
        """A line went the long way: learn its shape when that is worth it."""
        self._missed += 1
        if self._missed < PATIENCE or self._tries >= TRIES + self._hits // EARNED or len(raw) > LONGEST:
            return
        if not raw.rstrip(b"\r").endswith(b"}") or any(shape.match(raw) for shape in self._shapes):
            return
        self._tries += 1
        made = learned(raw, self._document)
        if made is not None:
            self._shapes[MOST - 1 :] = [made]

    def _advance(self, shape: _Shape) -> None:
        """What is met often is tried first."""
        place = self._shapes.index(shape)
        self._shapes[place - 1 : place + 1] = shape, self._shapes[place - 1]


def learned(raw: bytes, document: Document) -> _Shape | None:
    """The shape of a line; None when it has none."""
    try:
        sample = _sample(raw)
    except _UnfitError:
        return None
    if any(mark in raw for mark in (*sample.marks, _LEVEL.lower().encode(), b"%d" % OFFSET, CREATED.encode())):
        return None
    body = document(bytes(sample.marked))
    return _shape(sample, body) if body is not None else None


def _shape(sample: _Sample, body: bytes) -> _Shape | None:
    """Where the marks came out."""
    offset = b"%d" % OFFSET
    marks, level = [*sample.marks, offset], 0
    if _LEVEL.encode() in marks and _LEVEL.lower().encode() in body:
        level = marks.index(_LEVEL.encode()) + 1
        marks.append(_LEVEL.lower().encode())
    if any(body.count(mark) > 1 for mark in marks) or offset not in body:
        return None
    places = sorted((place, number) for number, mark in enumerate(marks) if (place := body.find(mark)) >= 0)
    template, end = b"", 0
    for place, number in places:
        template += body[end:place].replace(b"%", b"%%") + (b"%d" if marks[number] is offset else b"%b")
        end = place + len(marks[number])
    template += body[end:].replace(b"%", b"%%")
    pick = operator.itemgetter(*(number for _, number in places))
    return _Shape(re.compile(bytes(sample.pattern) + rb"\r?").fullmatch, pick, template, level)


def _sample(raw: bytes) -> _Sample:
    """A line taken apart. Raises `_UnfitError`."""
    sample, at = _Sample(), 0
    if prefix := _PREFIX.match(raw):
        time = raw.index(b" ")
        sample.hole(b"(" + cri.UTC_TIME + b")", _TIME)
        sample.literal(raw[time : prefix.end()])
        at = prefix.end()
    if raw[at : at + 1] != b"{" or raw.startswith(b'{"log":', at):  # Docker's, where the value is a line itself
        raise _UnfitError
    end = _object(sample, raw, at, ())
    if raw[end:] not in (b"", b"\r"):
        raise _UnfitError
    return sample


def _object(sample: _Sample, raw: bytes, at: int, path: tuple[str, ...]) -> int:
    """One object from its brace on; where it ends."""
    sample.literal(b"{")
    at += 1
    for number in itertools.count():
        at = _spaces(sample, raw, at)
        key = _KEY.match(raw, at)
        if key is None:
            if number or raw[at : at + 1] != b"}":
                raise _UnfitError
            break
        sample.literal(key[0])
        at = _spaces(sample, raw, _value(sample, raw, key.end(), (*path, _text(key[1]))))
        if raw[at : at + 1] != b",":
            break
        sample.literal(b",")
        at += 1
    if raw[at : at + 1] != b"}":
        raise _UnfitError
    sample.literal(b"}")
    return at + 1


def _value(sample: _Sample, raw: bytes, at: int, path: tuple[str, ...]) -> int:
    """One value; where it ends."""
    if raw[at : at + 1] == b"{":
        return _object(sample, raw, at, path)
    found = _VALUE.match(raw, at)
    if found is None:
        raise _UnfitError
    bound = json.bound(path)
    if bound == "level" and re.fullmatch(_LEVELS, found[0]) and _LEVEL.encode() not in sample.marks:
        sample.hole(_LEVELS, _LEVEL, quoted=True)
    elif bound == "level" or found.lastgroup is None:
        sample.literal(found[0])
    elif found.lastgroup == "text":
        _text_hole(sample, found, bound, nested=len(path) > 1)
    elif bound not in ("", "filled", "plain", "whole"):
        raise _UnfitError
    elif re.fullmatch(_WHOLES, found[0]):
        sample.hole(_WHOLES, _WHOLE)
    elif bound != "whole" and re.fullmatch(_FRACTIONS, found[0]):
        sample.hole(_FRACTIONS, _FRACTION)
    else:
        raise _UnfitError
    return found.end()


def _text_hole(sample: _Sample, found: re.Match[bytes], bound: str, *, nested: bool) -> None:
    if bound == "time" and re.fullmatch(b'"' + cri.UTC_TIME + b'"', found[0]):
        sample.hole(b'"(' + cri.UTC_TIME + b')"', _TIME, quoted=True)
        return
    if bound in ("time", "whole", "never"):
        raise _UnfitError
    plain = nested or bound == "plain"  # an object that is too deep becomes a text itself
    filled = bool(bound)
    pattern = _PATTERNS[filled, plain]
    if not re.fullmatch(pattern, found[0]):
        raise _UnfitError
    sample.hole(pattern, _TEXT, quoted=True)


def _spaces(sample: _Sample, raw: bytes, at: int) -> int:
    found = _SPACE.match(raw, at)
    if found is None:
        return at
    sample.literal(found[0])
    return found.end()


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise _UnfitError from None


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
