"""The quick ways of reading give what the careful way gives, whatever stands in an exposition."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tidegate.model import labels, problems
from tidegate.scrape import canonical, exposition, lines, reading
from tidegate.scrape.protocols import Format

Answer = tuple[object, ...]


class Columns:
    """Columns as a target gives them, some of them for what is not wanted."""

    def __init__(self) -> None:
        self.given: dict[labels.Labels, int] = {}

    def of(self, name: labels.Labels) -> int:
        if labels.get(name, "__name__").endswith("z"):
            return exposition.DROPPED
        return self.given.setdefault(name, len(self.given))

    def named(self, parsed: exposition.Parsed) -> Answer:
        names = {column: labels.text(name) for name, column in self.given.items()}
        return (
            [
                (names[column], value.hex())
                for column, value in zip(parsed.columns.tolist(), parsed.values.tolist(), strict=True)
            ],
            sorted((at, names[column], value.hex()) for at, column, value in parsed.stamped),
            parsed.samples,
            parsed.duplicates,
        )


def with_care(body: bytes, form: Format) -> Answer:
    """Every line by the grammar, nothing remembered."""
    columns = Columns()
    parser = exposition.Parser(columns.of, canonical=True)
    try:
        page = reading.page(body.decode("utf-8", "surrogateescape"), form)
        return columns.named(parser._anew(None, page, careful=True))
    except problems.TransientError as error:
        return ("refused", str(error))


class Quick:
    """A parser with a memory."""

    def __init__(self) -> None:
        self.columns = Columns()
        self.parser = exposition.Parser(self.columns.of, canonical=True)

    def read(self, body: bytes, form: Format) -> Answer:
        try:
            return self.columns.named(self.parser.parse(body, form))
        except problems.TransientError as error:
            return ("refused", str(error))


PIECES = (
    *(
        "a",
        "b_total",
        "az",
        "A",
        "le",
        "quantile",
        "__name__",
        "é",
        "\udcff",
        ":",
        "0",
        "1",
        "1.5",
        "-2",
        "1e3",
        "1e999",
    ),
    *(
        "NaN",
        "nan",
        "-NaN",
        "+Inf",
        "-Inf",
        "inf",
        "1_0",
        "0x1",
        "1700000000000",
        "٣",
        "{",
        "}",
        '"',
        ",",
        "=",
        '="',
        '",',
    ),
    *("\\", '\\"', "\\n", " ", "  ", "\t", "\r", "#", "# ", " # {", "\n", "\n\n", "# EOF", "# TYPE a histogram\n"),
    *(
        "# TYPE b summary\n",
        "# HELP a x\\y\n",
        "# UNIT a_s s\n",
        'a_bucket{le="1"} 1\n',
        'b{quantile="1",c="d"} 1\n',
        "\x85",
    ),
    *(
        'a{x="1"} 2\n',
        'a{x="2",y="3"} 4\n',
        'a{y="3",x="2"} 5 6\n',
        'a{x="y"} 1 # {t="u"} 2 3\n',
        "b 7\n",
        "b 7 8\n",
        '{"q.r"} 1\n',
    ),
)
BODIES = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
ENDED = BODIES.map(lambda body: f"{body}\n# EOF\n" if not body.endswith("\n") else f"{body}# EOF\n")


@given(st.lists(BODIES, min_size=1, max_size=4))
@example(['a{b="c"}"x 1\n'])
@example(['a{b="c"} 1\n', 'a{b="c"}1\n', "1\n", 'a{b="c"} \n'])
@example(["a0.5\n", "a01.5\n", "a0 1.5\na 5\n", 'a{b="c"}1\na{b="c"}12\n', 'a{b="c"}1 5\n'])
@example(['# TYPE a histogram\na{le="1"} 1\n', 'a{le="1"} 1\n'])
def test_text_is_read_the_same_in_every_way(bodies: list[str]) -> None:
    quick = Quick()
    for body in (*bodies, *bodies, bodies[-1]):
        raw = body.encode("utf-8", "surrogateescape")
        assert quick.read(raw, Format.TEXT) == with_care(raw, Format.TEXT)


@given(st.lists(ENDED, min_size=1, max_size=4))
@example(['a{x="} # {y"} 1\n# EOF\n', 'a{x="} # {y"} 2 # {x="y"} 1\n# EOF\n'])
@example(["# HELP a # {x\na 1\n# EOF\n"])
def test_openmetrics_is_read_the_same_in_every_way(bodies: list[str]) -> None:
    quick = Quick()
    for body in (*bodies, *bodies, bodies[-1]):
        raw = body.encode("utf-8", "surrogateescape")
        assert quick.read(raw, Format.OPENMETRICS) == with_care(raw, Format.OPENMETRICS)


LINES = st.sampled_from(
    [
        *('g{x="%d"} %d 1700000000', 'b_bucket{le="2"} %d 5', "h %d %d", "az %d 6", "a0 %d  7", "a0.%d 8"),
        *(
            "# TYPE a counter",
            "# TYPE b histogram",
            "# HELP a text",
            'b_bucket{le="1",x="%d"} %d',
            'b_bucket{le="+Inf"} %d',
        ),
        *(
            'a_total{x="%d"} %d',
            "c %d.5",
            'd{x="1",y="2",w="%d"} -%d',
            'e{x="a\\\\b"} %d',
            "az %d",
            "f %de3",
            "a_total %d",
        ),
    ]
)


def test_a_value_of_a_dropped_series_goes_nowhere() -> None:
    quick = Quick()
    for body in (b"az 1\nb 1\n", b"az 2\nb 1\n", b"az 3\nb 4\n", b"az 4\nb 5\n"):
        assert quick.read(body, Format.TEXT) == with_care(body, Format.TEXT)


@given(
    st.lists(LINES, min_size=1, max_size=10),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10**18)), min_size=2, max_size=6),
    st.booleans(),
)
def test_a_target_that_goes_on_is_read_as_if_it_were_new(
    shape: list[str], scrapes: list[tuple[int, int]], om: bool
) -> None:
    quick, form = Quick(), Format.OPENMETRICS if om else Format.TEXT
    for label, number in scrapes:
        filled = [line.replace('"%d"', f'"{label}"').replace("%d", str(number + at)) for at, line in enumerate(shape)]
        exemplar = f' # {{t="{number}"}} 1' if om and filled[-1][0] != "#" else ""
        body = "\n".join(filled) + exemplar + ("\n# EOF\n" if om else "\n")
        assert quick.read(body.encode(), form) == with_care(body.encode(), form)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(
            ("1", "1.0"),
            ("0", "0.0"),
            ("-0", "0.0"),
            ("-1", "-1.0"),
            ("0.5", "0.5"),
            ("100000", "100000.0"),
            (".25", "0.25"),
        ),
        *(
            ("1000000", "1e+06"),
            ("1234567.5", "1.2345675e+06"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1e22", "1e+22"),
        ),
        *(
            ("Inf", "+Inf"),
            ("-inf", "-Inf"),
            ("nan", "NaN"),
            ("1e100", "1e+100"),
            ("foo", "foo"),
            ("0x1", "0x1"),
            ("1_0", "1_0"),
        ),
    ],
)
def test_numbers_in_labels_have_one_form(text: str, number: str) -> None:
    assert canonical.number(text) == number


@given(st.floats())
def test_the_one_form_of_a_number_is_that_number(value: float) -> None:
    form = canonical.number(repr(value))
    found = lines.number(form)
    assert found is not None
    assert found == value or (found != found and value != value)
    assert canonical.number(form) == form
