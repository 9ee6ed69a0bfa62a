"""Label sets: the algebra, and fingerprints equal to Alertmanager's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.model import labels

SETS = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=6)


@given(SETS)
def test_making_drops_empty_values_and_sorts(mapping: dict[str, str]) -> None:
    made = labels.make(mapping)
    assert dict(made) == {name: value for name, value in mapping.items() if value}
    assert list(made) == sorted(made)


@given(SETS, SETS)
def test_merge_lets_the_second_win(first: dict[str, str], second: dict[str, str]) -> None:
    merged = dict(labels.merge(labels.make(first), second))
    assert merged == {name: value for name, value in {**first, **second}.items() if value}


def test_fingerprint_is_fnv1a_over_separated_pairs() -> None:
    assert labels.fingerprint(()) == "cbf29ce484222325"  # the offset basis
    known = 14695981039346656037
    for byte in b"job\xffshop\xff":
        known = ((known ^ byte) * 1099511628211) % 2**64
    assert labels.fingerprint(labels.make(job="shop")) == f"{known:016x}"


@given(SETS)
def test_fingerprint_is_stable_under_order(mapping: dict[str, str]) -> None:
    backwards = dict(reversed(mapping.items()))
    assert labels.fingerprint(labels.make(mapping)) == labels.fingerprint(labels.make(backwards))


def test_text_is_as_prometheus_prints_it() -> None:
    assert labels.text(labels.make({"__name__": "up", "job": 'a"b\\c\n'})) == 'up{job="a\\"b\\\\c\\n"}'
    assert labels.text(labels.make({"__name__": "up"})) == "up"
    assert labels.text(()) == "{}"
