"""Each type of ElastAlert2's rules, as log metrics with PromQL or as a log rule.

Every function takes the fields that its type has, and gives what stands for them. Routing and texts are not its business.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tidegate.rules.elastalert import drafts, kqltext, querydsl, reading, values

WINDOW: Final = 900.0
"""ElastAlert2's `buffer_time` when neither the rule nor its settings give one."""
MINUTE: Final = 60.0
EVER: Final = 30 * 86400.0
LEARN: Final = 86400.0


def convert(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    """What stands for a rule. Raises `NotConvertedError`."""
    name = str(rule.need("type"))
    known = _TYPES.get(name)
    if known is None:
        hint = f"known: {', '.join(_TYPES)}"
        raise reading.NotConvertedError(f"rules of type `{name}` have no counterpart", ("type",), hint)
    return known(rule, subject)


def _any(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    window = max(rule.seconds("realert", MINUTE), MINUTE)
    return drafts.counted(subject, f"{drafts.increase(subject, window)} > 0")


def _blacklist(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    field, values = str(rule.need("compare_key")), _listed(rule, "blacklist", subject.folder)
    return _compared(rule, subject, field, querydsl.values(field, values))


def _whitelist(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    field, values = str(rule.need("compare_key")), _listed(rule, "whitelist", subject.folder)
    there = f"{kqltext.field(field)}:*" if rule.truth("ignore_null") else ""
    wanted = kqltext.every([there, kqltext.neither(querydsl.values(field, values))])
    return _compared(rule, subject, field, wanted)


def _compared(rule: reading.Rule, subject: drafts.Subject, field: str, wanted: str) -> drafts.Draft:
    """One alert for each value, as ElastAlert2 tells each line."""
    by = {**subject.by, drafts.label(field): drafts.bare(field)}
    query = kqltext.every([subject.query, wanted])
    return _any(rule, dataclasses.replace(subject, query=query, by=by))


def _change(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    fields = rule.names("compare_key")
    draft = drafts.Draft()
    if not fields:
        raise reading.NotConvertedError("the field `compare_key` is missing", ())
    for field in fields:
        change = {"field": drafts.bare(field), "within": drafts.duration(rule.seconds("timeframe", EVER))}
        name = subject.alert if len(fields) == 1 else f"{subject.alert} ({field})"
        draft.log_rules.append(drafts.log_rule(subject, "change", change, name))
    if not rule.truth("ignore_null"):
        draft.notes.append(("ignore_null", "a line without the field is no change here"))
    return draft


def _frequency(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    rule.take("attach_related")
    window, count = rule.seconds("timeframe"), rule.number("num_events")
    return drafts.counted(subject, f"{drafts.increase(subject, window)} >= {drafts.number(count)}")


def _spike(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    if rule.take("field_value") is not None:
        raise reading.NotConvertedError("a spike of a field's value has no counterpart yet", ("field_value",))
    spike = {
        "height": drafts.plain(rule.number("spike_height")),
        "direction": str(rule.need("spike_type")),
        "window": drafts.duration(rule.seconds("timeframe")),
        "days": 0,
        "min_current": drafts.plain(rule.number("threshold_cur", 0)),
        "min_reference": drafts.plain(rule.number("threshold_ref", 0)),
    }
    if spike["direction"] == "up":  # ElastAlert2 looks only when a line comes
        spike["min_current"] = drafts.plain(max(rule.number("threshold_cur", 0), 1))
    draft = drafts.Draft(log_rules=[drafts.log_rule(subject, "spike", spike)])
    if rule.truth("alert_on_new_data"):
        draft.notes.append(
            ("alert_on_new_data", "a stream needs a window before it can spike; `new_value` tells new ones")
        )
    return draft


def _flatline(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    window, least = rule.seconds("timeframe"), rule.number("threshold")
    notes = []
    if rule.truth("forget_keys"):
        notes.append(("forget_keys", "the alert is over when the lines are back, and is not told again until then"))
    if subject.by and least <= 1:
        silence = {"window": drafts.duration(window), "forget": drafts.duration(max(7 * window, LEARN))}
        return drafts.Draft(log_rules=[drafts.log_rule(subject, "silence", silence)], notes=notes)
    there = f"{drafts.over('sum', subject)} ({drafts.counter(subject)} offset {drafts.duration(window)}) >= 0"
    draft = drafts.counted(subject, f"{drafts.increase(subject, window)} < {drafts.number(least)} and {there}")
    draft.notes += notes
    return draft


def _new_term(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
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
    draft = drafts.Draft(
        notes=[("fields", f"what is known is learned from the lines of {drafts.duration(learn)}, not from the index")]
    )
    for place, field in enumerate(fields):
        *others, last = [str(one) for one in field] if isinstance(field, list) else [str(field)]
        by = {**subject.by, **{drafts.label(one): drafts.bare(one) for one in others}}
        by.pop(drafts.label(last), None)
        name = subject.alert if len(fields) == 1 else f"{subject.alert} ({place + 1})"
        news = {"field": drafts.bare(last), "label": drafts.label(last), "learn": drafts.duration(learn)}
        draft.log_rules.append(drafts.log_rule(dataclasses.replace(subject, by=by), "new_value", news, name))
    return draft


def _cardinality(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    field, window = str(rule.need("cardinality_field")), rule.seconds("timeframe")
    by = {**subject.by, drafts.label(field): drafts.bare(field)}
    whole = dataclasses.replace(subject, by=by)
    distinct = f"{drafts.over('count', subject)} ({drafts.increase(whole, window)} > 0)"
    draft = drafts.counted(whole, _sides(rule, distinct, "min_cardinality", "max_cardinality"))
    drafts.make_room(draft, max(rule.number(name, 0) for name in ("min_cardinality", "max_cardinality")))
    return draft


def _percentage(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    window = _window(rule)
    at = querydsl.Where(("match_bucket_filter",), subject.kind)
    matched = querydsl.filters(rule.need("match_bucket_filter"), at)
    part = dataclasses.replace(subject, alert=f"{subject.alert} matched", query=kqltext.every([subject.query, matched]))
    every, some = drafts.increase(subject, window), drafts.increase(part, window)
    least = rule.number("min_denominator", 0)
    whole = f"({every} >= {drafts.number(least)})" if least else every
    share = f"100 * ({some} or {every} * 0) / {whole}"
    rule.take("percentage_format_string")
    draft = drafts.counted(subject, _sides(rule, share, "min_percentage", "max_percentage"))
    draft.log_metrics += drafts.counted(part, "").log_metrics
    return draft


def _aggregation(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    function, field = str(rule.need("metric_agg_type")), str(rule.need("metric_agg_key"))
    if rule.take("metric_agg_script") is not None:
        raise reading.NotConvertedError("scripts have no counterpart", ("metric_agg_script",))
    window = _window(rule)
    rule.take("metric_format_string")
    if function in values.FUNCTIONS:
        of = values.of(rule, subject, function, field, window)
        return of.draft(_sides(rule, of.now, "min_threshold", "max_threshold"))
    if function not in ("value_count", "cardinality"):
        raise reading.NotConvertedError(f"`{function}` of a field has no counterpart", ("metric_agg_type",))
    if function == "cardinality":
        over = drafts.over("count", subject)
        subject = dataclasses.replace(subject, by={**subject.by, drafts.label(field): drafts.bare(field)})
        value = f"{over} ({drafts.increase(subject, window)} > 0)"
    else:
        subject = dataclasses.replace(subject, query=kqltext.every([subject.query, f"{kqltext.field(field)}:*"]))
        value = drafts.increase(subject, window)
    draft = drafts.counted(subject, _sides(rule, value, "min_threshold", "max_threshold"))
    if function == "cardinality":
        drafts.make_room(draft, max(rule.number(name, 0) for name in ("min_threshold", "max_threshold")))
    return draft


def _spike_aggregation(rule: reading.Rule, subject: drafts.Subject) -> drafts.Draft:
    function, field = str(rule.need("metric_agg_type")), str(rule.need("metric_agg_key"))
    if function not in values.FUNCTIONS:
        raise reading.NotConvertedError(f"a spike of `{function}` has no counterpart", ("metric_agg_type",))
    if rule.take("metric_agg_script") is not None:
        raise reading.NotConvertedError("scripts have no counterpart", ("metric_agg_script",))
    window = rule.seconds("timeframe", _window(rule))
    of = values.of(rule, subject, function, field, window)
    height, direction = drafts.number(rule.number("spike_height")), str(rule.need("spike_type"))
    sides = {"up": f"{of.now} >= {height} * ({of.before})", "down": f"{of.now} <= ({of.before}) / {height}"}
    if direction not in (*sides, "both"):
        raise reading.NotConvertedError(f"{direction!r} is no direction", ("spike_type",))
    spikes = list(sides.values()) if direction == "both" else [sides[direction]]
    least = [
        f" and {value} >= {drafts.number(rule.number(name))}"
        for name, value in (("threshold_cur", of.now), ("threshold_ref", of.before))
        if rule.take(name) is not None
    ]
    rule.take("min_doc_count")
    return of.draft(" or ".join(f"({one}{''.join(least)})" for one in spikes) if least else " or ".join(spikes))


def _window(rule: reading.Rule) -> float:
    for name in ("use_run_every_query_size", "allow_buffer_time_overlap", "sync_bucket_interval"):
        rule.take(name)
    whole = rule.seconds("buffer_time", WINDOW)
    return rule.seconds("bucket_interval", whole)


def _sides(rule: reading.Rule, value: str, least: str, most: str) -> str:
    """`value` is below the one or above the other."""
    sides = [
        f"{value} {sign} {drafts.number(rule.number(name))}"
        for name, sign in ((least, "<"), (most, ">"))
        if rule.take(name) is not None
    ]
    if not sides:
        raise reading.NotConvertedError(f"one of `{least}` and `{most}` is missing", ())
    return " or ".join(sides)


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


_TYPES: Final[Mapping[str, Callable[[reading.Rule, drafts.Subject], drafts.Draft]]] = {
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
