"""The life of alerts, against a naive reading of Prometheus' rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.model import alerts, labels, rules
from tidegate.rules import lifecycle, share

NAMES = [labels.make(alertname="A", i=str(number)) for number in range(3)]
STEPS = st.lists(st.dictionaries(st.sampled_from(NAMES), st.floats(allow_nan=False, width=32)), max_size=30)


def hits(values: dict[labels.Labels, float]) -> list[lifecycle.Hit]:
    return [lifecycle.Hit(name, (), value) for name, value in values.items()]


@given(STEPS, st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_every_alert_lives_as_its_history_says(
    steps: list[dict[labels.Labels, float]], hold: int, keep: int, lower: bool
) -> None:
    times = lifecycle.Times(hold * 10.0, keep * 10.0, 50.0, lower)
    book: dict[labels.Labels, alerts.Alert] = {}
    history: dict[labels.Labels, list[float | None]] = {name: [] for name in NAMES}
    for number, values in enumerate(steps):
        book = lifecycle.step(book, hits(values), "rule", times, number * 10.0)
        for name in NAMES:
            history[name].append(values.get(name))
            state, peak = naive(history[name], hold, keep, lower)
            found = book.get(name)
            assert (found.state if found else None) == state, (name, history[name])
            if found and found.state != "resolved":
                assert found.peak == peak


def naive(history: list[float | None], hold: int, keep: int, lower: bool) -> tuple[str | None, float]:
    """State and worst value by walking the whole history, one step every 10 s."""
    state, since, missing, ended, worst = None, 0, -1, 0, 0.0
    for at, value in enumerate(history):
        if value is not None:
            if state in (None, "resolved"):
                state, since, worst = "pending", at, value
            worst = min(worst, value) if lower else max(worst, value)
            missing = -1
            if at - since >= hold:
                state = "firing"
        elif state == "pending":
            state = None
        elif state == "firing":
            missing = at if missing < 0 else missing
            if at - missing >= keep:
                state, ended = "resolved", at
        elif state == "resolved" and at - ended > 5:
            state = None
    return state, worst


@given(STEPS, st.integers(1, 5), st.integers(0, 4), st.integers(0, 3))
def test_n_of_m_is_what_the_last_evaluations_say(
    steps: list[dict[labels.Labels, float]], needed: int, more: int, keep: int
) -> None:
    times = lifecycle.Times(0.0, keep * 10.0, 1e9)
    asked = rules.Share(needed, needed + more)
    book: dict[labels.Labels, alerts.Alert] = {}
    history = share.History(asked)
    held: dict[labels.Labels, list[bool]] = {name: [] for name in NAMES}
    for number, values in enumerate(steps):
        bits = history.after(values.keys(), lambda _: False)
        judged = lifecycle.Judgement(counts=share.counts(bits), needed=needed)
        history.take(bits)
        book = lifecycle.step(book, hits(values), "rule", times, number * 10.0, judged)
        for name in NAMES:
            held[name].append(name in values)
            found = book.get(name)
            assert (found.state if found else None) == naive_share(held[name], asked, keep), held[name]


def naive_share(held: list[bool], asked: rules.Share, keep: int) -> str | None:
    """The state by counting the last evaluations anew at each one."""
    state, missing = None, -1
    for at, now in enumerate(held):
        count = sum(held[max(at + 1 - asked.of, 0) : at + 1])
        if count >= asked.needed and (now or state == "firing"):
            state, missing = "firing", -1
        elif state == "firing":
            missing = at if missing < 0 else missing
            state = "resolved" if at - missing >= keep else state
        elif now:
            state = "pending"
        elif state == "pending" and not count:
            state = None
    return state


def test_times_of_a_life() -> None:
    times = lifecycle.Times(hold=10)
    book: dict[labels.Labels, alerts.Alert] = {}
    seen = []
    for at, present in ((0, True), (10, True), (20, False)):
        book = lifecycle.step(book, hits({NAMES[0]: 1.0} if present else {}), "r", times, float(at))
        seen.append(book[NAMES[0]])
    assert [(one.state, one.active_at, one.fired_at, one.resolved_at) for one in seen] == [
        ("pending", 0, 0, 0),
        ("firing", 0, 10, 0),
        ("resolved", 0, 10, 20),
    ]


def test_an_alert_that_did_not_change_is_the_same_object() -> None:
    times = lifecycle.Times(keep_firing_for=100)
    book = lifecycle.step({}, hits({NAMES[0]: 1.0}), "r", times, 0.0)
    book = lifecycle.step(book, [], "r", times, 5.0)
    assert lifecycle.step(book, [], "r", times, 10.0)[NAMES[0]] is book[NAMES[0]]
