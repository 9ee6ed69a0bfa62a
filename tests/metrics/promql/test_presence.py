"""Whether there is data to judge: the query that asks for it, and that it never says yes where the expression needs more."""

from __future__ import annotations

import pytest

from tidegate.metrics.promql import presence, syntax


@pytest.mark.parametrize(
    ("expr", "query", "operand"),
    [
        ("x > 5", "x", "x"),
        ("5 < x", "x", "x"),
        ("x", "x", ""),
        ("(-x) * 2 > 3", "x", "(-x) * 2"),
        ("x > bool 5", "x", ""),
        ("time() - x > 300", "x", "time() - x"),
        ("x > scalar(y)", "x", "x"),
        ("rate(x[5m]) / rate(y[5m]) > 0.05", "rate(x[5m]) and on () rate(y[5m])", "rate(x[5m]) / rate(y[5m])"),
        ("x > y", "x and on () y", ""),
        ("x > 5 and on () z == 0", "x and on () z", ""),
        ("x > 5 unless y > 1", "x", ""),
        ("x > 5 or y < 3", "x or on () y", ""),
        ("count by (i) (x == 0) > 2", "count by (i) (x)", "count by (i) (x == 0)"),
        ("count_over_time((x > 5)[10m:1m]) >= 3", "count_over_time(x[10m:1m])", "count_over_time((x > 5)[10m:1m])"),
        ("max_over_time((x / y > 1)[10m:1m])", "max_over_time((x and on () y)[10m:1m])", ""),
        ('label_replace(x > 3, "a", "b", "c", "d")', 'label_replace(x, "a", "b", "c", "d")', ""),
        ("absent(x)", "", ""),
        ("x > 5 or absent(x)", "", ""),
        ("x > 5 and on () absent(y)", "x", ""),
        ("vector(1) > 0", "", "vector(1)"),
        ("1", "", ""),
    ],
)
def test_what_is_asked(expr: str, query: str, operand: str) -> None:
    parsed = syntax.parse(expr)
    assert (presence.query(parsed), presence.operand(parsed)) == (query, operand)
    for text in (query, operand):
        if text:
            syntax.parse(text)


def test_filled_sides_need_not_be_there() -> None:
    found = [presence.query(syntax.parse(f"x / {fill} y > 1", experimental=True)) for fill in FILLS]
    assert found == ["x or on () y", "y", "x"]


FILLS = ("fill (0)", "fill_left (0)", "fill_right (0)")
