"""OpenMetrics: the project's own cases, equality with prometheus_client's parser, and clear errors."""

from __future__ import annotations

import math
import pathlib
import re

import prometheus_client.openmetrics.parser as reference
import pytest
from prometheus_client import metrics_core

from tests.conformance import openmetrics as runner
from tidegate.model import labels, problems
from tidegate.scrape import exposition, lines, strict
from tidegate.scrape.protocols import Format


class Target:
    """A parser with the columns it was given."""

    def __init__(self, *, canonical: bool = False) -> None:
        self.columns: dict[labels.Labels, int] = {}
        self.parser = exposition.Parser(
            lambda name: self.columns.setdefault(labels.make(name), len(self.columns)), canonical=canonical
        )

    def read(self, body: str) -> exposition.Parsed:
        return self.parser.parse(body.encode(), Format.OPENMETRICS)

    def samples(self, body: str) -> dict[tuple[labels.Labels, int | None], float]:
        parsed = self.read(body)
        names = {column: name for name, column in self.columns.items()}
        plain = zip(parsed.columns.tolist(), parsed.values.tolist(), strict=True)
        return {(names[column], None): value for column, value in plain} | {
            (names[column], at): value for at, column, value in parsed.stamped
        }

    def exemplars(self, body: str) -> dict[labels.Labels, lines.Exemplar]:
        found = self.read(body).exemplars
        names = {column: name for name, column in self.columns.items()}
        return {names[column]: exemplar for column, exemplar in found}


def families_of(body: str) -> list[metrics_core.Metric]:
    return list(reference.text_string_to_metric_families(body))  # type: ignore[no-untyped-call]


def expected(body: str) -> dict[tuple[labels.Labels, int | None], float]:
    return {
        (
            labels.make({"__name__": sample.name, **sample.labels}),
            None if sample.timestamp is None else int(float(sample.timestamp) * 1000),
        ): sample.value
        for family in families_of(body)
        for sample in family.samples
    }


def same(
    one: dict[tuple[labels.Labels, int | None], float], two: dict[tuple[labels.Labels, int | None], float]
) -> bool:
    return one.keys() == two.keys() and all(
        one[key] == two[key] or (math.isnan(one[key]) and math.isnan(two[key])) for key in one
    )


def test_every_case_of_the_project_is_judged_as_it_says(conformance: pathlib.Path) -> None:
    found = [runner.run(folder) for folder in runner.cases(conformance / "openmetrics")]
    assert len(found) == 141
    assert [(case.folder.name, case.error) for case in found if not case.passed] == []
    assert all(case.error.startswith("line ") and ", column " in case.error for case in found if case.error)


def test_every_good_case_is_read_as_the_reference_reads_it(conformance: pathlib.Path) -> None:
    for folder in runner.cases(conformance / "openmetrics"):
        case = runner.run(folder)
        body = (folder / "metrics").read_text()
        if case.wanted and folder.name not in ("timestamps", "duplicate_timestamps_0"):
            target = Target()
            assert same(target.samples(body), expected(body)), folder.name
            assert same(target.samples(body), expected(body)), folder.name


def example(conformance: pathlib.Path) -> tuple[str, str]:
    """Prometheus' own exposition, and without what the reference refuses: negative sums, and the counts beside them."""
    body = (conformance / "exposition/alltypes.5mfs.om.txt").read_text()
    refused = re.compile(r"rpc_durations_histogram_seconds_(sum|count)|[^#]*} -|rpc_durations_seconds_sum")
    kept = [line for line in body.splitlines(keepends=True) if not refused.match(line) or " # {" in line]
    return body, "".join(kept)


def test_the_example_of_prometheus_is_read_as_the_reference_reads_it(conformance: pathlib.Path) -> None:
    whole, accepted = example(conformance)
    target = Target()
    for _ in range(3):
        assert same(target.samples(accepted), expected(accepted))
    more = target.samples(whole)
    left = [line.rpartition(" ") for line in whole.splitlines() if line not in accepted.splitlines()]
    assert len(more) == len(expected(accepted)) + len(left) == 53
    assert {value for key, value in more.items() if key not in expected(accepted)} == {float(one[2]) for one in left}


def test_exemplars_and_metadata_are_those_of_the_reference(conformance: pathlib.Path) -> None:
    _, body = example(conformance)
    target = Target()
    target.read(body)
    target.parser.forget()
    families = families_of(body)
    wanted = {
        labels.make({"__name__": sample.name, **sample.labels}): (
            labels.make(sample.exemplar.labels),
            sample.exemplar.value,
        )
        for family in families
        for sample in family.samples
        if sample.exemplar is not None
    }
    found = target.exemplars(body)
    assert len(wanted) == 6
    assert {name: (one.labels, one.value) for name, one in found.items()} == wanted
    # Not compared: the reference misreads times with an exponent, as these are.
    assert min(one.at_ms or 0 for one in found.values()) == 1726839813922
    said = {one.name: (one.type, one.help, one.unit) for one in target.parser.families}
    assert said == {family.name: (family.type, family.documentation, family.unit) for family in families}


