"""`log_rules:`: each becomes log series and ordinary rules over them, so that everything that rules can do they can.

Counting is done by a log metric; what needs a memory is a detector of the stream, which says what it saw and when. The
judgement is PromQL, here: so a server that scrapes many agents judges what all of them saw together.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Final

from tidegate.model import rules, section
from tidegate.rules import files

PREFIX: Final = "log_rule:"
COUNTER: Final = ":lines_total"
"""What the name of a log rule's own counter ends in."""
GROUP: Final = "log_rules"
"""The group that they are evaluated in."""
BACK: Final = 900.0
"""Seconds for which what an agent saw outlives it, at most: until it is back."""
LOST: Final = 21600.0
"""Seconds for which a stream that only a failing agent saw is unknown, and not silent."""
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
KINDS: Final = ("new_value", "new_template", "change", "spike", "silence", "sequence")


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """What stands for one log rule."""

    written: tuple[files.Rule, ...]
    metrics: tuple[files.LogMetric, ...] = ()
    detectors: tuple[rules.LogDetector, ...] = ()


def name(rule: files.LogRule) -> str:
    """What its series' names begin with."""
    return f"{PREFIX}{re.sub(r'[^a-zA-Z0-9_]', '_', rule.alert)}"


def kinds(rule: files.LogRule) -> list[str]:
    """The kinds that are given: one, when the rule is right."""
    return [kind for kind in KINDS if getattr(rule, kind) is not None]


def wrong(rule: files.LogRule) -> Iterator[tuple[str, str, tuple[str | int, ...]]]:
    """What cannot be meant: a code, what is wrong, and where in the rule."""
    given = kinds(rule)
    if len(given) != 1:
        known = ", ".join(f"`{kind}`" for kind in KINDS)
        here = " and ".join(f"`{kind}`" for kind in given) or "none"
        yield "rule-log-rule-kind", f"a log rule has exactly one of {known}; here: {here}", ()
    if rule.sequence and len(rule.sequence.steps) == 1 and not rule.sequence.without:
        yield "rule-log-rule-sequence", "a single step needs `without`", ("sequence",)
    for label in rule.by:
        if not _LABEL.match(label) or label in taken(rule):
            yield "rule-label-name", f"{label!r} cannot be a label here", ("by", label)


