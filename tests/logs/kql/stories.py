"""Documents and queries that tests are made of, small enough that they often meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tidegate.logs.kql import tree

WORDS = (
    "connection",
    "refused",
    "by",
    "10.0.0.1",
    "user_id",
    "java.lang.Error",
    "O'Neil",
    "foo-bar",
    "12,5",
    "Über",
    "中文",
)
TEXTS = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
KEYWORDS = st.sampled_from(("error", "Error", "info", "shop", "shop cart", "a*b", "", "true", "42", "Ünï😀"))
_LEVELS = st.one_of(KEYWORDS, st.lists(KEYWORDS, max_size=2), st.none())


def _dotted(document: dict[str, Any]) -> dict[str, Any]:
    """The same with dots in the names."""
    out: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            out.update({f"{name}.{key}": below for key, below in value.items()})
        else:
            out[name] = value
    return out


def _document(**parts: Any) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in parts.items():
        group, _, leaf = name.partition("__")
        if leaf:
            nested.setdefault(group, {})[leaf] = value
        else:
            nested[group] = value
    return nested


LONG = "é" * 1023
"""With one character more it is as long as a keyword may be."""
_ITEMS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(KEYWORDS, st.none()),
        "price": st.sampled_from((0.5, 3.0, 4.25)),
        "parts": st.lists(st.fixed_dictionaries({"id": KEYWORDS}), max_size=2),
    },
)

_NESTED = st.builds(
    _document,
    message=st.one_of(TEXTS, st.lists(TEXTS, max_size=2), st.none()),
    error__message=st.one_of(TEXTS, st.none()),
    error__type=_LEVELS,
    log__level=_LEVELS,
    log__offset=st.one_of(st.integers(-3, 60), st.none(), st.lists(st.integers(0, 50), max_size=2)),
    service__name=_LEVELS,
    labels__status=st.one_of(KEYWORDS, st.none()),
    items=st.one_of(st.none(), st.lists(_ITEMS, max_size=3), _ITEMS),
)
DOCUMENTS = st.one_of(_NESTED, _NESTED.map(_dotted))

_TEXT_FIELDS = st.sampled_from((None, "message", "error.message"))
_WHOLE_FIELDS = st.sampled_from(("log.level", "service.name", "labels.status", "error.type"))
_WILD_WORDS = st.sampled_from(("ref*", "*fused", "java.*", "10.0.*", "*user*", "RE*ED", "conn* by"))
_WILD_WHOLE = st.sampled_from(("err*", "*op*", "a\\**", "sh*p*", "*r", "4*", "*\\ *", "*ï*", "*😀"))


def _pattern(text: str) -> str:
    kept = text.replace("\\*", "\x01").replace("*", tree.WILD).replace("\x01", "*")
    return kept.replace("\\", "")


LEAVES: st.SearchStrategy[tree.Node] = st.one_of(
    st.builds(tree.Match, _TEXT_FIELDS, TEXTS.filter(bool), st.booleans()),
    st.builds(tree.Match, st.just("message"), _WILD_WORDS.map(_pattern), st.just(False), st.just(True)),
    st.builds(tree.Match, _WHOLE_FIELDS, KEYWORDS.filter(bool), st.booleans()),
    st.builds(tree.Match, _WHOLE_FIELDS, _WILD_WHOLE.map(_pattern), st.just(False), st.just(True)),
    st.builds(tree.Match, st.just("log.offset"), st.integers(-3, 60).map(str)),
    st.builds(tree.Exists, st.sampled_from(("message", "log.level", "labels.status", "log.offset", "service.name"))),
    st.builds(
        tree.Range, st.just("log.offset"), st.sampled_from(("<", "<=", ">", ">=")), st.sampled_from(("0", "7.5", "4e1"))
    ),
    st.just(tree.Everything()),
)


NESTED_LEAVES: st.SearchStrategy[tree.Node] = st.one_of(
    st.builds(tree.Match, st.just("items.name"), KEYWORDS.filter(bool), st.booleans()),
    st.builds(tree.Match, st.just("items.name"), _WILD_WHOLE.map(_pattern), st.just(False), st.just(True)),
    st.builds(tree.Exists, st.sampled_from(("items.name", "items.price"))),
    st.builds(tree.Match, st.just("items.price"), st.sampled_from(("3", "4.25", "0.5"))),
    st.builds(
        tree.Range, st.just("items.price"), st.sampled_from(("<", "<=", ">", ">=")), st.sampled_from(("3", "0.5", "4"))
    ),
    st.builds(
        tree.Nested, st.just("items.parts"), st.builds(tree.Match, st.just("items.parts.id"), KEYWORDS.filter(bool))
    ),
)


def branches(inner: st.SearchStrategy[tree.Node]) -> st.SearchStrategy[tree.Node]:
    some = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(tree.Not, inner), st.builds(tree.And, some), st.builds(tree.Or, some))


NESTED: st.SearchStrategy[tree.Node] = st.builds(
    tree.Nested, st.just("items"), st.recursive(NESTED_LEAVES, branches, max_leaves=3)
)
TREES: st.SearchStrategy[tree.Node] = st.recursive(st.one_of(LEAVES, NESTED), branches, max_leaves=6)
