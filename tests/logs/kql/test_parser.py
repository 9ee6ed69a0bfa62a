"""From text to tree and back; where errors point."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.logs.kql import stories
from tidegate.logs import kql
from tidegate.logs.kql import parser, tree
from tidegate.model import problems

W = tree.WILD


def m(field: str | None, value: str, *, phrase: bool = False) -> tree.Match:
    return tree.Match(field, value, phrase, tree.WILD in value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", tree.Everything()),
        ("  \n ", tree.Everything()),
        ("*", tree.Everything()),
        ("*:*", tree.Everything()),
        ("refused", m(None, "refused")),
        ("connection refused", m(None, "connection refused")),
        ('"connection refused"', m(None, "connection refused", phrase=True)),
        ("level:error", m("log.level", "error")),
        ("level : error", m("log.level", "error")),
        ("message: connection  refused", m("message", "connection refused")),
        ('msg:"a \\"b\\" \\\\c"', m("message", 'a "b" \\c', phrase=True)),
        ("service:sh*", m("service.name", f"sh{W}")),
        ("service:sh\\*p", m("service.name", "sh*p")),
        ('service:"sh*"', m("service.name", "sh*", phrase=True)),
        ("log.level:*", tree.Exists("log.level")),
        ("log.level:**", tree.Exists("log.level")),
        ("err*.message:x", m(f"err{W}.message", "x")),
        ("user_id:42", m("labels.user_id", "42")),
        ("tags:a", m("tags", "a")),
        ("labels:a", m("labels", "a")),
        ("a and b or not c", tree.Or((tree.And((m(None, "a"), m(None, "b"))), tree.Not(m(None, "c"))))),
        ("a or b and c", tree.Or((m(None, "a"), tree.And((m(None, "b"), m(None, "c")))))),
        ("(a or b) AND NoT c", tree.And((tree.Or((m(None, "a"), m(None, "b"))), tree.Not(m(None, "c"))))),
        ("not not a", tree.Not(tree.Not(m(None, "a")))),
        ("not a and b", tree.And((tree.Not(m(None, "a")), m(None, "b")))),
        ("level:(error or fatal)", tree.Or((m("log.level", "error"), m("log.level", "fatal")))),
        (
            "level:(not (info or debug) and w*)",
            tree.And((tree.Not(tree.Or((m("log.level", "info"), m("log.level", "debug")))), m("log.level", f"w{W}"))),
        ),
        ("log.offset >= 10", tree.Range("log.offset", ">=", "10")),
        ("log.offset<10", tree.Range("log.offset", "<", "10")),
        ('@timestamp > "2024-05-01T10:00:00Z"', tree.Range("@timestamp", ">", "2024-05-01T10:00:00Z")),
        ("@timestamp >= now-1h", tree.Range("@timestamp", ">=", "now-1h")),
        ("\\and", m(None, "and")),
        ("message:\\not", m("message", "not")),
        ("android or nothing", tree.Or((m(None, "android"), m(None, "nothing")))),
        ("a\\ and\\ b", m(None, "a and b")),
        ("a\\:b \\(c\\) \\{ \\<", m(None, "a:b (c) { <")),
        ("tab\\there \\u00e4", m(None, "tab\there ä")),
        ('"line\\nbreak"', m(None, "line\nbreak", phrase=True)),
        ('"log.level":error', m("log.level", "error")),
        ('path:"C:\\Windows\\users"', m("log.file.path", "C:\\Windows\\users", phrase=True)),
        ("\\Android", m(None, "Android")),
        (
            "items:{ name:x and price > 3 }",
            tree.Nested("items", tree.And((m("items.name", "x"), tree.Range("items.price", ">", "3")))),
        ),
        ("user.names:{first:a}", tree.Nested("user.names", m("user.names.first", "a"))),
        (
            "a:{ b:{ c:(x or y) } or level:* } and level:d",
            tree.And(
                (
                    tree.Nested(
                        "a",
                        tree.Or(
                            (
                                tree.Nested("a.b", tree.Or((m("a.b.c", "x"), m("a.b.c", "y")))),
                                tree.Exists("a.level"),
                            )
                        ),
                    ),
                    m("log.level", "d"),
                )
            ),
        ),
        ("log.file.path:/srv/*.log", m("log.file.path", f"/srv/{W}.log")),
    ],
)
def test_trees(text: str, wanted: tree.Node) -> None:
    assert kql.parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("level:", 6, "expected a value for `log.level`, found the end"),
        ("level:and", 6, "expected a value"),
        ("and a", 0, "expected a field, a value or a parenthesis, found `and`"),
        ("a or", 4, "found the end"),
        ("a and or b", 6, "found `or`"),
        ("not", 3, "found the end"),
        ("(a or b", 0, "not closed"),
        ("x:(a or (b)", 2, "not closed"),
        ("a)", 1, "a closing parenthesis too many"),
        ("()", 1, "found `)`"),
        ('say "hello', 4, "the quote is not closed"),
        ('a "b"', 2, "join conditions"),
        ("a:b c:d", 5, "join conditions with `and` or `or`"),
        ("level:(a:b)", 6, "not closed"),
        ("offset > ", 9, "expected a bound after `>`"),
        ("log.offset > 1*", 13, "a bound cannot have a wildcard"),
        ("log.* > 1", 0, "one field, not a pattern"),
        ("user:{ a:b", 5, "this brace is not closed"),
        ("user:{ a:b)", 5, "this brace is not closed"),
        ("user:{ }", 7, "found `}`"),
        ("user:{ b }", 7, "names its field"),
        ("us*:{ a:b }", 0, "one field, not a pattern"),
        ("{ a:b }", 0, "found `{`"),
        ("a }", 2, "does not belong here"),
        ("a\\Windows", 1, "write a backslash as"),
        ("a\\user", 1, "write a backslash as"),
        ("a\\", 1, "nothing follows the backslash"),
        ("a \ue000", 2, "cannot be searched for"),
        ("x" * 9000, 8192, "longer than 8192"),
        ("(" * 200 + "a" + ")" * 200, 100, "too many levels"),
        ("not " * 200 + "a", 400, "too many levels"),
    ],
)
def test_errors_say_where(text: str, position: int, said: str) -> None:
    with pytest.raises(problems.QueryError) as caught:
        kql.parse(text)
    assert said in str(caught.value)
    assert caught.value.position == position


@given(stories.TREES)
def test_a_printed_tree_parses_to_itself(node: tree.Node) -> None:
    assert parser.parse(tree.text(node)) == node


VALUES = st.text(st.characters(exclude_characters=tree.WILD, exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(VALUES, st.booleans(), st.sampled_from((None, "message", "labels.a b:c")))
def test_any_value_can_be_written(value: str, phrase: bool, field: str | None) -> None:
    node = tree.Match(field, value, phrase)
    assert parser.parse(tree.text(node)) == node


@given(st.text(st.sampled_from('ab:()<>="*{}\\ \tandornot'), max_size=40))
def test_whatever_is_typed_parses_or_points_into_the_text(text: str) -> None:
    try:
        node = parser.parse(text)
    except problems.QueryError as error:
        position = error.position
    else:
        position = 0
        assert parser.parse(tree.text(node)) == node
    assert 0 <= position <= len(text)
