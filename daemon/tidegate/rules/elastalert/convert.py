"""Rules of ElastAlert2 become a rule file: what maps is written, all else is a problem at the field that it is about.

A rule of which a part that decides when it fires does not map is left out: half of it would page for something else.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import yaml

from tidegate.model import problems
from tidegate.rules.elastalert import drafts, kinds, querydsl, reading, telling

WIDTH: Final = 10_000
"""Expressions are not broken into lines."""
LEFT_OUT: Final = "import-left-out"
NOT_CONVERTED: Final = "import-not-converted"
DIFFERS: Final = "import-differs"
NO_MEANING: Final = "import-no-meaning"
_NO_MEANING: Final = (
    *(
        "es_host",
        "es_port",
        "es_hosts",
        "es_username",
        "es_password",
        "es_bearer",
        "es_url_prefix",
        "es_api_key",
        "use_ssl",
    ),
    *("verify_certs", "ca_certs", "client_cert", "client_key", "ssl_show_warn", "aws_region", "profile", "index"),
    *(
        "use_strftime_index",
        "search_extra_index",
        "timestamp_field",
        "timestamp_type",
        "timestamp_format",
        "query_delay",
    ),
    *("timestamp_format_expr", "timestamp_to_datetime_format_expr", "buffer_time", "run_every", "max_query_size"),
    *("max_scrolling", "max_threads", "misfire_grace_time", "scroll_keepalive", "use_count_query", "use_terms_query"),
    *(
        "terms_size",
        "doc_type",
        "num_hits",
        "scan_entire_timeframe",
        "include",
        "include_fields",
        "include_match_in_root",
    ),
    *("replace_dots_in_field_names", "raw_count_keys", "top_count_keys", "top_count_number", "use_local_time"),
    *("custom_pretty_ts_format", "alert_missing_value", "include_rule_params_in_matches", "attach_related"),
    *("aggregation_alert_time_compared_with_timestamp_field", "aggregate_by_match_time", "min_doc_count"),
    *("use_keyword_postfix", "run_enhancements_first", "realert_key", "exponential_realert", "slack_timeout"),
)
"""Fields that say how ElastAlert2 works, not when it fires; or that messages here have anyhow."""
_PREFIXES: Final = ("kibana_", "opensearch_", "generate_", "shorten_", "summary_", "statsd_")


@dataclasses.dataclass(frozen=True, slots=True)
class Checks:
    """What the conversion is checked with."""

    kind: querydsl.KindOf
    """The kind of a field, by any of its names."""
    kql: Callable[[str], object]
    """Raises `QueryError` for a text that is no KQL."""


@dataclasses.dataclass(frozen=True, slots=True)
class Converted:
    """One rule, or what is to be said of it."""

    content: Mapping[str, list[dict[str, Any]]]
    """What belongs into the rule file; empty when the rule was left out."""
    settings: Mapping[str, Any]
    """What belongs into `alerts` of the settings."""
    problems: tuple[problems.Problem, ...]

    @property
    def whole(self) -> bool:
        """Whether everything was converted."""
        return not any(one.severity == "error" for one in self.problems)


def convert(path: pathlib.Path, shown: str, checks: Checks) -> Converted:
    """Convert one file. Raises `ConfigError` when it cannot be read."""
    rule = reading.read(path, shown)
    found: list[problems.Problem] = []
    try:
        draft, told = _converted(rule, path, checks)
    except reading.NotConvertedError as error:
        place = rule.place(error.path)
        found.append(place.problem(LEFT_OUT, f"the rule was left out: {error.why}", error.hint))
        return Converted({}, {}, tuple(found))
    for at, why in told.lost:
        found.append(rule.place(at).problem(NOT_CONVERTED, why))
    for name, why in [*draft.notes, *told.notes]:
        found.append(_warning(rule.place((name,)), DIFFERS, f"`{name}`: {why}"))
    for name, field in rule.left():
        found.append(_left(name, field))
    return Converted(_content(draft, told), _settings(draft, told), tuple(found))


def _converted(rule: reading.Rule, path: pathlib.Path, checks: Checks) -> tuple[drafts.Draft, telling.Telling]:
    alert = str(rule.take("name") or path.stem)
    if str(rule.take("is_enabled", "true")).lower() in ("false", "no", "off"):
        raise reading.NotConvertedError("it is not enabled", ("is_enabled",))
    query = querydsl.filters(rule.take("filter", []), querydsl.Where(("filter",), checks.kind))
    by = {drafts.label(name): drafts.bare(name) for name in rule.names("query_key")}
    draft = kinds.convert(rule, drafts.Subject(alert, query, by, checks.kind, path.parent))
    for one in [*draft.log_metrics, *draft.log_rules]:
        _check(one.get("query", ""), checks)
        _check_fields(one, checks)
    return draft, telling.of(rule, _labels(draft))


def _check(query: str, checks: Checks) -> None:
    try:
        checks.kql(query)
    except problems.QueryError as error:
        raise reading.NotConvertedError(f"as KQL it is {query!r}: {error}", ("filter",)) from None


def _check_fields(one: Mapping[str, Any], checks: Checks) -> None:
    """A field that only has fields below it has no value: each line's would be empty."""
    own = [given["field"] for given in one.values() if isinstance(given, Mapping) and "field" in given]
    for name in [*one.get("by", {}).values(), *own]:
        if checks.kind(name) == "group":
            hint = f"an application's own field of this name is labels.{name} here"
            raise reading.NotConvertedError(f"`{name}` is a group of fields in ECS, and no field", (), hint)


