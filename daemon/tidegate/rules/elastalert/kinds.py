"""Each type of ElastAlert2's rules, as log metrics with PromQL or as a log rule.

Every function takes the fields that its type has, and gives what stands for them. Routing and texts are not its business.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tidegate.model import section
from tidegate.rules.elastalert import kqltext, querydsl, reading

SERIES: Final = 1000
"""The default `series_limit` of log metrics."""
ROOM: Final = 20
WINDOW: Final = 900.0
"""ElastAlert2's `buffer_time` when neither the rule nor its settings give one."""
MINUTE: Final = 60.0
EVER: Final = 30 * 86400.0
LEARN: Final = 86400.0


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What every type has in common."""

    alert: str
    query: str
    by: Mapping[str, str]
    """Label to field."""
    kind: querydsl.KindOf
    folder: pathlib.Path
    """Where files that the rule names are."""

    @property
    def base(self) -> str:
        """What the names of its series begin with."""
        return slug(self.alert)

    @property
    def labels(self) -> str:
        """For `by (...)`."""
        return ", ".join(self.by)


@dataclasses.dataclass(slots=True)
class Draft:
    """What stands for a rule, as it is written down."""

    log_metrics: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    log_rules: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    rules: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    notes: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """(field, what is not quite the same)."""


def slug(text: str) -> str:
    """A name for a text."""
    found = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return found if found and not found[0].isdigit() else f"rule_{found}"


def label(field: str) -> str:
    """A label for a field."""
    name = re.sub(r"[^a-zA-Z0-9_]", "_", re.sub(r"\.(keyword|raw)\Z", "", field)).strip("_")
    return name if name and not name[0].isdigit() else f"field_{name}"


def bare(field: str) -> str:
    """A field without the suffix of a second mapping."""
    return re.sub(r"\.(keyword|raw)\Z", "", field)


def convert(rule: reading.Rule, subject: Subject) -> Draft:
    """What stands for a rule. Raises `NotConvertedError`."""
    name = str(rule.need("type"))
    known = _TYPES.get(name)
    if known is None:
        hint = f"known: {', '.join(_TYPES)}"
        raise reading.NotConvertedError(f"rules of type `{name}` have no counterpart", ("type",), hint)
    return known(rule, subject)


def _any(rule: reading.Rule, subject: Subject) -> Draft:
    window = max(rule.seconds("realert", MINUTE), MINUTE)
    return _counted(subject, f"{_increase(subject, window)} > 0")


def _blacklist(rule: reading.Rule, subject: Subject) -> Draft:
    field, values = str(rule.need("compare_key")), _listed(rule, "blacklist", subject.folder)
    return _compared(rule, subject, field, querydsl.values(field, values))


def _whitelist(rule: reading.Rule, subject: Subject) -> Draft:
    field, values = str(rule.need("compare_key")), _listed(rule, "whitelist", subject.folder)
    there = f"{kqltext.field(field)}:*" if rule.truth("ignore_null") else ""
    wanted = kqltext.every([there, kqltext.neither(querydsl.values(field, values))])
    return _compared(rule, subject, field, wanted)


def _compared(rule: reading.Rule, subject: Subject, field: str, wanted: str) -> Draft:
    """One alert for each value, as ElastAlert2 tells each line."""
    by = {**subject.by, label(field): bare(field)}
    query = kqltext.every([subject.query, wanted])
    return _any(rule, dataclasses.replace(subject, query=query, by=by))


def _change(rule: reading.Rule, subject: Subject) -> Draft:
    fields = rule.names("compare_key")
    draft = Draft()
    if not fields:
        raise reading.NotConvertedError("the field `compare_key` is missing", ())
    for field in fields:
        change = {"field": bare(field), "within": _time(rule.seconds("timeframe", EVER))}
        name = subject.alert if len(fields) == 1 else f"{subject.alert} ({field})"
        draft.log_rules.append(_log_rule(subject, "change", change, name))
    if not rule.truth("ignore_null"):
        draft.notes.append(("ignore_null", "a line without the field is no change here"))
    return draft


def _frequency(rule: reading.Rule, subject: Subject) -> Draft:
    rule.take("attach_related")
    window, count = rule.seconds("timeframe"), rule.number("num_events")
    return _counted(subject, f"{_increase(subject, window)} >= {_number(count)}")


def _spike(rule: reading.Rule, subject: Subject) -> Draft:
    if rule.take("field_value") is not None:
        raise reading.NotConvertedError("a spike of a field's value has no counterpart yet", ("field_value",))
    spike = {
        "height": _plain(rule.number("spike_height")),
        "direction": str(rule.need("spike_type")),
        "window": _time(rule.seconds("timeframe")),
        "days": 0,
        "min_current": _plain(rule.number("threshold_cur", 0)),
        "min_reference": _plain(rule.number("threshold_ref", 0)),
    }
    if spike["direction"] == "up":  # ElastAlert2 looks only when a line comes
        spike["min_current"] = _plain(max(rule.number("threshold_cur", 0), 1))
    draft = Draft(log_rules=[_log_rule(subject, "spike", spike)])
    if rule.truth("alert_on_new_data"):
        draft.notes.append(
            ("alert_on_new_data", "a stream needs a window before it can spike; `new_value` tells new ones")
        )
    return draft


def _flatline(rule: reading.Rule, subject: Subject) -> Draft:
    window, least = rule.seconds("timeframe"), rule.number("threshold")
    notes = []
    if rule.truth("forget_keys"):
        notes.append(("forget_keys", "the alert is over when the lines are back, and is not told again until then"))
    if subject.by and least <= 1:
        silence = {"window": _time(window), "forget": _time(max(7 * window, LEARN))}
        return Draft(log_rules=[_log_rule(subject, "silence", silence)], notes=notes)
    there = f"{_over('sum', subject)} ({_name(subject)} offset {_time(window)}) >= 0"
    draft = _counted(subject, f"{_increase(subject, window)} < {_number(least)} and {there}")
    draft.notes += notes
    return draft


def _new_term(rule: reading.Rule, subject: Subject) -> Draft:
    given = rule.take("fields")
    fields = given if isinstance(given, list) else [given] if given else rule.names("query_key")
    if not fields:
        raise reading.NotConvertedError("the field `fields` is missing", ())
    if rule.truth("alert_on_missing_field"):
        raise reading.NotConvertedError(
            "lines without the field have no value that is new", ("alert_on_missing_field",)
        )
    learn = min(rule.seconds("terms_window_size", EVER), LEARN)
    rule.take("window_step_size")
    rule.take("use_keyword_postfix")
    draft = Draft(notes=[("fields", f"what is known is learned from the lines of {_time(learn)}, not from the index")])
    for place, field in enumerate(fields):
        *others, last = [str(one) for one in field] if isinstance(field, list) else [str(field)]
        by = {**subject.by, **{label(one): bare(one) for one in others}}
        by.pop(label(last), None)
        name = subject.alert if len(fields) == 1 else f"{subject.alert} ({place + 1})"
        news = {"field": bare(last), "label": label(last), "learn": _time(learn)}
        draft.log_rules.append(_log_rule(dataclasses.replace(subject, by=by), "new_value", news, name))
    return draft


def _cardinality(rule: reading.Rule, subject: Subject) -> Draft:
    field, window = str(rule.need("cardinality_field")), rule.seconds("timeframe")
    by = {**subject.by, label(field): bare(field)}
    whole = dataclasses.replace(subject, by=by)
    distinct = f"{_over('count', subject)} ({_increase(whole, window)} > 0)"
    draft = _counted(whole, _sides(rule, distinct, "min_cardinality", "max_cardinality"))
    _room(draft, max(rule.number(name, 0) for name in ("min_cardinality", "max_cardinality")))
    return draft


def _percentage(rule: reading.Rule, subject: Subject) -> Draft:
    window = _window(rule)
    at = querydsl.Where(("match_bucket_filter",), subject.kind)
    matched = querydsl.filters(rule.need("match_bucket_filter"), at)
    part = dataclasses.replace(subject, alert=f"{subject.alert} matched", query=kqltext.every([subject.query, matched]))
    every, some = _increase(subject, window), _increase(part, window)
    least = rule.number("min_denominator", 0)
    whole = f"({every} >= {_number(least)})" if least else every
    share = f"100 * ({some} or {every} * 0) / {whole}"
    rule.take("percentage_format_string")
    draft = _counted(subject, _sides(rule, share, "min_percentage", "max_percentage"))
    draft.log_metrics += _counted(part, "").log_metrics
    return draft


def _aggregation(rule: reading.Rule, subject: Subject) -> Draft:
    function, field = str(rule.need("metric_agg_type")), str(rule.need("metric_agg_key"))
    if function not in ("value_count", "cardinality"):
        what = f"`{function}` of a field has no counterpart: log metrics count lines"
        raise reading.NotConvertedError(what, ("metric_agg_type",), "expose the number as a metric, where it is made")
    if rule.take("metric_agg_script") is not None:
        raise reading.NotConvertedError("scripts have no counterpart", ("metric_agg_script",))
    window = _window(rule)
    rule.take("metric_format_string")
    if function == "cardinality":
        over = _over("count", subject)
        subject = dataclasses.replace(subject, by={**subject.by, label(field): bare(field)})
        value = f"{over} ({_increase(subject, window)} > 0)"
    else:
        subject = dataclasses.replace(subject, query=kqltext.every([subject.query, f"{kqltext.field(field)}:*"]))
        value = _increase(subject, window)
    draft = _counted(subject, _sides(rule, value, "min_threshold", "max_threshold"))
    if function == "cardinality":
        _room(draft, max(rule.number(name, 0) for name in ("min_threshold", "max_threshold")))
    return draft


def _spike_aggregation(rule: reading.Rule, _subject: Subject) -> Draft:
    what = f"a spike of `{rule.need('metric_agg_type')}` has no counterpart: log metrics count lines"
    raise reading.NotConvertedError(what, ("metric_agg_type",), "expose the number as a metric, where it is made")


def _window(rule: reading.Rule) -> float:
    for name in ("use_run_every_query_size", "allow_buffer_time_overlap", "sync_bucket_interval"):
        rule.take(name)
    whole = rule.seconds("buffer_time", WINDOW)
    return rule.seconds("bucket_interval", whole)


def _sides(rule: reading.Rule, value: str, least: str, most: str) -> str:
    """`value` is below the one or above the other."""
    sides = [
        f"{value} {sign} {_number(rule.number(name))}"
        for name, sign in ((least, "<"), (most, ">"))
        if rule.take(name) is not None
    ]
    if not sides:
        raise reading.NotConvertedError(f"one of `{least}` and `{most}` is missing", ())
    return " or ".join(sides)


def _counted(subject: Subject, expr: str) -> Draft:
    metric: dict[str, Any] = {"name": _name(subject), "query": subject.query}
    if subject.by:
        metric["by"] = dict(subject.by)
    return Draft(log_metrics=[metric], rules=[{"alert": subject.alert, "expr": expr}])


def _log_rule(subject: Subject, kind: str, given: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"alert": name or subject.alert}
    if subject.query:
        made["query"] = subject.query
    if subject.by:
        made["by"] = dict(subject.by)
    return {**made, kind: dict(given)}


def _listed(rule: reading.Rule, name: str, folder: pathlib.Path) -> Sequence[str]:
    """The values of a list, with those of the files that it names."""
    rule.need(name)
    found: list[str] = []
    for place, one in enumerate(rule.names(name)):
        if not one.startswith("!file"):
            found.append(one)
            continue
        path = folder / one.removeprefix("!file").strip()
        try:
            found += [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise reading.NotConvertedError(f"cannot read {path}: {error}", (name, place)) from None
    if not found:
        raise reading.NotConvertedError(f"`{name}` is empty", (name,))
    return found


def _name(subject: Subject) -> str:
    return f"{subject.base}_lines_total"


def _room(draft: Draft, values: float) -> None:
    """A log metric must tell apart clearly more values than the rule counts."""
    if values * ROOM > SERIES:
        draft.log_metrics[0]["series_limit"] = round(values * ROOM)


def _over(function: str, subject: Subject) -> str:
    return f"{function} by ({subject.labels})" if subject.by else function


def _increase(subject: Subject, window: float) -> str:
    return f"{_over('sum', subject)} (increase({_name(subject)}[{_time(window)}]))"


def _time(seconds: float) -> str:
    return section.duration(seconds)


def _plain(value: float) -> float:
    """A whole number without a fraction."""
    return int(value) if value == int(value) else value


def _number(value: float) -> str:
    return f"{value:g}" if value != round(value) else f"{value:.0f}"


_TYPES: Final[Mapping[str, Callable[[reading.Rule, Subject], Draft]]] = {
    "any": _any,
    "blacklist": _blacklist,
    "whitelist": _whitelist,
    "change": _change,
    "frequency": _frequency,
    "spike": _spike,
    "flatline": _flatline,
    "new_term": _new_term,
    "cardinality": _cardinality,
    "metric_aggregation": _aggregation,
    "spike_aggregation": _spike_aggregation,
    "percentage_match": _percentage,
}
