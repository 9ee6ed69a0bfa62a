"""YAML with positions, paid for only when something is wrong.

Values come from the C loader. Only when a problem has to be shown is the text composed a second time, to find the line
and column of a path such as `("groups", 0, "rules", 3, "expr")`. Duplicate keys are refused: the last would win in silence.
"""

from __future__ import annotations

import itertools
import pathlib
import re
from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

import yaml

from tidegate.model import problems

Path: TypeAlias = Sequence[str | int]


class WrittenInt(int):
    """A whole number that remembers how it was written: a text field wants `0x20` or `007` as it stands there."""

    written: str


class WrittenFloat(float):
    """A number that remembers how it was written: a text field wants `1.10` as it stands there."""

    written: str


class _Loader(yaml.CSafeLoader):
    """The safe loader, less its liking for the last of two equal keys, and with timestamps left as text.

    So are all truths but `true` and `false`: the label `page: yes` is `yes` in Prometheus. A switch understands the text.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    value: int = loader.construct_yaml_int(node)
    if str(value) == node.value:
        return value
    found = WrittenInt(value)
    found.written = node.value
    return found


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    value: float = loader.construct_yaml_float(node)
    if str(value) == node.value:
        return value
    found = WrittenFloat(value)
    found.written = node.value
    return found


_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_TEXT = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _TEXT]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])


class Document:
    """One YAML document: its value, and where each part of it was written."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.text = text
        self.moved: Sequence[tuple[Path, Path]] = ()
        """Paths by which parts are asked for, and those under which they were written."""
        self._root: yaml.Node | None = None
        try:
            self.value: Any = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
        except yaml.MarkedYAMLError as error:
            raise problems.ConfigError([_syntax(error, self)]) from None
        except yaml.YAMLError as error:
            raise problems.ConfigError([problems.Problem("yaml-syntax", str(error), file)]) from None

    def line(self, number: int) -> str:
        """A source line, counted from 1."""
        lines = self.text.splitlines()
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def problem(self, code: str, summary: str, path: Path, *, hint: str = "", key: bool = False) -> problems.Problem:
        """A problem at the value (or, with `key`, the key) under `path`; at the nearest parent when it is not there."""
        mark, length = self._mark(path, key=key)
        return problems.Problem(
            code, summary, self.file, mark.line + 1, mark.column + 1, length, self.line(mark.line + 1), hint
        )

    def position(self, path: Path) -> tuple[int, int]:
        """Line and column, from 1, of the value under `path`."""
        mark, _ = self._mark(path, key=False)
        return mark.line + 1, mark.column + 1

    def _written(self, path: Path) -> Path:
        for asked, written in self.moved:
            if tuple(path[: len(asked)]) == tuple(asked):
                return (*written, *path[len(asked) :])
        return path

    def _mark(self, path: Path, *, key: bool) -> tuple[yaml.Mark, int]:
        if self._root is None:
            self._root = yaml.compose(self.text, yaml.CSafeLoader)
        node, key_node = self._root, None
        for step in self._written(path):
            found = _child(node, step)
            if found is None:
                break
            key_node, node = found
        shown = key_node if key and key_node is not None else node
        if shown is None:
            return yaml.Mark(self.file, 0, 0, 0, None, 0), 1
        end = shown.end_mark.column if shown.end_mark.line == shown.start_mark.line else 0
        return shown.start_mark, max(end - shown.start_mark.column, 1)


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value in node.value:
            if key_node.value == str(step):
                return key_node, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def _syntax(error: yaml.MarkedYAMLError, document: Document) -> problems.Problem:
    mark = error.problem_mark or error.context_mark
    summary = error.problem or str(error)
    if mark is None:
        return problems.Problem("yaml-syntax", summary, document.file)
    return problems.Problem(
        "yaml-syntax", summary, document.file, mark.line + 1, mark.column + 1, 1, document.line(mark.line + 1)
    )


def read(path: pathlib.Path, shown: str = "") -> Document:
    """Read one file; `shown` is the name used in problems. Raises `ConfigError`."""
    name = shown or str(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise problems.ConfigError([problems.Problem("file-unreadable", f"cannot read: {reason}", name)]) from None
    return Document(text, name)


def read_all(path: pathlib.Path, shown: str = "") -> list[Document]:
    """Each document of a file, with positions as in the whole file. Raises `ConfigError`.

    `---` at the start of a line is always a border: inside a document, text is indented.
    """
    try:
        lines = path.read_text("utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError):
        lines = []
    starts = [number for number, line in enumerate(lines) if line.rstrip() == "---" or line.startswith("--- ")]
    if not starts or (not _written(lines[: starts[0]]) and len(starts) == 1):
        return [read(path, shown)]
    borders = [0, *starts, len(lines)]
    pieces = [(start, lines[start:end]) for start, end in itertools.pairwise(borders)]
    return [Document("\n" * start + "".join(piece), shown or str(path)) for start, piece in pieces if _written(piece)]


def _written(lines: Sequence[str]) -> bool:
    """Whether there is more than comments, blank lines and a border."""
    return any(line.strip() not in ("", "---") and not line.lstrip().startswith("#") for line in lines)
