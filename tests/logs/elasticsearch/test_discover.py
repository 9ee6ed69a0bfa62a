"""Links to Discover: read back as Kibana reads them, their query finds what the search found."""

from __future__ import annotations

import datetime
import re
import urllib.parse
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.logs.elasticsearch import test_kql_differential as differential
from tests.services import elasticsearch
from tidegate.logs.ecs import fields
from tidegate.logs.elasticsearch import discover, search
from tidegate.logs.kql import parser, tree
from tidegate.model import problems, settings

KIBANA = settings.Kibana(url="https://kibana.example.org/s/ops/", data_view="logs-*")
_RESERVED = re.compile(r'([+\-=&|><!(){}\[\]^"~*?:\\/])')
OPERATORS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def unrison(text: str) -> Any:
    """A value from Rison."""
    found, at = _value(text, 0)
    assert at == len(text), text[at:]
    return found


def _value(text: str, at: int) -> tuple[Any, int]:
    if text[at] == "'":
        out = ""
        at += 1
        while text[at] != "'":
            if text[at] == "!":
                at += 1
            out, at = out + text[at], at + 1
        return out, at + 1
    if text.startswith("!(", at):
        return _several(text, at + 2, pairs=False)
    if text[at] == "(":
        return _several(text, at + 1, pairs=True)
    if text[at] == "!":
        return {"t": True, "f": False, "n": None}[text[at + 1]], at + 2
    plain = re.compile(r"[^\s'!:(),*@$]+").match(text, at)
    assert plain, text[at:]
    return (int(plain[0]) if plain[0].isdecimal() else plain[0]), plain.end()


def _several(text: str, at: int, *, pairs: bool) -> tuple[Any, int]:
    items: list[Any] = []
    while text[at] != ")":
        at += text[at] == ","
        item, at = _value(text, at)
        if pairs:
            assert text[at] == ":"
            below, at = _value(text, at + 1)
            item = (item, below)
        items.append(item)
    return (dict(items) if pairs else items), at + 1


def state(address: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The global and the own state of a Discover address."""
    assert address.startswith("https://kibana.example.org/s/ops/app/discover#/?_g=")
    query = urllib.parse.urlsplit(address).fragment.removeprefix("/?")
    parts = dict(part.split("=", 1) for part in query.split("&"))
    return unrison(urllib.parse.unquote(parts["_g"])), unrison(urllib.parse.unquote(parts["_a"]))


def kibana(node: tree.Node) -> dict[str, Any]:
    """Query DSL as Kibana makes it of its KQL."""
    match node:
        case tree.Everything():
            return {"match_all": {}}
        case tree.Not(inner):
            return {"bool": {"must_not": kibana(inner)}}
        case tree.And(parts):
            return {"bool": {"filter": [kibana(part) for part in parts]}}
        case tree.Or(parts):
            return {"bool": {"should": [kibana(part) for part in parts], "minimum_should_match": 1}}
        case tree.Nested(path, inner):
            return {"nested": {"path": path, "query": kibana(inner), "score_mode": "none", "ignore_unmapped": True}}
        case tree.Exists(field):
            return {"exists": {"field": field}}
        case tree.Range(field, op, bound):
            return {"range": {field: {OPERATORS[op]: bound}}}
        case tree.Match(field, value, phrase, wildcard):
            if wildcard:
                written = "*".join(_RESERVED.sub(r"\\\1", part) for part in value.split(tree.WILD))
                return {"query_string": {"fields": [field], "query": written}}
            return {"match_phrase" if phrase else "match": {str(field): value}}
    raise AssertionError(node)


@pytest.fixture(scope="module")
def index(elasticsearch_url: str) -> differential.Index:
    return differential.filled(elasticsearch_url, "elasticsearch")


@pytest.mark.service
@pytest.mark.timeout(600)
@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(node=differential.TREES)
def test_a_link_finds_what_the_search_found(index: differential.Index, node: tree.Node) -> None:
    query = tree.text(node)
    start, end = 1_714_000_000_000, 4_000_000_000_000
    address = discover.link(KIBANA, query, start, end) if differential.answerable(index, node) else ""
    if not address:
        return
    above, own = state(address)
    assert (own["query"]["language"], own["dataSource"]) == ("kuery", {"dataViewId": "logs-*", "type": "dataView"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fields, "resolve", lambda name: name)  # Kibana has no short names
        shown = parser.parse(own["query"]["query"])
    between = {"gte": above["time"]["from"], "lte": above["time"]["to"], "format": "strict_date_optional_time"}
    asked = {"bool": {"filter": [kibana(shown), {"range": {"@timestamp": between}}]}}
    assert hits(index, asked) == hits(index, search.body(query, start, end, 1000)["query"]), (
        query,
        own["query"]["query"],
    )


def hits(index: differential.Index, query: Any) -> list[int]:
    found: Any = elasticsearch.call("POST", f"{index.url}/_search", {"query": query, "size": 1000, "_source": False})
    return sorted(int(hit["_id"]) for hit in found["hits"]["hits"])


RISON = st.recursive(
    st.one_of(st.text(max_size=8), st.booleans(), st.none(), st.integers(0, 10**9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(RISON)
def test_rison_can_be_read_back(value: Any) -> None:
    assert unrison(discover.rison(value)) == value


def test_no_link_is_better_than_a_wrong_one() -> None:
    assert discover.link(settings.Kibana(), "level:error", 0, 1) == ""
    assert discover.link(KIBANA, "service:shop\\ c*", 0, 1) == ""
    assert discover.link(KIBANA, " or ".join(f"level:x{number}" for number in range(800)), 0, 1) == ""


def test_times_are_whole_milliseconds() -> None:
    at = datetime.datetime(2024, 5, 1, 10, 0, 0, 7000, datetime.UTC)
    above, own = state(discover.link(KIBANA, "level:error", round(at.timestamp() * 1000), 1_800_000_000_000))
    assert above["time"]["from"] == "2024-05-01T10:00:00.007Z"
    assert own["query"]["query"] == 'log.level:"error"'


def test_short_names_and_bare_words_are_written_out() -> None:
    _, own = state(discover.link(KIBANA, "refused and user_id:42", 0, 1))
    assert own["query"]["query"].startswith('((message:("refused") or ')
    assert own["query"]["query"].endswith('labels.user_id:"42")')
    with pytest.raises(problems.QueryError):
        search.body("level:", 0, 1, 1)
