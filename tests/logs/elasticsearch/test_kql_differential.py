"""The matcher against a real Elasticsearch: the same documents, the same queries, the same answers."""

from __future__ import annotations

import json
import random
import urllib.request
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.logs.kql import stories
from tests.services import elasticsearch
from tidegate.logs import kql
from tidegate.logs.elasticsearch import mapping
from tidegate.logs.kql import dsl, matcher, tree, words
from tidegate.model import problems

pytestmark = [pytest.mark.service, pytest.mark.timeout(180)]
MISSING = frozenset({"match_only_text", "wildcard", "constant_keyword"})
"""Field types that the distribution for integration tests lacks; what stands in for them matches the same."""
DOCUMENTS = 150
QUERIES = 250
TIMES = (
    "2024-05-01T09:30:00.123456Z",
    "2024-05-01",
    "2024-04-30T23:59:59.999Z",
    "2024-06-01T00:00:00+02:00",
    1714557600000,
)


def build(rng: random.Random) -> dict[str, Any]:
    def some(*values: Any) -> Any:
        return rng.choice([*values, None])

    def text() -> str:
        return " ".join(rng.choice(stories.WORDS) for _ in range(rng.randint(0, 5)))

    names = ("error", "Error", "shop", "shop cart", "a*b", "", "true", "42")
    document: dict[str, Any] = {
        "@timestamp": rng.choice(TIMES),
        "message": some(text(), [text(), text()]),
        "error": {"message": some(text()), "type": some(*names), "stack_trace": some("Trace:\n at x", "")},
        "log": {"level": some(*names, ["error", "shop"]), "offset": some(-3, 0, 7, 42, 44.9, "43", [1, 50])},
        "labels": {"status": some(*names, "503", 503), "a.b": some("x"), "deep": some({"er": "x"})},
        "tags": some("blue", ["blue", "green"]),
    }
    if rng.random() < 0.3:
        document["service.name"] = some(*names)
    else:
        document["service"] = {"name": some(*names)}
    return document


class Index:
    """An index and its documents; `_id` is the place in the list. Shown short, for hypothesis prints it."""

    def __init__(self, url: str, documents: list[dict[str, Any]]) -> None:
        self.url, self.documents = url, documents


@pytest.fixture(scope="module")
def index(elasticsearch_url: str) -> Index:
    """An index with our mapping, and its documents; `_id` is the place in the list."""
    url = f"{elasticsearch_url}/kql-differential"
    elasticsearch.call("PUT", url, {"mappings": mapping.component(MISSING)["template"]["mappings"]})
    rng = random.Random(7)
    documents = [build(rng) for _ in range(DOCUMENTS)]
    lines = [part for at, one in enumerate(documents) for part in ({"create": {"_id": str(at)}}, one)]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    request = urllib.request.Request(f"{url}/_bulk?refresh=true", body, {"content-type": "application/x-ndjson"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["errors"] is False
    return Index(url, documents)


def both(index: Index, queries: list[tree.Node]) -> list[tuple[tree.Node, list[int], list[int]]]:
    """For each query: what the matcher finds, what Elasticsearch finds."""
    url, documents = index.url, index.documents
    asked = [{"query": dsl.compile(node), "size": DOCUMENTS, "_source": False} for node in queries]
    body = "".join("{}\n" + json.dumps(one) + "\n" for one in asked).encode()
    request = urllib.request.Request(f"{url}/_msearch", body, {"content-type": "application/x-ndjson"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        responses = json.load(answer)["responses"]
    out = []
    for node, response in zip(queries, responses, strict=True):
        assert "error" not in response, (tree.text(node), response)
        assert response["_shards"]["failed"] == 0
        theirs = sorted(int(hit["_id"]) for hit in response["hits"]["hits"])
        match = matcher.compile(node)
        out.append((node, [at for at, one in enumerate(documents) if match(one)], theirs))
    return out


WRITTEN = """
refused | "connection refused" | message:ref* | message:*lang* | message:conn* by | level:error | level:Err* | not level:error
labels.status:503 | labels.status:5* | labels:*0* | status:a\\*b | labels:x | labels.*:503 | labels.*:* | labels.a.b:x
labels.deep.er:x | labels.deep:* | log.offset > 7 | log.offset:44 | log.offset:44.5 | log.offset >= 4e1 | log.offset < -2.5
@timestamp > 2024-05-01 | @timestamp >= 2024-05-01 | @timestamp < 2024-05 | @timestamp <= 2024-05 | @timestamp:2024-05-01
@timestamp > now-1h | @timestamp < now/d | @timestamp > 2024-05-01||+1M/d | @timestamp <= 1714557600000 | @timestamp > 2024
error.*:* | error:* | error.*:Error | error.stack_trace:*at* | error.stack_trace.text:trace | error.stack_trace:* | message:*
tags:green | tags:(red or green) | tags:blue and not tags:green | level >= error | level < b | status >= a | status < a
message:über | message:中 | message:"中文" | message:user_id | message:user | message:"foo bar" | message:foo-bar
service:"shop cart" | service:shop cart | service:sh*t | log.level:* | not log.level:* | * | not * | lo*.level:error
"""


def test_written_queries(index: Index) -> None:
    queries = [kql.parse(text) for line in WRITTEN.strip().splitlines() for text in line.split(" | ")]
    results = both(index, queries)
    assert [(tree.text(node), ours, theirs) for node, ours, theirs in results if ours != theirs] == []
    assert sum(0 < len(ours) < DOCUMENTS for _, ours, _ in results) > 45


@settings(max_examples=QUERIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(node=stories.TREES)
def test_any_query(index: Index, node: tree.Node) -> None:
    try:
        dsl.compile(node)
    except problems.QueryError:
        return
    ((_, ours, theirs),) = both(index, [node])
    assert ours == theirs, tree.text(node)


ALPHABET = "ab1_2.:',;- é中ひ한ก²①Σ\u0301\u00ad·’．，😀Ⅷª\"٣@/=()ßẞK\t\uff11Ⓐ〇"


def test_words_are_those_of_the_standard_analyzer(elasticsearch_url: str) -> None:
    rng = random.Random(11)
    texts = ["".join(rng.choice(ALPHABET) for _ in range(rng.randint(1, 16))) for _ in range(4000)]
    for at in range(0, len(texts), 500):
        text = " \n ".join(texts[at : at + 500])
        answer: Any = elasticsearch.call(
            "POST", f"{elasticsearch_url}/_analyze", {"analyzer": "standard", "text": text}
        )
        assert words.words(text) == [token["token"] for token in answer["tokens"]]
