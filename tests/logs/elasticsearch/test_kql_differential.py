"""The matcher against real servers: the same documents, the same queries, the same answers.

`TIDEGATE_TEST_KQL_EXAMPLES` says how many times twenty random queries meet the documents of an index.
"""

from __future__ import annotations

import datetime
import functools
import json
import os
import random
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import conftest
from tests.logs.kql import stories
from tests.services import cache, elasticsearch
from tidegate.logs import kql
from tidegate.logs.elasticsearch import mapping
from tidegate.logs.kql import dsl, matcher, tree, words
from tidegate.model import problems

pytestmark = [pytest.mark.service, pytest.mark.timeout(3000)]
LACKING = {
    "elasticsearch": frozenset({"match_only_text", "wildcard", "constant_keyword"}),
    "opensearch": frozenset({"constant_keyword"}),
}
"""Field types that a distribution for tests lacks; what stands in for them matches the same."""
DOCUMENTS = 150
EXAMPLES = int(os.environ.get("TIDEGATE_TEST_KQL_EXAMPLES", "25"))


def days_ago(days: int) -> str:
    """Noon of a day before today."""
    today = datetime.datetime.now(datetime.UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    return (today - datetime.timedelta(days=days)).isoformat()


def times() -> tuple[str | int, ...]:
    return (
        "2024-05-01T09:30:00.123456Z",
        "2024-05-01",
        "2024-04-30T23:59:59.999Z",
        "2024-06-01T00:00:00+02:00",
        1714557600000,
        *(days_ago(days) for days in (1, 3, 40, 400)),
    )


def build(rng: random.Random, kind: str) -> dict[str, Any]:
    def some(*values: Any) -> Any:
        return rng.choice([*values, None])

    def text() -> str:
        return " ".join(rng.choice(stories.WORDS) for _ in range(rng.randint(0, 5)))

    def item() -> dict[str, Any]:
        parts = [{"id": rng.choice(names)} for _ in range(rng.randint(0, 2))]
        return {"name": some(*names), "price": some(0.5, 3.0, 4.25), "parts": parts}

    names = ("error", "Error", "shop", "shop cart", "a*b", "", "true", "42", "Ünï😀", stories.LONG, stories.LONG + "xx")
    # OpenSearch's `flat_object` keeps labels of any length searchable, and fails beyond Lucene's longest term.
    long = ("y" * 8191, "y" * 8192) if kind == "elasticsearch" else ("y" * 8191,)
    document: dict[str, Any] = {
        "@timestamp": rng.choice(times()),
        "message": some(text(), [text(), text()]),
        "error": {"message": some(text()), "type": some(*names), "stack_trace": some("Trace:\n at x", "", "x" * 8192)},
        "log": {"level": some(*names, ["error", "shop"]), "offset": some(-3, 0, 7, 42, 44.9, "43", [1, 50])},
        "labels": {"status": some(*names, "503", 503, *long), "a.b": some("x"), "deep": some({"er": "x"})},
        "tags": some("blue", ["blue", "Green"]),
        "http": {"response": {"status_code": some(200, "404", [500, 503], "none")}},
        "event": {"risk_score": some(0.5, "7.25", 3), "start": some(*times())},
        "volume": {"writable": some(True, False, "true", "")},
        "custom": {"zone": some("North", "north", stories.LONG + "xx"), "size": some(0.5, 3.0, 40.5)},
        "items": some(item(), [item() for _ in range(rng.randint(0, 3))]),
    }
    if rng.random() < 0.3:
        document["service.name"] = some(*names)
    else:
        document["service"] = {"name": some(*names)}
    return document


class Index:
    """An index and its documents; `_id` is the place in the list. Shown short, for hypothesis prints it."""

    def __init__(self, url: str, kind: str, documents: list[dict[str, Any]]) -> None:
        self.url, self.kind, self.documents = url, kind, documents


@pytest.fixture(
    scope="module", params=[elasticsearch.ELASTICSEARCH, elasticsearch.OPENSEARCH], ids=lambda one: one.name
)
def index(request: pytest.FixtureRequest) -> Iterator[Index]:
    """An index with our mapping and a nested field, and its documents; `_id` is the place in the list."""
    try:
        with elasticsearch.address(request.param) as url:
            yield filled(url, request.param.kind)
    except cache.UnavailableError as error:
        conftest.unavailable(str(error))


def filled(server: str, kind: str) -> Index:
    url = f"{server}/kql-differential-{os.getpid()}"
    mappings = mapping.component(LACKING[kind])["template"]["mappings"]
    mappings["properties"]["items"] = {"type": "nested", "properties": {"parts": {"type": "nested"}}}
    if kind == "opensearch":
        mappings["properties"]["labels"] = {"type": "flat_object"}
    elasticsearch.call("PUT", url, {"mappings": mappings})
    rng = random.Random(7)
    documents = [build(rng, kind) for _ in range(DOCUMENTS)]
    lines = [part for at, one in enumerate(documents) for part in ({"create": {"_id": str(at)}}, one)]
    answer = posted(f"{url}/_bulk?refresh=true", lines)
    assert answer["errors"] is False, [item for item in answer["items"] if item["create"]["status"] != 201][:3]
    return Index(url, kind, documents)


def posted(url: str, lines: list[Any]) -> Any:
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/x-ndjson"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def both(index: Index, queries: list[tree.Node]) -> list[tuple[tree.Node, list[int], list[int]]]:
    """For each query: what the matcher finds, what the server finds."""
    asked = [{"query": dsl.compile(node), "size": DOCUMENTS, "_source": False} for node in queries]
    now = time.time()
    responses = posted(f"{index.url}/_msearch", [part for one in asked for part in ({}, one)])["responses"]
    out = []
    for node, response in zip(queries, responses, strict=True):
        assert "error" not in response, (tree.text(node), response)
        assert response["_shards"]["failed"] == 0
        theirs = sorted(int(hit["_id"]) for hit in response["hits"]["hits"])
        match = matcher.compile(node, lambda: now)
        out.append((node, [at for at, one in enumerate(index.documents) if match(one)], theirs))
    return out


WRITTEN = """
refused | "connection refused" | message:ref* | message:*lang* | message:conn* by | level:error | level:Err* | not level:error
labels.status:503 | labels.status:5* | labels:*0* | status:a\\*b | labels:x | labels.*:503 | labels.*:* | labels.a.b:x
labels.deep.er:x | labels.deep:* | log.offset > 7 | log.offset:44 | log.offset:44.5 | log.offset >= 4e1 | log.offset < -2.5
@timestamp > 2024-05-01 | @timestamp >= 2024-05-01 | @timestamp < 2024-05 | @timestamp <= 2024-05 | @timestamp:2024-05-01
@timestamp > now-1h | @timestamp < now/d | @timestamp > 2024-05-01||+1M/d | @timestamp <= 1714557600000 | @timestamp > 2024
error.*:* | error:* | error.*:Error | error.stack_trace:*at* | error.stack_trace.text:trace | error.stack_trace:* | message:*
tags:Green | tags:(red or Green) | tags:blue and not tags:Green | level >= error | level < b | status >= a | status < a
message:über | message:中 | message:"中文" | message:user_id | message:user | message:"foo bar" | message:foo-bar
service:"shop cart" | service:shop cart | service:sh*t | log.level:* | not log.level:* | * | not * | lo*.level:error
http.response.status_code >= 404 | http.response.status_code:503 | not http.response.status_code:* | custom.zone:North
custom.zone:n* | custom.zone:* | custom.size > 3 | custom.size:0.5 | volume.writable:true | volume.writable:false | tags:*
event.risk_score >= 0.5 | event.start > now-2d | event.start >= now-3d/d and event.start < now | @timestamp >= now-1M/M
items:{ name:shop and price > 3 } | items:{ name:shop } and items:{ price > 3 } | not items:{ name:shop } | items:{ name:* }
items:{ not name:* } | items:{ parts:{ id:42 } } | items:{ parts:{ id:error and not id:shop } and price <= 3 } | items:{ * }
items.parts:{ id:(42 or error) } | items:{ name:sh* or price:4.25 } | service:*😀 | level:ünï* | level > Z | status > y
"""
NARROW = 70
"""At least so many of them match some documents and not others."""


def test_written_queries(index: Index) -> None:
    queries = [kql.parse(text) for line in WRITTEN.strip().splitlines() for text in line.split(" | ")]
    queries = [node for node in queries if answerable(index, node)]
    results = both(index, queries)
    assert [(tree.text(node), ours, theirs) for node, ours, theirs in results if ours != theirs] == []
    assert sum(0 < len(ours) < DOCUMENTS for _, ours, _ in results) > NARROW


def answerable(index: Index, node: tree.Node) -> bool:
    """Whether a query has a meaning, and the server can be asked."""
    try:
        dsl.compile(node)
    except problems.QueryError:
        return False
    return True


MOMENTS = st.sampled_from(
    (
        *("now", "now-2d", "now-3d/d", "now-40d/d", "now/y", "now-1y/M", "now+1w/w", "2024", "2024-05", "2024-05-01"),
        *("2024-05-01T09:30", "2024-05-01T09:30:00.123Z", "1714557600000", "2024-04-30||+1d/d", "2024-05||/M-1s"),
    )
)
OPERATORS = st.sampled_from(("<", "<=", ">", ">="))
DATES = st.sampled_from(("@timestamp", "event.start"))
LABELS = st.sampled_from(("labels", "labels.status", "labels.deep", "labels.a.b"))
WHOLE = st.sampled_from(("42", "503", "error", "North", "Ünï😀", stories.LONG, "x", "7.25", "a*b"))
W = tree.WILD
WIDER: st.SearchStrategy[tree.Node] = st.one_of(
    stories.LEAVES,
    stories.NESTED,
    st.builds(tree.Range, DATES, OPERATORS, MOMENTS),
    st.builds(tree.Match, DATES, MOMENTS),
    st.builds(tree.Range, st.sampled_from(("http.response.status_code", "event.risk_score", "custom.size")), OPERATORS,
              st.sampled_from(("0.5", "7.25", "404", "500", "40.5"))),
    st.builds(tree.Match, st.sampled_from(("http.response.status_code", "event.risk_score", "custom.size")),
              st.sampled_from(("200", "404", "503", "0.5", "7.25", "3"))),
    st.builds(tree.Match, st.just("volume.writable"), st.sampled_from(("true", "false"))),
    st.builds(tree.Match, st.one_of(LABELS, st.sampled_from(("tags", "custom.zone", "log.level"))), WHOLE, st.booleans()),
    st.builds(tree.Range, st.sampled_from(("log.level", "labels.status", "custom.zone", "labels")), OPERATORS,
              st.sampled_from(("Z", "a", "error", "é", "ÿ"))),
    st.builds(tree.Match, st.sampled_from(("tags", "custom.zone", "error.stack_trace", "labels")),
              st.sampled_from((f"{W}r{W}", f"N{W}", f"{W}é", f"x{W}", f"{W}n", f"5{W}3")), st.just(False), st.just(True)),
    st.builds(tree.Match, st.sampled_from(("labels.status", "labels.deep.er")),
              st.sampled_from((f"5{W}", f"y{W}", f"é{W}", f"x{W}")), st.just(False), st.just(True)),
    st.builds(tree.Match, st.sampled_from((f"error.{W}", f"{W}.message", f"lo{W}.level", f"{W}", f"labels.{W}")),
              st.sampled_from(("error", "refused", "Error", "42")), st.booleans()),
    st.builds(tree.Exists, st.sampled_from(("labels", "labels.deep", "labels.a.b", "error.stack_trace", "custom", "custom.zone",
                                            "tags", "volume.writable", "event.start", f"error.{W}", "error", "custom.size"))),
)  # fmt: skip
TREES = st.recursive(WIDER, stories.branches, max_leaves=5)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(nodes=st.lists(TREES, min_size=20, max_size=20))
def test_any_query(index: Index, nodes: list[tree.Node]) -> None:
    for node, ours, theirs in both(index, [node for node in nodes if answerable(index, node)]):
        assert ours == theirs, tree.text(node)


ALPHABET = "ab1_2.:',;- é中ひん한ก²①Σ\u0301\u00ad·’．，😀Ⅷª\"٣@/=()ßẞK\t\uff11Ⓐ〇"


@functools.cache
def _texts() -> tuple[str, ...]:
    rng = random.Random(11)
    return tuple("".join(rng.choice(ALPHABET) for _ in range(rng.randint(1, 16))) for _ in range(4000))


def test_words_are_those_of_the_standard_analyzer(index: Index) -> None:
    server = index.url.rpartition("/")[0]
    for at in range(0, len(_texts()), 500):
        text = " \n ".join(_texts()[at : at + 500])
        answer: Any = elasticsearch.call("POST", f"{server}/_analyze", {"analyzer": "standard", "text": text})
        assert words.words(text) == [token["token"] for token in answer["tokens"]]
