"""Judges KQL queries: `python -m tests.conformance.kql FILE...`.

A file holds JSON lines with a `query` each; `"shouldParse": false` in a line wants it refused. Each query is parsed, written
out and parsed again, and compiled both ways: into Query DSL and into a matcher, which is run. Prints `passed N of M`, and
each query that we judge otherwise with the position.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence

import orjson

from tidegate.logs import kql
from tidegate.logs.kql import dsl, matcher, tree
from tidegate.model import problems


@dataclasses.dataclass(frozen=True)
class Case:
    """One query."""

    place: str
    query: str
    wanted: bool
    error: str
    """What we say against it; empty when we accept it."""
    position: int = -1

    @property
    def passed(self) -> bool:
        """Whether we judge as the line wants."""
        return self.wanted == (not self.error)

    def __str__(self) -> str:
        said = self.error or "accepted"
        return (
            f"FAILED {self.place}\n  {self.query}\n  {' ' * max(self.position, 0)}^ {said} (position {self.position})"
        )


def judge(place: str, query: str, *, wanted: bool = True) -> Case:
    """Judge one query."""
    try:
        node = kql.parse(query)
        if kql.parse(tree.text(node)) != node:
            return Case(place, query, wanted, f"is another query when written out: {tree.text(node)}")
        orjson.dumps(dsl.compile(node))
        matcher.compile(node)({"message": "connection refused", "log": {"level": "error"}})
    except problems.QueryError as error:
        return Case(place, query, wanted, str(error), error.position)
    return Case(place, query, wanted, "")


def run(path: pathlib.Path) -> list[Case]:
    """Judge each line of a file."""
    found = []
    for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
        if line.strip():
            given = json.loads(line)
            found.append(judge(f"{path.name}:{number}", given["query"], wanted=given.get("shouldParse", True)))
    return found


def main(args: Sequence[str]) -> int:
    """Judge all files given; 0 when each query is judged as its line wants."""
    if not args:
        print(__doc__)
        return 2
    results = [case for arg in args for case in run(pathlib.Path(arg))]
    for case in results:
        if not case.passed:
            print(case)
    passed = sum(case.passed for case in results)
    print(f"passed {passed} of {len(results)}")
    return 0 if results and passed == len(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
