"""The text format: equal to prometheus_client's parser, cold and warm, and clear about what is wrong."""

from __future__ import annotations

import math
import pathlib

import prometheus_client.parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model import labels, problems
from tidegate.scrape import exposition

Samples = dict[labels.Labels, float]


class Target:
    """A parser with the columns it was given."""

    def __init__(self) -> None:
        self.columns: dict[labels.Labels, int] = {}
        self.parser = exposition.Parser(lambda name: self.columns.setdefault(labels.make(name), len(self.columns)))

    def parse(self, body: str) -> Samples:
        parsed = self.parser.parse(body.encode())
        names = {column: name for name, column in self.columns.items()}
        return {
            names[column]: value for column, value in zip(parsed.columns.tolist(), parsed.values.tolist(), strict=True)
        }


def reference(body: str) -> Samples:
    return {
        labels.make({"__name__": sample.name, **sample.labels}): sample.value
        for family in prometheus_client.parser.text_string_to_metric_families(body)
        for sample in family.samples
    }


def same(one: Samples, other: Samples) -> bool:
    return one.keys() == other.keys() and all(
        one[name] == other[name] or (math.isnan(one[name]) and math.isnan(other[name])) for name in one
    )


def test_prometheus_own_exposition_is_read_as_the_reference_reads_it(conformance: pathlib.Path) -> None:
    body = (conformance / "exposition/alltypes.237mfs.prom.txt").read_text()
    target, expected = Target(), reference(body)
    assert len(expected) == 1857
    for _ in range(3):
        assert same(target.parse(body), expected)


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
    max_size=8,
)
LABELS = st.dictionaries(NAMES.filter(lambda name: not name.startswith("__")), TEXTS, max_size=3)
SERIES = st.dictionaries(
    st.tuples(NAMES, LABELS.map(lambda pairs: tuple(sorted(pairs.items())))), st.floats(), max_size=12
)


def written(series: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> str:
    lines = []
    for (name, pairs), value in series.items():
        escaped = (
            f'{key}="' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
            for key, text in pairs
        )
        number = repr(value).replace("inf", "Inf").replace("nan", "NaN")
        lines.append(f"{name}{{{','.join(escaped)}}} {number}")
    return "\n".join(lines) + "\n"


def expected(series: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> Samples:
    out: Samples = {}
    for (name, pairs), value in series.items():
        out.setdefault(labels.make({"__name__": name, **dict(pairs)}), value)
    return out


@given(st.lists(SERIES, min_size=1, max_size=4))
def test_what_was_written_is_read_cold_warm_and_changed(
    scrapes: list[dict[tuple[str, tuple[tuple[str, str], ...]], float]],
) -> None:
    target = Target()
    for series in [*scrapes, *scrapes, scrapes[-1]]:
        assert same(target.parse(written(series)), expected(series))


@pytest.mark.parametrize(
    ("line", "says", "column"),
    [
        ("a{", "braces are not closed", 3),
        ('a{b="c} 1', "expected a quoted value", 5),
        ('a{b="c"', "braces are not closed", 3),
        ('a{b="c",b="d"} 1', "stands twice", 9),
        ("a", "expected a value", 2),
        ("a one", "not a number", 3),
        ("a 1_000", "not a number", 3),
        ("a 1 2 3", "expected a value", 2),
        ("a 1 1.5", "expected a value", 2),
        ("0a 1", "expected a metric name", 1),
        ('{a="b"} 1', "without a metric name", 1),
        ("# TYPE a wrong", "expected a metric type", 10),
        ("# TYPE", "expected a metric name", 7),
        ('a{b"c"} 1', "expected `=`", 4),
    ],
)
def test_a_bad_line_fails_the_scrape_and_has_a_place(line: str, says: str, column: int) -> None:
    target = Target()
    target.parse("ok 1\n")
    with pytest.raises(problems.TransientError) as caught:
        target.parse(f"ok 1\n\n{line}\n")
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"line 3, column {column}")
    assert caught.value.reason == "parse"


def test_a_value_that_goes_bad_later_is_found_on_the_warm_path() -> None:
    target = Target()
    target.parse("a 1\nb 2\n")
    for wrong in ("x", "1_0", "0x1p"):
        with pytest.raises(problems.TransientError, match="line 2, column 3: not a number"):
            target.parse(f"a 1\nb {wrong}\n")
    assert target.parse("a 1\nb 3\n") == {labels.make(__name__="a"): 1, labels.make(__name__="b"): 3}


def test_timestamps_are_kept_apart_on_every_path() -> None:
    target = Target()
    for at in (1000, 2000, 3000):
        parsed = target.parser.parse(f'a 1\nb{{c="d"}} 2.5 {at}\n'.encode())
        assert parsed.stamped == ((at, target.columns[labels.make(__name__="b", c="d")], 2.5),)
        assert parsed.columns.tolist() == [target.columns[labels.make(__name__="a")]]
        assert parsed.samples == 2


def test_a_series_that_stands_twice_counts_once() -> None:
    target = Target()
    for _ in range(3):
        parsed = target.parser.parse(b'a{x="1",y="2"} 1\na{y="2",x="1"} 2\nb 3\n')
        assert (parsed.duplicates, parsed.values.tolist()) == (1, [1, 3])


def test_utf8_names_in_quotes() -> None:
    assert Target().parse('{"my.metric","a label"="b"} 4\n') == {
        labels.make({"__name__": "my.metric", "a label": "b"}): 4
    }


def test_series_added_counts_what_the_last_scrape_had_not() -> None:
    parser = Target().parser
    assert [parser.parse(body).added for body in (b"a 1\n", b"a 2\n", b"a 1\nb 1\n", b"b 1\n", b"a 1\nb 1\n")] == [
        1,
        0,
        1,
        0,
        1,
    ]


def test_churning_series_are_forgotten() -> None:
    target = Target()
    for number in range(50):
        target.parse(f'a{{i="{number}"}} 1\n')
    shape = target.parser._shape
    assert shape is not None
    assert shape.known() == {"": {'a{i="49"}': 49}}


def test_dropped_series_stay_dropped_and_are_counted_as_scraped() -> None:
    parser = exposition.Parser(lambda name: 0 if labels.get(name, "__name__") == "a" else exposition.DROPPED)
    for _ in range(3):
        parsed = parser.parse(b"a 1\nb 2\n")
        assert (parsed.columns.tolist(), parsed.values.tolist(), parsed.samples) == ([0], [1], 2)
