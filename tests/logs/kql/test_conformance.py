"""The program that judges files of queries: what it accepts, and how it says what it does not."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.conformance import kql

GOOD = (
    "http.response.status_code >= 400 and http.response.status_code < 500",
    "items:{ name: x and price > 3 }",
    'user.names:{ first:"Alice" and last:"White" } or not event.outcome:(success or unknown)',
    '@timestamp < "2021-01-02T21:55:59" and @timestamp >= now-1d/d',
    "http.request.referrer: https\\://example.com",
    'file.path:"C:\\Windows\\System32" and process.args:("-c" or *curl*)',
    "*:error",
    "message:(quick AND brown AND NOT fox)",
    "kubernetes.labels.app:checkout and trace.id:*",
)


def test_good_and_bad_queries_are_judged(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "queries.jsonl"
    lines = [{"query": query} for query in GOOD] + [{"query": "level:", "shouldParse": False}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert kql.main([str(file)]) == 0
    assert capsys.readouterr().out == f"passed {len(lines)} of {len(lines)}\n"


def test_failures_have_their_place(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"query": "level:error"}\n{"query": "a or (b"}\n{"query": "a", "shouldParse": false}\n')
    assert kql.main([str(file)]) == 1
    assert capsys.readouterr().out == (
        "FAILED queries.jsonl:2\n  a or (b\n       ^ this parenthesis is not closed (position 5)\n"
        "FAILED queries.jsonl:3\n  a\n  ^ accepted (position -1)\npassed 1 of 3\n"
    )