def _labels(draft: drafts.Draft) -> dict[str, str]:
    """The fields that alerts have labels of."""
    found = {field: name for one in [*draft.log_metrics, *draft.log_rules] for name, field in one.get("by", {}).items()}
    for one in draft.log_rules:
        news = one.get("new_value")
        if news:
            found[news["field"]] = news["label"]
    return {**found, **{f"{field}.keyword": name for field, name in found.items()}}


def _content(draft: drafts.Draft, told: telling.Telling) -> dict[str, list[dict[str, Any]]]:
    for one in [*draft.rules, *draft.log_rules]:
        if told.labels:
            one["labels"] = dict(told.labels)
        if told.annotations:
            one["annotations"] = dict(told.annotations)
    content = {"log_metrics": draft.log_metrics, "log_rules": draft.log_rules, "rules": draft.rules}
    return {name: parts for name, parts in content.items() if parts}


def _settings(draft: drafts.Draft, told: telling.Telling) -> dict[str, Any]:
    """A route and a receiver for the rule; nothing when it says nothing of them."""
    if not told.receiver and not told.route:
        return {}
    names = [str(one["alert"]) for one in [*draft.rules, *draft.log_rules]]
    route: dict[str, Any] = {"matchers": [f"alertname={_quoted(name)}" for name in names[:1]]}
    if len(names) > 1:
        route["matchers"] = [f"alertname=~{_quoted('|'.join(names))}"]
    name = drafts.slug(names[0])
    if told.receiver:
        route["receiver"] = name
    found: dict[str, Any] = {"route": {**route, **told.route}}
    if told.receiver:
        found["receiver"] = {"name": name, **told.receiver}
    return found


def _left(name: str, field: reading.Field) -> problems.Problem:
    """What is said of a field that nobody understood."""
    if name in _NO_MEANING or name.startswith(_PREFIXES):
        what = f"`{name}` has no meaning here"
        if name == "index":
            what = "`index` has no meaning here: lines are counted as they pass, whatever index they go to"
        return _warning(field, NO_MEANING, what)
    return field.problem(NOT_CONVERTED, f"`{name}` has no counterpart")


def _warning(field: reading.Field, code: str, what: str) -> problems.Problem:
    return dataclasses.replace(field.problem(code, what), severity="warning")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(converted: Sequence[Converted], group: str) -> str:
    """A rule file of some rules; what belongs into the settings stands at its end as a comment."""
    body: dict[str, Any] = {}
    for name in ("log_metrics", "log_rules"):
        parts = [part for one in converted for part in one.content.get(name, [])]
        if parts:
            body[name] = parts
    rules = [part for one in converted for part in one.content.get("rules", [])]
    if rules:
        body["groups"] = [{"name": group, "rules": rules}]
    text = _dumped(body) if body else ""
    settings = [one.settings for one in converted if one.settings]
    return text + _comment(settings)


def _comment(settings: Sequence[Mapping[str, Any]]) -> str:
    if not settings:
        return ""
    routes = [one["route"] for one in settings]
    receivers = [one["receiver"] for one in settings if "receiver" in one]
    alerts: dict[str, Any] = {"route": {"routes": routes}}
    if receivers:
        alerts["receivers"] = receivers
    lines = ["For the settings (tidegate.yaml), with the addresses and secrets that were not copied:", ""]
    lines += _dumped({"alerts": alerts}).splitlines()
    return "\n" + "".join(f"# {line}".rstrip() + "\n" for line in lines)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are read."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def _dumped(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return text
