"""Alertmanager's matcher syntax."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kit import matchers
from tidegate.model import alerts, labels, problems


def m(name: str, op: alerts.MatchOp, value: str) -> alerts.Matcher:
    return alerts.Matcher(name, op, value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("{}", ()),
        ("foo=bar", (m("foo", "=", "bar"),)),
        ('foo="bar"', (m("foo", "=", "bar"),)),
        (' { foo = "bar" , baz!~"a|b" , } ', (m("foo", "=", "bar"), m("baz", "!~", "a|b"))),
        ("foo!=bar,baz=~x.*", (m("foo", "!=", "bar"), m("baz", "=~", "x.*"))),
        ('foo="a, b={}\\"\\n\\\\"', (m("foo", "=", 'a, b={}"\n\\'),)),
        ('"service name"="shop"', (m("service name", "=", "shop"),)),
        ("\U0001f642=ok", (m("\U0001f642", "=", "ok"),)),
        ('"\\u00e9"=x', (m("é", "=", "x"),)),
        ("foo=", (m("foo", "=", ""),)),
        ("foo=bar baz", (m("foo", "=", "bar baz"),)),
        (r'foo=~"a\.b"', (m("foo", "=~", r"a\.b"),)),
        (r"foo=~\d+", (m("foo", "=~", r"\d+"),)),
        ("foo:bar=x", (m("foo:bar", "=", "x"),)),
    ],
)
def test_what_is_read(text: str, found: tuple[alerts.Matcher, ...]) -> None:
    assert matchers.parse_all(text) == found


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("=x", 0, "expected a label name, got '=x'"),
        ("foo", 3, "expected an operator such as =, !=, =~ or !~, got the end"),
        ('foo="x', 4, "a quote is not closed, got '\"x'"),
        ("{foo=x", 6, "expected a close brace, got the end"),
        ("foo=x}", 5, "expected a comma or the end, got '}'"),
        ('foo="x" bar="y"', 8, "expected a comma or the end, got 'bar=\"y\"'"),
        ('foo=~"("', -1, "not an RE2 pattern: missing ): ("),
        ('foo=~"(?=x)"', -1, "not an RE2 pattern: invalid perl operator: (?="),
    ],
)
def test_what_is_refused_and_where(text: str, position: int, message: str) -> None:
    with pytest.raises(problems.QueryError) as caught:
        matchers.parse_all(text)
    assert (str(caught.value), caught.value.position) == (message, position)


def test_one_means_one() -> None:
    assert matchers.parse("a=b") == m("a", "=", "b")
    for text in ("", "a=b,c=d"):
        with pytest.raises(problems.QueryError, match="expected one matcher"):
            matchers.parse(text)


@pytest.mark.parametrize(
    ("text", "of", "whether"),
    [
        ("a=x", {"a": "x"}, True),
        ("a=x", {"a": "xx"}, False),
        ("a!=x", {}, True),
        ("a=", {}, True),
        ('a=~"x|y"', {"a": "y"}, True),
        ('a=~"x|y"', {"a": "xy"}, False),
        ('a=~"x"', {"a": "ax"}, False),
        ('a!~"x.*"', {"a": "xa"}, False),
        ('a=~".*"', {}, True),
        ('a=~".+"', {}, False),
        ("a=x,b=y", {"a": "x"}, False),
        ("{}", {"a": "x"}, True),
    ],
)
def test_what_matches(text: str, of: dict[str, str], whether: bool) -> None:
    assert matchers.Conditions(matchers.parse_all(text)).matches(labels.make(of)) is whether


NAMES = st.text(min_size=1, max_size=20)
SOUND = st.builds(alerts.Matcher, NAMES, st.sampled_from(["=", "!="]), st.text(max_size=30))


@given(st.lists(SOUND, max_size=4))
def test_what_is_written_is_read_back(given_: list[alerts.Matcher]) -> None:
    assert matchers.parse_all(matchers.text(given_)) == tuple(given_)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = matchers.parse_all(text)
    except problems.QueryError as error:
        assert -1 <= error.position <= len(text)  # noqa: PT017 - both outcomes are right
    else:
        matchers.Conditions(found)
