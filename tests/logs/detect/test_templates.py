"""Templates: lines that differ in what varies are one, the number of templates is bounded, names stay."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from tidegate.logs.detect import base, masks, templates


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("timeout after 30 ms", "timeout after <*> ms"),
        ("took 12.5ms, code=E42", "took <*>, code=<*>"),
        ("from 10.0.0.1:9200 to [::1]:80", "from <*>:<*> to [::<*>]:<*>"),
        ('user "ann lee" failed', "user <*> failed"),
        ("it isn't ann's", "it isn't ann's"),
        ("id 8f14e45f-ceea-467f-a0e6-b3f0ab3d1c2f gone", "id <*> gone"),
        ("id abcdefab-cdef gone", "id <*> gone"),
        ("GET /orders/17/items", "GET <*>"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_masks(message: str, wanted: str) -> None:
    assert " ".join(masks.words(message)) == wanted


def find(miner: templates.Miner, message: str, key: tuple[str, ...] = ()) -> str:
    return miner.find(key, message)[0].name


def test_lines_that_share_most_words_are_one_template() -> None:
    miner = templates.Miner(10, 0.5)
    assert find(miner, "connection to db lost") == "connection to db lost"
    assert find(miner, "connection to db refused") == "connection to db lost"
    assert find(miner, "connection to db lost again") == "connection to db lost again", "more words"
    assert find(miner, "the cat sat down") == "the cat sat down"
    assert find(miner, "connection to db lost", ("other",)) == "connection to db lost"
    assert len(miner) == 4


def test_the_one_seen_longest_ago_makes_room() -> None:
    miner = templates.Miner(2, 0.9)
    find(miner, "alpha one")
    find(miner, "beta two")
    find(miner, "alpha one")
    _, gone = miner.find((), "gamma three")
    assert gone is not None
    assert gone.name == "beta two"
    assert [one.name for one in miner] == ["alpha one", "gamma three"]


WORD = st.sampled_from(["a", "b", "c", "d", "x1", "7", '"q"', "e=2"])
MESSAGE = st.lists(WORD, max_size=6).map(" ".join)


@hypothesis.given(st.lists(st.tuples(st.sampled_from(["k", "l"]), MESSAGE), max_size=60), st.integers(1, 5))
def test_whatever_comes_the_tree_holds_just_what_is_known(lines: list[tuple[str, str]], limit: int) -> None:
    miner = templates.Miner(limit, 0.5)
    for key, message in lines:
        known = {(one.key, one.name) for one in miner}
        found, gone = miner.find((key,), message)
        assert found.key == (key,)
        assert len(found.words) == len(masks.words(message))
        assert found in list(miner)[-1:], "the one seen last"
        assert (gone is None) == (len(known) < limit or (found.key, found.name) in known)
        again, _ = miner.find((key,), message)
        assert again is found, "a line finds its own template"
    in_leaves = [one for leaf in miner._leaves.values() for one in leaf]
    assert sorted(map(id, in_leaves)) == sorted(map(id, miner))
    assert len(miner) <= limit
    read_back = templates.Miner(limit, 0.5)
    for one in list(miner):
        read_back.add(one.key, one.name, list(one.words))
    for key, message in lines:
        assert find(read_back, message, (key,)) == find(miner, message, (key,)), "a restart changes nothing"
    branches = sum(count for counts in miner._branches.values() for count in counts.values())
    assert branches == sum(len(one.leaf) - 2 for one in miner), "nothing is left of what made room"


def test_a_place_with_many_words_shares_a_branch() -> None:
    miner = templates.Miner(1000, 0.4)
    for number in range(templates.CHILDREN + 50):
        find(miner, f"{chr(97 + number // 26)}{chr(97 + number % 26)}w is the same thing")
    assert len(miner) == templates.CHILDREN + 1
    assert find(miner, "aaw is the same thing") == "aaw is the same thing"


def test_long_values_stay_apart() -> None:
    first, second = base.short("x" * 300 + "a"), base.short("x" * 300 + "b")
    assert first != second
    assert len(first) == base.LONGEST
    assert base.short("x" * 200) == "x" * 200


def test_a_leaf_is_small() -> None:
    miner = templates.Miner(1000, 0.9)
    every = [f"one two three {chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(templates.ALIKE + 1)]
    for message in every[:-1]:
        find(miner, message)
    find(miner, every[0])
    _, gone = miner.find((), every[-1])
    assert gone is not None
    assert gone.name == every[1], "the one seen longest ago in this leaf"
    assert len(miner) == templates.ALIKE