def test_only_exemplars_that_changed_are_given_again() -> None:
    target = Target()
    body = 'a_total{x="1"} %d # {id="%s"} 0.5\nb_total 1 # {id="z"} 1 2.5\n# EOF\n'
    assert len(target.exemplars(body % (1, "p"))) == 2
    assert target.exemplars(body % (1, "p")) == {}
    assert target.exemplars(body % (2, "q")) == {
        labels.make({"__name__": "a_total", "x": "1"}): lines.Exemplar(labels.make(id="q"), 0.5, None)
    }


def test_buckets_have_one_name_in_both_formats() -> None:
    text = '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="1e6"} 2\na_bucket{le="+Inf"} 2\na{le="x"} 1\nb{le="1"} 1\n'
    found = []
    for form, body in ((Format.TEXT, text), (Format.OPENMETRICS, f"{text}# EOF\n")):
        target = Target(canonical=True)
        for _ in range(2):
            target.parser.parse(body.encode(), form)
        found.append([labels.text(name) for name in target.columns])
    assert found[0] == found[1]
    assert found[0] == ['a_bucket{le="1.0"}', 'a_bucket{le="1e+06"}', 'a_bucket{le="+Inf"}', 'a{le="x"}', 'b{le="1.0"}']


def test_a_changed_type_changes_what_its_samples_are_called() -> None:
    target = Target(canonical=True)
    target.read('# TYPE a histogram\na_bucket{le="1"} 1\n# EOF\n')
    target.read('# TYPE a unknown\na_bucket{le="1"} 1\n# EOF\n')
    assert [labels.text(name) for name in target.columns] == ['a_bucket{le="1.0"}', 'a_bucket{le="1"}']


@pytest.mark.parametrize(
    ("body", "says", "place"),
    [
        ("a 1\n", "does not end with `# EOF`", "line 1, column 1"),
        ("a 1\n# EOF\nb 1\n", "does not end with `# EOF`", "line 3, column 1"),
        ("# EOF\na 1\n# EOF\n", "before the end", "line 1, column 1"),
        ("a 1\n\n# EOF\n", "an empty line", "line 2, column 1"),
        ("a 1\nb  1\n# EOF\n", "expected a space and a value", "line 2, column 2"),
        ("a 1 \n# EOF\n", "expected a space and a timestamp", "line 1, column 4"),
        ("a 0x1\n# EOF\n", "not a number", "line 1, column 3"),
        ("a 1e999\n# EOF\n", "not a number", "line 1, column 3"),
        ("a 1 NaN\n# EOF\n", "not a timestamp", "line 1, column 5"),
        ('a{b="c" } 1\n# EOF\n', "expected `,` or `}`", "line 1, column 8"),
        ('a 1 # {b="c"} x\n# EOF\n', "not a number", "line 1, column 15"),
        ('a 1 # {b="c"}\n# EOF\n', "expected a space and a value", "line 1, column 14"),
        ("# HELP a\n# EOF\n", "expected a space and a text", "line 1, column 9"),
        ("# UNIT a seconds\n# EOF\n", "not the end of the name", "line 1, column 10"),
        ("# TYPE a untyped\n# EOF\n", "expected a metric type", "line 1, column 10"),
        ("#comment\n# EOF\n", "expected `# HELP `", "line 1, column 1"),
        ("{} 1\n# EOF\n", "without a metric name", "line 1, column 1"),
    ],
)
def test_what_the_grammar_forbids_fails_the_scrape_and_has_a_place(body: str, says: str, place: str) -> None:
    for check in (lambda: Target().read(body), lambda: strict.check(body.encode())):
        with pytest.raises(problems.TransientError) as caught:
            check()
        assert says in str(caught.value)
        assert str(caught.value).startswith(f"{place}: ")
        assert caught.value.reason == "parse"


def test_a_careless_exporter_is_scraped_as_prometheus_scrapes_it() -> None:
    body = "# TYPE a counter\na_total -1\na_created 5\n# TYPE a counter\n# EOF\n"
    with pytest.raises(problems.TransientError, match="negative"):
        strict.check(body.encode())
    assert Target().samples(body) == {
        (labels.make(__name__="a_total"), None): -1,
        (labels.make(__name__="a_created"), None): 5,
    }


def test_utf8_names_escapes_and_timestamps() -> None:
    body = '{"my.metric","a b"="} 1 # {",c="x\\n\\"\\\\"} 1 1.5\n# EOF\n'
    name = labels.make({"__name__": "my.metric", "a b": "} 1 # {", "c": 'x\n"\\'})
    target = Target()
    for _ in range(3):
        assert target.samples(body) == {(name, 1500): 1}
