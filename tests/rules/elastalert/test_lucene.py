"""Lucene's query syntax becomes KQL that Lucene would find the same lines with; what KQL cannot say is refused."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from tidegate.logs import kql
from tidegate.logs.kql import matcher
from tidegate.rules.elastalert import lucene


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""),
        ("*", ""),
        ("level:error", 'level:"error"'),
        ("level:error AND service:shop", 'level:"error" and service:"shop"'),
        ("level:error && !service:shop", 'level:"error" and not (service:"shop")'),
        ("level:error service:shop", 'level:"error" or service:"shop"'),
        ("+level:error -service:shop host:a", 'level:"error" and not (service:"shop")'),
        ("level:(error OR fatal) AND host:a*", '(level:"error" or level:"fatal") and host:a*'),
        ("a:1 OR b:2 AND c:3", 'b:"2" and c:"3"'),
        ('message:"no bank"^2', 'message:"no bank"'),
        ("event.severity:[500 TO 599}", "event.severity >= 500 and event.severity < 599"),
        ("event.severity:>=500", "event.severity >= 500"),
        ("time:[2024-01-01 TO *]", 'time >= "2024-01-01"'),
        ("_exists_:user.name", "user.name:*"),
        ("path:C\\:\\\\x", 'path:"C:\\\\x"'),
        ("a:x\\*y*", "a:x\\*y*"),
        ("level.keyword:error", 'level:"error"'),
        ("NOT level:debug", 'not (level:"debug")'),
        ("refused", '"refused"'),
    ],
)
def test_it_is_said_in_kql(text: str, wanted: str) -> None:
    assert lucene.kql(text) == wanted
    kql.check(wanted)


def test_words_are_looked_for_in_the_fields_that_the_query_names() -> None:
    assert lucene.kql("x", ["a", "b"]) == 'a:"x" or b:"x"'
    assert lucene.kql("x y", ["a"], strict=True) == 'a:"x" and a:"y"'
    assert lucene.kql("x OR y", ["a"], strict=True) == 'a:"x" or a:"y"'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a:/x+/", "regular expression"),
        ("a:x~2", "fuzziness"),
        ('a:"x y"~3', "distance"),
        ("a:x?y", "one character"),
        ("(a:x", "not closed"),
        ("a:x)", "not expected"),
        ("a:", "too early"),
        ("[1 TO 2]", "needs a field"),
        ("a:x AND", "too early"),
        ("()", "no condition"),
        ("{", "cannot be read"),
    ],
)
def test_what_cannot_be_said_is_refused(text: str, says: str) -> None:
    with pytest.raises(lucene.LuceneError, match=says):
        lucene.kql(text)


TERMS = ("a", "b", "c")


class Classic:
    """What Lucene's classic parser does with terms in a row, written down a second time: clauses with must, should, not."""

    def __init__(self, parts: list[tuple[str, str, str]]) -> None:
        self.clauses: list[list[Any]] = []
        for place, (join, mark, term) in enumerate(parts):
            if place and join == "AND" and not self.clauses[-1][1]:
                self.clauses[-1][0] = True
            self.clauses.append([mark == "+" or (bool(place) and join == "AND" and mark != "-"), mark == "-", term])

    def finds(self, there: frozenset[str]) -> bool:
        must = [term in there for required, forbidden, term in self.clauses if required and not forbidden]
        should = [term in there for required, forbidden, term in self.clauses if not required and not forbidden]
        wanted = all(must) if must else (any(should) if should else True)
        return wanted and not any(term in there for _, forbidden, term in self.clauses if forbidden)


PARTS = st.tuples(st.sampled_from(["", "AND", "OR"]), st.sampled_from(["", "+", "-"]), st.sampled_from(TERMS))


@hypothesis.given(st.lists(PARTS, min_size=1, max_size=5))
def test_joins_are_those_of_the_classic_parser(parts: list[tuple[str, str, str]]) -> None:
    words = [f"{join if place else ''} {mark}labels.{term}:1" for place, (join, mark, term) in enumerate(parts)]
    matches = matcher.compile(kql.parse(lucene.kql(" ".join(words))))
    classic = Classic(parts)
    for number in range(len(TERMS) + 1):
        for there in itertools.combinations(TERMS, number):
            document = {"labels": dict.fromkeys(there, "1")}
            assert matches(document) == classic.finds(frozenset(there)), (words, there)
