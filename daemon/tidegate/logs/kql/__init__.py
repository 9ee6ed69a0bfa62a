"""KQL, the language people type into Kibana's search bar: parsed here, run in the stream and over an index.

Light to import: no client, no database.
"""

from __future__ import annotations

from tidegate.logs.kql import dsl, interpret, parser, tree

Tree = tree.Node


def parse(text: str) -> Tree:
    """The tree of a query; an empty text matches everything. Raises `QueryError` with the position."""
    return parser.parse(text)


def check(text: str) -> None:
    """Raise `QueryError` with the position when a text is no KQL, or has a condition that could never match."""
    dsl.clause(interpret.of(parser.parse(text)))
