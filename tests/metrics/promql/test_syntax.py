"""The parser against a real Prometheus: the same queries accepted, the same layout, the same tree, the same errors."""

from __future__ import annotations

import json
import pathlib
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.services import prometheus
from tidegate.metrics.promql import printer, syntax, treejson
from tidegate.model import problems

FLAGS = "promql-experimental-functions,promql-duration-expr,promql-extended-range-selectors,promql-binop-fill-modifiers"
EVAL = re.compile(r"\s*eval(?:_\w+)? (?:instant at \S+|range from \S+ to \S+ step \S+) (.*)")
ODD = [
    "", "up{", "up{a}", "up{a=}", "up{a=~'('}", "{}", '{a=~".*"}', "up[", "up[5m", "up[5m:", "up[0s]", "up offset", "up @",
    "rate(up)", "rate(up[5m], 1)", "sum(up, 1)", "topk(up)", "topk('a', up)", "nonsense(up)", "1 +", "+", "1 == 1",
    "up and 1", "up + on(a) group_left(a) up", "up bool + up", "up + bool up", "sum by (", "sum by (a,) (up)", "1[5m]",
    "(up)[5m]", "up offset 5m offset 5m", "up @ 1 @ 2", "up[5m] offset 1m", "up offset 5m[5m]", "5m", "-5m", "1_000", "0x1F",
    "'a\\x41'", "`a\\x41`", "'a\\q'", "up{a='b',}", "up{'a b'='c'}", "{'up x'}", "sum(up) without (a)", "-up^2", "2^3^2",
    "sum(up,)", "count_values('a', up)", "up @ start()", "up @ end() offset -1m", "up[5m:] @ 5", "label_join(up, 'a', 'b')",
    "up # comment", "up atan2 up", "on(up)", "bool", "by", "sum", "sum{a='b'}", "up{sum='a'}", "Inf", "nan", "1e3", ".5", "5.",
    "up[5m:1m][5m:]", "up < bool 1", "1 < bool 2", "a:b:c", "min_of(1, 2)", "up[5m+1m]", "up fill(0) up", "up + fill(0) up",
]  # fmt: skip


def queries(folder: pathlib.Path) -> list[str]:
    found = [match[1] for file in sorted((folder / "promqltest").glob("*.test"))
             for match in map(EVAL.match, file.read_text().splitlines()) if match]  # fmt: skip
    for file in sorted((folder / "rules").rglob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        for group in document.get("spec", document)["groups"]:
            found += [str(rule["expr"]) for rule in group["rules"]]
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def real(prometheus_binary: pathlib.Path) -> Iterator[prometheus.Server]:
    assert prometheus_binary
    with prometheus.running(flags=[f"--enable-feature={FLAGS}"]) as server:
        yield server


def ask(server: prometheus.Server, path: str, query: str) -> Any:
    data = urllib.parse.urlencode({"query": query}).encode()
    try:
        with urllib.request.urlopen(server.url + path, data, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read()
        return json.loads(text) if text.startswith(b"{") else None  # it cannot write a NaN in a tree either


def ours(query: str) -> tuple[str, Any] | str:
    try:
        parsed = syntax.parse(query, experimental=True)
    except problems.QueryError as error:
        return str(error)
    return printer.pretty(parsed), json.loads(json.dumps(treejson.written(parsed)))


def judge(server: prometheus.Server, query: str) -> None:
    layout, parsed, mine = (
        ask(server, "/api/v1/format_query", query),
        ask(server, "/api/v1/parse_query", query),
        ours(query),
    )
    if layout["status"] == "error":
        assert isinstance(mine, str), f"{query!r} is refused by Prometheus: {layout['error']}"
        return
    assert not isinstance(mine, str), f"{query!r} is no query of ours: {mine}"
    assert mine[0] == layout["data"]
    if parsed is not None:
        assert mine[1] == parsed["data"], query


def test_queries_of_others_are_read_and_written_as_prometheus_does(
    real: prometheus.Server, conformance: pathlib.Path
) -> None:
    found = queries(conformance)
    assert len(found) > 1000
    for query in found:
        judge(real, query)


@pytest.mark.parametrize("query", ODD)
def test_odd_queries(real: prometheus.Server, query: str) -> None:
    judge(real, query)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sum(foo(x))", '1:5: parse error: unknown function with name "foo"'),
        ("rate(up)", '1:6: parse error: expected type range vector in call to function "rate", got instant vector'),
        ("up\n+ foo(1)", '2:3: parse error: unknown function with name "foo"'),
        ("up{a=~'('}", "1:1: parse error: error parsing regexp"),
    ],
)
def test_errors_say_where(query: str, said: str) -> None:
    mine = ours(query)
    assert isinstance(mine, str)
    assert mine.startswith(said)


@given(st.text(alphabet="abup{}[]()=~!\"'`,.:@+-*/^%<>0159mshd \n#", max_size=30))
def test_any_text_is_a_query_or_an_error(query: str) -> None:
    mine = ours(query)
    if not isinstance(mine, str):
        again = ours(mine[0])
        assert not isinstance(again, str), mine[0]
        assert again[0] == mine[0]


def test_what_is_too_deep_is_refused() -> None:
    assert "inside one another" in str(ours("(" * 5000 + "1" + ")" * 5000))
    assert "inside one another" in str(ours("-" * 5000 + "up"))
