"""What templates print, as `promtool test rules` of Prometheus 3 printed the same templates and values."""

from __future__ import annotations

import pytest

from tidegate.rules import functions

NUMBERS = {
    0.0: "0",
    100000.0: "100000",
    999999.0: "999999",
    1e6: "1e+06",
    1234567.0: "1.234567e+06",
    123456789.128: "1.23456789128e+08",
    -3723.5: "-3723.5",
    0.00012345: "0.00012345",
    1e-5: "1e-05",
    1e21: "1e+21",
    float("inf"): "+Inf",
}
TIMES = {
    1435065584.128: "2015-06-23 13:19:44.128 +0000 UTC",
    -3723.5: "1969-12-31 22:57:56.5 +0000 UTC",
    0.00012345: "1970-01-01 00:00:00 +0000 UTC",
}
DURATIONS = {
    0.0: "0s",
    0.1: "100ms",
    1e-5: "10µs",
    0.00012345: "123.449µs",
    -3723.5: "-1h2m3.5s",
    86461.0: "24h1m1s",
    1435065584.128: "398629h19m44.128s",
    1e12: "-2562047h47m16.854775808s",
}


@pytest.mark.parametrize(("value", "text"), NUMBERS.items())
def test_numbers(value: float, text: str) -> None:
    assert functions.number(value) == text


@pytest.mark.parametrize(("value", "text"), TIMES.items())
def test_times(value: float, text: str) -> None:
    assert str(functions.to_time(value)) == functions.humanize_timestamp(value) == text


@pytest.mark.parametrize("value", [1e12, -1e12])
def test_times_out_of_range_are_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match="overflows int64"):
        functions.humanize_timestamp(value)


@pytest.mark.parametrize(("value", "text"), DURATIONS.items())
def test_durations(value: float, text: str) -> None:
    assert str(functions.to_duration(value)) == text


@pytest.mark.parametrize(("value", "text"), [("NaN", "NaN%"), ("inf", "+Inf%"), ("-inf", "-Inf%"), ("0.5", "50%")])
def test_percentages(value: str, text: str) -> None:
    assert functions.humanize_percentage(value) == text


@pytest.mark.parametrize(
    ("replacement", "text"), [("$1x", ""), ("${1}x", "ax"), ("$1-$3", "a-"), ("$n", "b"), ("$$1", "$1")]
)
def test_groups_of_a_replacement(replacement: str, text: str) -> None:
    assert functions.re_replace_all("(a)(?P<n>b)", replacement, "ab") == text
