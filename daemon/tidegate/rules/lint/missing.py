"""`lint-no-series`: a selector that matches nothing of what was there in the last hour; says which part is to blame."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.model import alerts, problems
from tidegate.model import labels as labels_
from tidegate.rules.lint import subject as subject_

OUR_OWN = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


def check(subject: subject_.Subject, ask: subject_.Ask) -> Iterator[problems.Problem]:
    """One problem for each selector."""
    every = ((field, selector) for field, outline in subject.outlines for selector in outline.selectors)
    for field, selector in every:
        name = next((one.value for one in selector.matchers if one.name == labels_.NAME and one.op == "="), "")
        if selector.optional or name in subject.made_here | OUR_OWN or _there(ask, selector.matchers):
            continue
        blame = _blame(name, selector.matchers, ask)
        summary = f"no series matches {selector.text}: {blame}"
        problem = subject.document.problem("lint-no-series", summary, (*subject.at, field))
        yield subject_.placed(problem, subject, selector.text)


def _blame(name: str, matchers: tuple[alerts.Matcher, ...], ask: subject_.Ask) -> str:
    base = tuple(one for one in matchers if one.name == labels_.NAME)
    if base and not _there(ask, base):
        return f"there is no metric {name}" if name else "no metric has such a name"
    for one in (one for one in matchers if one.name != labels_.NAME):
        if _there(ask, (*base, one)):
            continue
        if not _there(ask, (*base, alerts.Matcher(one.name, "!=", ""))):
            return f"its series have no label {one.name!r}"
        return f'the label {one.name!r} has no value that is {one.op} "{one.value}"'
    return "each condition holds for some series, but not all for one"


def _there(ask: subject_.Ask, matchers: tuple[alerts.Matcher, ...]) -> bool:
    return bool(ask(f"count(last_over_time({written(matchers)}[1h]))"))


def written(matchers: tuple[alerts.Matcher, ...]) -> str:
    """A selector in PromQL."""
    return "{" + ",".join(f"{one.name}{one.op}{_quoted(one.value)}" for one in matchers) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
