"""Filters of ElastAlert2 become KQL; a clause that KQL cannot say is refused with its place."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from tidegate.logs import kql
from tidegate.logs.ecs import fields
from tidegate.logs.kql import matcher
from tidegate.rules.elastalert import querydsl, reading


def converted(text: str) -> str:
    return querydsl.filters(
        yaml.safe_load(text), querydsl.Where(("filter",), lambda name: fields.kind(fields.resolve(name)))
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[]", ""),
        ("[{match_all: {}}]", ""),
        ("[{term: {level: error}}]", 'level:"error"'),
        ("[{term: {level.keyword: {value: error}}}, {term: {up: true}}]", 'level:"error" and up:"true"'),
        ("[{terms: {level: [error, fatal]}}]", 'level:("error" or "fatal")'),
        ("[{match: {message: no bank}}]", 'message:("no" or "bank")'),
        ("[{match: {message: {query: no bank, operator: and}}}]", 'message:("no" and "bank")'),
        ("[{match: {service: the shop}}]", 'service:"the shop"'),
        ("[{match_phrase: {message: no bank}}]", 'message:"no bank"'),
        ("[{prefix: {service: sho}}]", "service:sho*"),
        ("[{wildcard: {service: {value: s*p}}}]", "service:s*p"),
        ("[{range: {http.response.status_code: {gte: 500, lt: 600}}}]",
         "http.response.status_code >= 500 and http.response.status_code < 600"),
        ("[{exists: {field: user.name}}]", "user.name:*"),
        ("[{query: {query_string: {query: 'level:error'}}}]", 'level:"error"'),
        ("[{query_string: {query: a b, default_field: service, default_operator: AND}}]", 'service:"a" and service:"b"'),
        ("[{bool: {must: [{term: {a: 1}}], must_not: {term: {b: 2}}, should: [{term: {c: 3}}]}}]",
         'a:"1" and not (b:"2")'),
        ("[{bool: {should: [{term: {a: 1}}, {term: {b: 2}}]}}]", 'a:"1" or b:"2"'),
        ("[{bool: {filter: {term: {c: 3}}, should: [{term: {a: 1}}, {term: {b: 2}}], minimum_should_match: 1}}]",
         'c:"3" and (a:"1" or b:"2")'),
        ("[{not: {term: {a: 1}}}, {or: [{term: {b: 2}}, {term: {c: 3}}]}]", 'not (a:"1") and (b:"2" or c:"3")'),
        ("[{multi_match: {query: none, fields: [message, service^2]}}]", 'message:"none" or service:"none"'),
        ('[{term: {a: ''x"y\\\\z''}}]'.replace("''", "'"), 'a:"x\\"y\\\\\\\\z"'),
    ],
)  # fmt: skip
def test_clauses(text: str, wanted: str) -> None:
    assert converted(text) == wanted
    kql.check(wanted)


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("[{term: {a: 1}}, {regexp: {a: x+}}]", (1, "regexp"), "regexp"),
        ("[{wildcard: {a: 'x?'}}]", (0, "wildcard"), "one character"),
        ("[{match: {message: {query: x, fuzziness: 1}}}]", (0, "match"), "fuzziness"),
        ("[{range: {a: {around: 1}}}]", (0, "range", "a", "around"), "around"),
        ("[{bool: {must: [{script: {}}]}}]", (0, "bool", "must", 0, "script"), "script"),
        (
            "[{bool: {should: [{term: {a: 1}}], minimum_should_match: 2}}]",
            (0, "bool", "minimum_should_match"),
            "minimum",
        ),
        ("[{query_string: {query: '('}}]", (0, "query_string", "query"), "query"),
        ("[{term: {a: 1, b: 2}}]", (0, "term"), "one field"),
        ("[{terms: {a: {index: x}}}]", (0, "terms", "a"), "nothing"),
        ("[nothing]", (0,), "no clause"),
        ("[{exists: user}]", (0, "exists"), "field"),
        ("[{eql: x}]", (0, "eql"), "eql"),
    ],
)
def test_what_is_refused(text: str, path: tuple[Any, ...], says: str) -> None:
    with pytest.raises(reading.NotConvertedError, match=says) as error:
        converted(text)
    assert tuple(error.value.path) == ("filter", *path)


@hypothesis.given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_a_value_finds_itself_and_no_other(value: str, other: str) -> None:
    """Whatever stands in a value (quotes, backslashes, words of KQL), the query means just that."""
    matches = matcher.compile(kql.parse(querydsl.values("labels.f", [value])))
    assert matches({"labels": {"f": value}})
    assert matches({"labels": {"f": other}}) == (value == other)


@hypothesis.given(st.text(min_size=1, max_size=20).filter(lambda text: "*" not in text))
def test_a_prefix_finds_what_begins_so(value: str) -> None:
    text = querydsl.filters([{"prefix": {"service": value}}], querydsl.Where(("filter",), lambda _: "keyword"))
    matches = matcher.compile(kql.parse(text))
    assert matches({"service": {"name": value + "x"}})
    assert not matches({"service": {"name": "\0" + value}}) or value.startswith("\0")
