"""`lint-join`: two sides that both have series, of which none finds a partner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tidegate.model import labels as labels_
from tidegate.model import outline, problems
from tidegate.rules.lint import subject as subject_


def check(subject: subject_.Subject, ask: subject_.Ask) -> Iterator[problems.Problem]:
    """One problem for each join."""
    for join in subject.outline.joins:
        left, right = ([labels for labels, _ in ask(side)] for side in (join.left, join.right))
        if not left or not right or {_key(one, join) for one in left} & {_key(one, join) for one in right}:
            continue
        problem = subject.document.problem(
            "lint-join",
            f"no series on the left of `{join.op}` finds a partner on its right: {_why(left, right, join)}",
            (*subject.at, "expr"),
            hint="match with `on (...)` or `ignoring (...)`",
        )
        yield subject_.placed(problem, subject, join.left)


def _key(labels: labels_.Labels, join: outline.Join) -> labels_.Labels:
    bare = labels_.without(labels, labels_.NAME)
    return tuple(pair for pair in bare if (pair[0] in join.labels) == join.on)


def _why(left: Sequence[labels_.Labels], right: Sequence[labels_.Labels], join: outline.Join) -> str:
    mine, theirs = ({pair[0] for one in side for pair in _key(one, join)} for side in (left, right))
    found = [
        f"only the {side} has {', '.join(sorted(names))}"
        for side, names in (("left", mine - theirs), ("right", theirs - mine))
        if names
    ]
    return "; ".join(found) or f"the values of {', '.join(sorted(mine)) or 'the labels'} differ"
