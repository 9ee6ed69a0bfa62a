"""What matches: tables, and an oracle that says the same more plainly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from tests.logs.kql import naive, stories
from tidegate.logs import kql
from tidegate.logs.kql import dates, matcher, tree, words
from tidegate.model import problems

NOW = 1_714_557_600.0  # 2024-05-01T10:00:00Z
LINE: Mapping[str, Any] = {
    "@timestamp": "2024-05-01T09:30:00.123456Z",
    "message": "Connection refused: 10.0.0.1:9200 user_id=42 foo-bar java.lang.NullPointerException O'Neil 12,5",
    "log": {"level": "error", "offset": 42, "file": {"path": "/srv/shop/app.log"}},
    "service": {"name": "shop"},
    "error": {"type": "IOError", "message": "no route", "stack_trace": "Traceback:\n  at main"},
    "labels": {"status": "503", "a.b": "dotted"},
    "tags": ["blue", "green"],
}


def matches(query: str, document: Mapping[str, Any] = LINE) -> bool:
    return matcher.compile(kql.parse(query), lambda: NOW)(document)


@pytest.mark.parametrize(
    "query",
    [
        "", "*", "refused", "REFUSED", '"connection REFUSED"', "message:refused", "message: nothing refused",
        "message:10.0.0.1", "message:9200", "message:user_id", "message:foo", 'message:"foo bar"', "message:foo-bar",
        "message:java.lang.nullpointerexception", "message:o'neil", 'message:"12,5"', "message:java.*", "message:*pointer*",
        "message:CONN*", "level:error and message:refused", "level:err*", "log.level:error", "service:(cart or shop)",
        "not level:info", "labels.status:503", "status:503", "status:5*", "labels:503", "labels.*:503", "labels.a.b:dotted",
        "tags:green", "tags:(red or blue)", "log.offset:42", "log.offset:42.0", "log.offset > 41.5", "log.offset <= 42",
        "error.*:IOError", "error.*:route", "error:*", "error.stack_trace.text:traceback", "error.stack_trace:*main",
        "@timestamp > now-1h", "@timestamp < now", "@timestamp >= 2024-05-01", "@timestamp <= 2024-05-01",
        '@timestamp:"2024-05-01"', '@timestamp:"2024-05-01T09:30:00.123Z"', "@timestamp >= now/d", "@timestamp < 1714557600000",
        "shop", "IOError", "not nothing", "path:/srv/*.log", "labels.status >= a or level:error",
    ],
)  # fmt: skip
def test_matches(query: str) -> None:
    assert matches(query)


@pytest.mark.parametrize(
    "query",
    [
        "refuse", "lang", "message:lang", "message:10.0", 'message:"refused connection"', "message:foobar", "level:Error",
        "level:ERR*", "service:Shop", "service:sho", "status:50", "labels.status:5", "log.offset > 42", "log.offset:41",
        "@timestamp > now", "@timestamp > 2024-05-01", "@timestamp < 2024-05", "@timestamp < now-1h", "nothing.here:*",
        "not nothing.here:x and level:info", "labels.none:*", "ioerror", "tags:blue and tags:red",
    ],
)  # fmt: skip
def test_does_not_match(query: str) -> None:
    assert not matches(query)


@pytest.mark.parametrize(
    ("query", "position", "said"),
    [
        ("log.offset:abc", 11, "is a number, and `abc` is none"),
        ("log.offset:4*", 11, "it takes no wildcard"),
        ("log.offset > 99999999999999999999", 13, "too large"),
        ("level:a and log.offset >= x", 26, "is a number"),
        ("@timestamp > yesterday", 13, "is no date"),
        ("@timestamp > now-1x", 13, "is no date"),
        ("@timestamp:2024*", 11, "it takes no wildcard"),
        ("message > 5", 10, "is text"),
        ("log > 5", 6, "a group of fields"),
        ("log:error", 4, "such as log.offset"),
        ("labels.status >= 500", 17, "numbers cannot be compared"),
        ("labels.status:*5", 14, "only stand at the end"),
        ("status:5*3", 7, "only stand at the end"),
        ("level > 5", 8, "numbers cannot be compared"),
        ("message:foo-b*", 8, "cut into words at `-`"),
        ('message:"--"', 8, "holds no word"),
        ("nope*:x", 6, "no field that is known"),
        ("volume.writable:yes", 16, "true or false"),
    ],
)
def test_conditions_without_a_meaning_are_errors(query: str, position: int, said: str) -> None:
    for act in (kql.check, matches):
        with pytest.raises(problems.QueryError) as caught:
            act(query)
        assert said in str(caught.value)
        assert caught.value.position == position


@given(stories.TREES, stories.DOCUMENTS)
def test_agrees_with_the_plain_oracle(node: tree.Node, document: dict[str, Any]) -> None:
    try:
        compiled = matcher.compile(node)
    except problems.QueryError:
        return
    assert compiled(document) is naive.matches(node, document)


def test_dotted_nested_and_lists_are_one_field() -> None:
    for document in ({"log.level": "a"}, {"log": {"level": "a"}}, {"log": [{"level": "b"}, {"level": ["a"]}]}):
        assert matches("log.level:a", document)
    assert matches("not log.level:*", {"log": {"level": None}})
    assert not matches("log.level:*", {"log": {"level": []}})


def test_values_are_coerced_as_an_index_does() -> None:
    assert matches("log.offset:44", {"log": {"offset": 44.9}})
    assert matches("log.offset:43", {"log": {"offset": "43"}})
    assert matches("log.level:true", {"log": {"level": True}})
    assert matches("labels.n:42", {"labels": {"n": 42}})
    assert not matches("labels.n:42.0", {"labels": {"n": 42}})
    assert matches("other.n:42.0", {"other": {"n": 42}})
    assert matches("volume.writable:true", {"volume": {"writable": "true"}})


def test_now_moves_between_documents() -> None:
    now = [NOW]
    match = matcher.compile(kql.parse("@timestamp > now-1h"), lambda: now[0])
    assert match(LINE)
    now[0] += 3600
    assert not match(LINE)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "Connection refused: 10.0.0.1:9200 user_id=42 foo-bar java.lang.NullPointerException O'Neil 12,5",
            "connection refused 10.0.0.1 9200 user_id 42 foo bar java.lang.nullpointerexception o'neil 12,5",
        ),
        ("a:b a.1 1.a a1.2b _ __ _a a;b 1;2", "a:b a 1 1 a a1.2b _a a b 1;2"),
        ("中文 ひら カタカナ foo中bar 한국어 ภาษาไทย", "中 文 ひ ら カタカナ foo 中 bar 한국어 ภาษาไทย"),
        ("ΣΑΣ İstanbul ẞ x² ½ cafe\u0301", "σασ istanbul ß x cafe\u0301"),
        ("a😀b 👨\u200d👩\u200d👧 🇩🇪", "a 😀 b 👨\u200d👩\u200d👧 🇩🇪"),
    ],
)
def test_words(text: str, wanted: str) -> None:
    assert words.words(text) == wanted.split()


def test_long_words_are_cut() -> None:
    assert [len(word) for word in words.words("a" * 600)] == [255, 255, 90]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", "2024-01-01T00:00:00+00:00", "2024-12-31T23:59:59.999000+00:00"),
        ("2024-02", "2024-02-01T00:00:00+00:00", "2024-02-29T23:59:59.999000+00:00"),
        ("2024-05-01T10", "2024-05-01T10:00:00+00:00", "2024-05-01T10:59:59.999000+00:00"),
        ("2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00+00:00", "2024-05-01T08:00:00.999000+00:00"),
        ("2024-05-01T10:00:00.1239Z", "2024-05-01T10:00:00.123000+00:00", "2024-05-01T10:00:00.123000+00:00"),
        ("now-1h", "2024-05-01T09:00:00+00:00", "2024-05-01T09:00:00+00:00"),
        ("now/w", "2024-04-29T00:00:00+00:00", "2024-05-05T23:59:59.999000+00:00"),
        ("2024-01-31||+1M/d", "2024-02-29T00:00:00+00:00", "2024-02-29T23:59:59.999000+00:00"),
        ("now-1y/M", "2023-05-01T00:00:00+00:00", "2023-05-31T23:59:59.999000+00:00"),
    ],
)
def test_dates(text: str, first: str, last: str) -> None:
    moment = dates.parse(text)
    assert moment is not None
    assert (moment.first(NOW), moment.last(NOW)) == (dates.milliseconds(first), dates.milliseconds(last))


@pytest.mark.parametrize(
    "text", ["", "now+", "nowish", "24", "2024-13", "2024-02-30", "2024-05-01T25", "now-999999999y"]
)
def test_no_dates(text: str) -> None:
    assert dates.parse(text) is None
