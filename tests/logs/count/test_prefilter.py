"""What lines leave queries over: never one too little."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.logs.kql import stories
from tidegate.kit import clock, telemetry
from tidegate.logs import kql
from tidegate.logs.count import counters, prefilter
from tidegate.logs.kql import interpret, matcher, tree
from tidegate.logs.ship import output
from tidegate.model import problems, rules

VALUES = st.one_of(
    stories.KEYWORDS,
    stories.TEXTS,
    st.integers(-50, 50),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(max_size=12),
    st.text('iIİkK\u212asſ\\"/\n1e.5-+', max_size=8),
)
FIELDS = st.sampled_from(
    ("message", "log.level", "labels.status", "labels", "custom.zone", "log.offset", "error.stack_trace")
)


def put(document: dict[str, Any], field: str, value: object) -> dict[str, Any]:
    for name in reversed(field.split(".")):
        value = {name: value}
    return {**document, **value} if isinstance(value, dict) else document


@settings(max_examples=600)
@given(st.data())
def test_what_matches_is_left_over(data: st.DataObject) -> None:
    field, value = data.draw(FIELDS), data.draw(VALUES)
    document = put(data.draw(stories.DOCUMENTS), field if field != "labels" else "labels.x", value)
    text = "true" if value is True else "false" if value is False else str(value).replace(tree.WILD, "")
    cut = data.draw(st.integers(0, len(text)))
    own: list[tree.Node] = [
        tree.Match(field, text),
        tree.Match(field, text, phrase=True),
        tree.Match(field, text[:cut] + tree.WILD, wildcard=True),
        tree.Match(field, tree.WILD + text[cut:] + tree.WILD, wildcard=True),
        tree.Exists(field),
    ]
    nodes = []
    for node in [*own, *data.draw(st.lists(stories.TREES, max_size=4))]:
        try:
            nodes.append(interpret.of(node))
        except problems.QueryError:
            continue
    body = data.draw(st.sampled_from((orjson.dumps(document), _escaped(document))))
    left = prefilter.Prefilter(nodes).candidates(body)
    seen = orjson.loads(body)
    matching = [number for number, node in enumerate(nodes) if matcher.runs(matcher.test(node, lambda: 0.0))(seen)]
    assert set(matching) <= set(left)


def _escaped(document: dict[str, Any]) -> bytes:
    """As a writer that escapes everything beyond ASCII has it."""
    return (
        orjson.dumps(document).decode().encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00")
        if all(ord(char) < 0x10000 for char in orjson.dumps(document).decode())
        else orjson.dumps(document)
    )


@pytest.mark.parametrize(
    ("query", "body", "left"),
    [
        ("level:error", {"log": {"level": "error"}}, True),
        ("level:error", {"message": "an error"}, False),
        ("message:refused", {"message": "Connection REFUSED"}, True),
        ("message:refused", {"message": "accepted"}, False),
        ("level:error and message:refused", {"log": {"level": "error"}}, False),
        ("level:error or message:refused", {"log": {"level": "error"}}, True),
        ("level:error or message:refused", {"log": {"level": "info"}}, False),
        ("not level:error", {}, True),
        ("status:503", {"labels": {"status": 503}}, True),
        ("status:503", {"labels": {"status": 1503}}, False),
        ("service:sh*", {"service": {"name": "shop"}}, True),
        ("service:sh*", {"service": {"name": "push"}}, False),
        ("http.response.status_code >= 500", {"message": "x"}, False),
    ],
)
def test_what_is_needed(query: str, body: dict[str, Any], left: bool) -> None:
    found = prefilter.Prefilter([interpret.of(kql.parse(query))]).candidates(orjson.dumps(body))
    assert found == ((0,) if left else ())


def test_when_re2_gives_up_everything_is_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefilter, "MEMORY", 1 << 14)
    queries = [f"message:{'abcdefgh'[number % 8] * 9}{number}x" for number in range(300)]
    one = prefilter.Prefilter([interpret.of(kql.parse(query)) for query in queries])
    assert len(one.candidates(orjson.dumps({"message": "nothing of that " * 50}))) == len(queries)


@given(st.lists(stories.DOCUMENTS, max_size=6), st.lists(stories.TREES, min_size=1, max_size=6))
def test_lines_as_bytes_are_counted_like_documents(documents: list[dict[str, Any]], nodes: list[tree.Node]) -> None:
    wanted = []
    for number, node in enumerate(nodes):
        try:
            interpret.of(node)
        except problems.QueryError:
            continue
        wanted.append(rules.LogMetric(f"m{number}", tree.text(node), by=(("s", "service"),)))
    books = [counters.LogCounters(None, None, clock.SystemClock(), telemetry.Registry()) for _ in range(2)]  # type: ignore[arg-type]  # no schedule
    for book in books:
        book.set_metrics(wanted)
    bodies = [orjson.dumps(document) for document in documents]
    books[0].observe(output.Batch([], [], bodies).part(0, len(bodies)))
    books[1].observe_documents(documents)
    assert books[0].series() == books[1].series()