def queries(rule: files.LogRule) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every KQL text, and where it stands in the rule."""
    yield ("query",), rule.query
    if rule.sequence:
        yield from ((("sequence", "steps", place), step) for place, step in enumerate(rule.sequence.steps))
        yield ("sequence", "without"), rule.sequence.without


def taken(rule: files.LogRule) -> set[str]:
    """Labels that `by` cannot make: scraping an agent gives each series `job` and `instance`, and others are ours."""
    found = {"job", "instance"} | {one.label for one in (rule.new_value, rule.new_template, rule.change) if one}
    if rule.new_value or rule.new_template:
        found.add("version")
    return found | {"day"} if rule.spike else found


def made(rule: files.LogRule, place: rules.Place) -> Made:
    """What stands for a rule of exactly one kind."""
    if rule.new_value:
        return _news(rule, rule.new_value, _detector(rule, "new_value", place))
    if rule.new_template:
        detector = dataclasses.replace(_detector(rule, "new_template", place), similarity=rule.new_template.similarity)
        return _news(rule, rule.new_template, detector)
    if rule.change:
        return _change(rule, rule.change, _detector(rule, "change", place))
    if rule.silence:
        return _silence(rule, rule.silence, _detector(rule, "silence", place))
    if rule.sequence:
        return _sequence(rule, rule.sequence, _detector(rule, "sequence", place))
    return _spike(rule, rule.spike or files.Spike(height=2))


def group(rule: files.LogRule) -> str:
    """The group that a rule is evaluated in."""
    return f"{GROUP}:spikes" if rule.spike else GROUP


def interval(rule: files.LogRule, evaluation_interval: float) -> float:
    """Spikes look back for days: they are evaluated, and recorded, once a minute at most."""
    return max(evaluation_interval, 60.0) if rule.spike else evaluation_interval


def _detector(rule: files.LogRule, kind: rules.DetectorKind, place: rules.Place) -> rules.LogDetector:
    return rules.LogDetector(name(rule), kind, rule.query, tuple(sorted(rule.by.items())), place=place)


def _news(rule: files.LogRule, given: files.NewValue | files.NewTemplate, detector: rules.LogDetector) -> Made:
    by = _names(rule)
    every = ", ".join([*rule.by, given.label])
    base = name(rule)
    back = section.duration(min(given.window, BACK))
    seen = f"min by ({every}) (min_over_time({base}:first_seen_timestamp_seconds[{back}]))"
    learned = f"scalar(min({base}:since_timestamp_seconds)) + {_number(given.learn)}"
    news = f"({seen} > {learned})"
    if given.since == "deploy":
        versions = f"min by ({', '.join([*rule.by, 'version'])}) ({base}:deployed_timestamp_seconds)"
        latest = f"(max by ({by}) ({versions}) and on ({by}) count by ({by}) ({versions}) > 1)"
        news = f"({news} >= on ({by}) group_left () {latest})"
    detector = dataclasses.replace(
        detector, field=given.field, label=given.label, deploys=given.since == "deploy", limit=given.limit
    )
    return Made((_alert(rule, _since(news, given.window)),), detectors=(detector,))


def _change(rule: files.LogRule, given: files.Change, detector: rules.LogDetector) -> Made:
    every = ", ".join([*rule.by, given.label])
    expr = _since(f"max by ({every}) ({name(rule)}:changed_timestamp_seconds)", given.window)
    detector = dataclasses.replace(
        detector,
        field=given.field,
        label=given.label,
        within=given.within,
        forget=given.window,
        limit=given.limit,
    )
    return Made((_alert(rule, expr),), detectors=(detector,))


def _silence(rule: files.LogRule, given: files.Silence, detector: rules.LogDetector) -> Made:
    """The streams are recorded, so that only they are kept for long, and not all that an agent exposes."""
    by, idle, streams = _names(rule), f"{name(rule)}:idle_seconds", f"{name(rule)}:streams"
    lost = f"max_over_time({streams}[{section.duration(LOST)}]) and on (job, instance) up == 0"
    expr = f"(min by ({by}) ({idle}) > {_number(given.window)}) unless on ({by}) ({lost})"
    detector = dataclasses.replace(detector, forget=given.forget, limit=given.limit)
    return Made((files.Rule(record=streams, expr=idle), _alert(rule, expr)), detectors=(detector,))


def _sequence(rule: files.LogRule, given: files.Sequence, detector: rules.LogDetector) -> Made:
    expr = _since(f"max by ({_names(rule)}) ({name(rule)}:completed_timestamp_seconds)", given.window)
    narrowed = [f"({rule.query}) and ({step})" if rule.query else step for step in given.steps]
    without = f"({rule.query}) and ({given.without})" if rule.query and given.without else given.without
    detector = dataclasses.replace(
        detector,
        query=" or ".join(f"({step})" for step in narrowed),
        steps=tuple(narrowed),
        without=without,
        within=given.within,
        forget=given.window,
        limit=given.limit,
    )
    return Made((_alert(rule, expr),), detectors=(detector,))


def _spike(rule: files.LogRule, given: files.Spike) -> Made:
    by, base = _names(rule), name(rule)
    window = section.duration(given.window)
    counted = files.Rule(record=f"{base}:lines", expr=f"sum by ({by}) (increase({base}:lines_total[{window}]))")
    usual = files.Rule(record=f"{base}:lines_usual", expr=_usual(f"{base}:lines", by, given))
    now, then, height = f"{base}:lines", f"{base}:lines_usual", _number(given.height)
    sides = {"up": f"{now} >= {then} * {height}", "down": f"{now} <= {then} / {height}"}
    wanted = sides.values() if given.direction == "both" else [sides[given.direction]]
    found = " or ".join(f"({side})" for side in wanted)
    floor = f"{now} >= {_number(given.min_current)} and {then} >= {_number(given.min_reference)}"
    metric = files.LogMetric(name=f"{base}{COUNTER}", query=rule.query, by=rule.by, series_limit=given.series_limit)
    return Made((counted, usual, _alert(rule, f"({found}) and {floor}")), (metric,))


def _usual(lines: str, by: str, given: files.Spike) -> str:
    """The mean over those earlier days that there are numbers of."""
    if not given.days:
        return _whole(lines, given.window, given.window)
    days = " or ".join(
        f'label_replace({_whole(lines, day * 86400.0, given.window)}, "day", "{day}", "", "")'
        for day in range(1, given.days + 1)
    )
    return f"avg by ({by}) ({days})"


def _whole(lines: str, ago: float, window: float) -> str:
    """The lines of a window in the past, of which every second was counted."""
    earlier = section.duration(ago + window)
    return f"({lines} offset {section.duration(ago)} and {lines} offset {earlier})"


def _since(times: str, window: float) -> str:
    """These times are not longer ago than the window; the value is how many seconds ago they are."""
    return f"time() - {times} < {_number(window)}"


def _alert(rule: files.LogRule, expr: str) -> files.Rule:
    same = {name: getattr(rule, name) for name in ("for_", "keep_firing_for", "labels", "annotations")}
    return files.Rule(alert=rule.alert, expr=expr).model_copy(update=same)


def _names(rule: files.LogRule) -> str:
    return ", ".join(rule.by)


def _number(value: float) -> str:
    return f"{value:g}" if value != round(value) else f"{value:.0f}"
