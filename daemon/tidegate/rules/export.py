"""Rule files without our fields, for any Prometheus: the files that stand for ours, and what is not the same in them.

A file that has none of our fields is handed on as it is; the others lose their comments.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from tidegate.kit import yamlfile
from tidegate.model import ports, problems, rules, section
from tidegate.rules import load, manifests, plain

OURS = ("resolve_expr", "no_data", "severities")
"""Fields of a rule that Prometheus does not have."""

TIMES = ("for", "keep_firing_for", "interval", "query_offset")


@dataclasses.dataclass(frozen=True, slots=True)
class Exported:
    """One file."""

    path: pathlib.Path
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Export:
    """Everything."""

    files: tuple[Exported, ...]
    notices: tuple[problems.Problem, ...]
    """Warnings: what is not the same."""


def run(paths: Sequence[tuple[pathlib.Path, str]], checks: load.Checks) -> Export:
    """Rewrite files. Raises `ConfigError` when they do not load."""
    parts = {path: manifests.read(path, shown) for path, shown in paths}
    named = {one.get("datasource") for found in parts.values() for part in found for one in _groups(part)} - {None}
    anything = dataclasses.replace(checks, datasources=dict.fromkeys(map(str, named), checks.engine))
    ruleset = load.load(paths, anything)
    book = _Names()
    files, notices = [], []
    for path, _ in paths:
        writers = [_Part(part, ruleset, checks.engine, book) for part in parts[path]]
        groups = [group for one in writers for group in one.groups()]
        notices += [notice for one in writers for notice in one.notices]
        plain_groups = _unique(groups)
        as_it_is = len(writers) == 1 and writers[0].part.value == {"groups": plain_groups}
        text = path.read_text("utf-8") if as_it_is else _dumped({"groups": plain_groups})
        files.append(Exported(path, text))
    return Export(tuple(files), tuple(dict.fromkeys(notices)))


class _Names:
    """Names of recording rules, each given once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def give(self, *words: str) -> str:
        """A metric name of these words."""
        name = ":".join(re.sub(r"\W", "_", word, flags=re.ASCII) for word in words if word)
        name = f"_{name}" if name[0].isdigit() else name
        number, free = 1, name
        while free in self._given:
            number += 1
            free = f"{name}_{number}"
        self._given.add(free)
        return free


class _Part:
    """One rule file, or one manifest."""

    def __init__(self, part: manifests.Part, ruleset: rules.RuleSet, engine: ports.QueryEngine, names: _Names) -> None:
        self.part, self._engine, self._names = part, engine, names
        self._loaded = [group for group in ruleset.groups if group.file == part.file]
        self.notices: list[problems.Problem] = []

    def groups(self) -> list[tuple[str, dict[str, Any]]]:
        """The groups, each with the name of the manifest that it stands in."""
        if isinstance(self.part.value, dict) and self.part.value.get("log_metrics"):
            what = "log metrics are left out: the rules that read them have no data in Prometheus"
            self._notice("export-log-metrics", what, ("log_metrics",), key=True)
        if isinstance(self.part.value, dict) and self.part.value.get("log_rules"):
            what = "log rules are left out: they need Tidegate's agent"
            self._notice("export-log-rules", what, ("log_rules",), key=True)
        written = _groups(self.part)
        found = zip(written, self._loaded[: len(written)], strict=True)  # those of log rules come behind
        return [(self.part.file, self._group(raw, group, place)) for place, (raw, group) in enumerate(found)]

    def _group(self, raw: dict[str, Any], group: rules.Group, place: int) -> dict[str, Any]:
        at = ("groups", place)
        if raw.get("datasource"):
            what = f"the group {group.name!r} is evaluated by Prometheus itself, not by {group.datasource!r}"
            self._notice("export-datasource", what, (*at, "datasource"))
        made: list[dict[str, Any]] = []
        versions = iter(group.rules)
        for number, rule in enumerate(raw.get("rules") or []):
            mine = [next(versions) for _ in range(max(len(rule.get("severities") or ()), 1))]
            made += self._rule(rule, mine, group, (*at, "rules", number))
        new = {name: value for name, value in _timed(raw).items() if name not in ("datasource", "rules")}
        if not raw.get("interval") and _counts(group):
            interval = section.duration(group.interval)
            what = f"the group {group.name!r} gives no interval; {interval} is written down, since `for` counts evaluations"
            self._notice("export-interval", what, (*at, "name"))
            new["interval"] = interval
        return new | {"rules": made}

    def _rule(
        self, raw: dict[str, Any], mine: Sequence[rules.Rule], group: rules.Group, at: yamlfile.Path
    ) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for rule in mine:
            if isinstance(rule, rules.RecordingRule) or not plain.extended(rule):
                made.append({name: value for name, value in _timed(raw).items() if name not in OURS})
                continue
            record = self._names.give(group.name, rule.alert, rule.severity, "held") if plain.counts(rule) else ""
            found = plain.plain(rule, self._engine.prepare(rule.expr), group.interval, record)
            if found.record:
                made.append({"record": found.record, "expr": found.recorded})
            made.append(_written(raw, rule, found))
            for one in found.notices:
                self._notice(one.code, one.summary, (*at, one.field), key=True)
        return made

    def _notice(self, code: str, summary: str, at: yamlfile.Path, *, key: bool = False) -> None:
        problem = self.part.document.problem(code, summary, (*self.part.root, *at), key=key)
        self.notices.append(dataclasses.replace(problem, severity="warning"))


def _counts(group: rules.Group) -> bool:
    return any(isinstance(one, rules.AlertingRule) and plain.counts(one) for one in group.rules)


def _timed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """With durations that Prometheus reads, where they were written as numbers of seconds."""
    return {
        name: section.duration(value) if name in TIMES and isinstance(value, int | float) else value
        for name, value in raw.items()
    }


def _written(raw: Mapping[str, Any], rule: rules.AlertingRule, found: plain.Plain) -> dict[str, Any]:
    """A rule of Prometheus' fields."""
    new: dict[str, Any] = {"alert": raw["alert"], "expr": found.expr}
    if found.hold:
        new["for"] = section.duration(found.hold)
    if rule.keep_firing_for:
        new["keep_firing_for"] = section.duration(rule.keep_firing_for)
    labels = dict(raw.get("labels") or {}) | ({"severity": rule.severity} if rule.severity else {})
    new |= {"labels": labels} if labels else {}
    return new | ({"annotations": raw["annotations"]} if raw.get("annotations") else {})


def _groups(part: manifests.Part) -> list[dict[str, Any]]:
    """The groups as written; nothing for what is no rule file."""
    found = part.value.get("groups") if isinstance(part.value, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _unique(groups: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Group names are unique in a file of Prometheus; those of several manifests need not be."""
    names = [group["name"] for _, group in groups]
    twice = {name for name in names if names.count(name) > 1}
    return [group | {"name": f"{file}:{group['name']}"} if group["name"] in twice else group for file, group in groups]


class _Dumper(yaml.SafeDumper):
    """Numbers as they were written, texts of several lines as blocks, nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


def _number(tag: str) -> Callable[[_Dumper, Any], yaml.ScalarNode]:
    return lambda dumper, value: dumper.represent_scalar(f"tag:yaml.org,2002:{tag}", value.written)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(yamlfile.WrittenInt, _number("int"))
_Dumper.add_representer(yamlfile.WrittenFloat, _number("float"))


def _dumped(value: object) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text
