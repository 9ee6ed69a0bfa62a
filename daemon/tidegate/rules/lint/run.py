"""Runs every check over rule files: those that need no data always, the others when there is data to ask."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from tidegate.model import outline, problems, rules
from tidegate.rules import load, manifests
from tidegate.rules.lint import (
    comments,
    condition,
    duplicate,
    hold,
    join,
    missing,
    resolve,
    subject,
    templatelabel,
    window,
)

OFFLINE = (condition.check, hold.check, templatelabel.check, resolve.check)
LIVE = (missing.check, window.check, join.check)
CODES = frozenset(
    {
        "lint-no-condition",
        "lint-short-for",
        "lint-template-label",
        "lint-resolve-labels",
        "lint-duplicate",
        "lint-no-series",
        "lint-short-window",
        "lint-join",
        "lint-no-answer",
    }
)
Outline: TypeAlias = Callable[[str], outline.Outline]


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What was found in files that load."""

    ruleset: rules.RuleSet
    problems: tuple[problems.Problem, ...]


def run(
    paths: Sequence[tuple[pathlib.Path, str]],
    checks: load.Checks,
    read: Outline,
    ask: subject.Ask | None,
    progress: Callable[[int, int], None] = lambda done, of: None,  # noqa: ARG005
) -> Report:
    """Check files; `progress` is told of rules done. Raises `ConfigError` when they do not load."""
    ruleset = load.load(paths, checks)
    documents = {part.file: part for path, shown in paths for part in manifests.read(path, shown)}
    subjects = list(_subjects(ruleset, documents, read))
    found: list[problems.Problem] = []
    by_place = {(one.document.file, one.rule.place): one for one in subjects}
    for number, one in enumerate(subjects):
        every = [problem for check in OFFLINE for problem in check(one)]
        every += _live(one, ask) if ask else []
        found += [problem for problem in every if not comments.ignored(problem, one)]
        progress(number + 1, len(subjects))
    for problem in duplicate.check(subjects):
        owner = next(one for one in by_place.values() if _owns(one, problem))
        found += [] if comments.ignored(problem, owner) else [problem]
    for document in {id(one.document): one.document for one in documents.values()}.values():
        found += comments.unknown(document, CODES)
    return Report(ruleset, tuple(sorted(dict.fromkeys(found), key=lambda one: (one.file, one.line, one.column))))


def _owns(one: subject.Subject, problem: problems.Problem) -> bool:
    return (one.document.file, *one.document.position(one.at)) == (problem.file, problem.line, problem.column)


def _live(one: subject.Subject, ask: subject.Ask) -> list[problems.Problem]:
    """A question without an answer is a finding: what was not looked at is not fine."""
    found: list[problems.Problem] = []
    for check in LIVE:
        try:
            found += check(one, ask)
        except (problems.QueryError, problems.TransientError) as error:
            problem = one.document.problem("lint-no-answer", f"not checked against data: {error}", (*one.at, "expr"))
            found.append(subject.placed(problem, one, ""))
    return found


def _detected(ruleset: rules.RuleSet) -> Iterator[str]:
    """The series that log rules may make."""
    return (one.series(part) for one in ruleset.log_detectors for part in rules.DETECTED[one.kind])


def _subjects(ruleset: rules.RuleSet, documents: dict[str, manifests.Part], read: Outline) -> Iterator[subject.Subject]:
    made = {rule.record for group in ruleset.groups for rule in group.rules if isinstance(rule, rules.RecordingRule)}
    names = frozenset(
        made | {name for metric in ruleset.log_metrics for name in metric.series} | set(_detected(ruleset))
    )
    for file, part in documents.items():
        log_rules = {one["alert"]: place for place, one in enumerate((part.value or {}).get("log_rules") or [])}
        written = len((part.value or {}).get("groups") or [])
        for number, group in enumerate(one for one in ruleset.groups if one.file == file):
            place = -1
            for rule in group.rules:
                alerting = rule if isinstance(rule, rules.AlertingRule) else None
                place += not (alerting and alerting.above)  # one that is written with severities is several here
                at = (*part.root, "groups", number, "rules", place)
                if number >= written:  # of the rules that stand for a log rule, the alert is what somebody wrote
                    if alerting is None:
                        continue
                    at = (*part.root, "log_rules", log_rules[alerting.alert])
                resolve = alerting.resolve_expr if alerting else ""
                outlines = read(rule.expr), read(resolve) if resolve else None
                yield subject.Subject(rule, group, outlines[0], part.document, at, names, outlines[1])
