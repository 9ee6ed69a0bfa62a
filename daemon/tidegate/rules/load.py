"""From rule files to rules. Finds every problem of every file, with its place, before anything is used.

Judges as Prometheus does (`rulefmt`): names, expressions, templates, duplicates. What parses PromQL and KQL is handed in.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence

from tidegate.kit import validate, yamlfile
from tidegate.model import labels as labels_
from tidegate.model import ports, problems, rules
from tidegate.rules import caret, files, logmetrics, logrules, manifests, severities, templates

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")


@dataclasses.dataclass(frozen=True, slots=True)
class Checks:
    """What a rule file is checked with."""

    engine: ports.QueryEngine
    kql: Callable[[str], object]
    """Raises `QueryError` for a text that is no KQL."""
    evaluation_interval: float
    datasources: Mapping[str, ports.QueryEngine] = dataclasses.field(default_factory=dict)
    """Other servers that groups may name."""


def load(paths: Sequence[tuple[pathlib.Path, str]], checks: Checks) -> rules.RuleSet:
    """Read (path, name to show) pairs. Raises `ConfigError` with all problems of all files."""
    groups: list[rules.Group] = []
    metrics: list[rules.LogMetric] = []
    detectors: list[rules.LogDetector] = []
    wrong: list[problems.Problem] = []
    for path, shown in paths:
        try:
            readers = [_Reader(part, checks.kql) for part in manifests.read(path, shown)]
            found = [reader.read(checks) for reader in readers]
        except problems.ConfigError as error:
            wrong += error.problems
            continue
        groups += [group for one in found for group in one.groups]
        metrics += [metric for one in found for metric in one.log_metrics]
        detectors += [detector for one in found for detector in one.log_detectors]
        wrong += [problem for reader in readers for problem in reader.problems]
    wrong += _twice([*metrics, *detectors])
    if wrong:
        raise problems.ConfigError(wrong)
    return rules.RuleSet(tuple(groups), tuple(metrics), tuple(shown for _, shown in paths), tuple(detectors))


def logs(paths: Sequence[tuple[pathlib.Path, str]], kql: Callable[[str], object]) -> rules.RuleSet:
    """Only what the files count and look for in logs; their rules are somebody else's. Raises `ConfigError`."""
    metrics: list[rules.LogMetric] = []
    detectors: list[rules.LogDetector] = []
    wrong: list[problems.Problem] = []
    for path, shown in paths:
        try:
            for part in manifests.read(path, shown):
                reader = _Reader(part, kql)
                found = reader.logs(reader.shape())
                metrics += found.log_metrics
                detectors += found.log_detectors
                wrong += reader.problems
        except problems.ConfigError as error:
            wrong += error.problems
    wrong += _twice([*metrics, *detectors])
    if wrong:
        raise problems.ConfigError(wrong)
    return rules.RuleSet((), tuple(metrics), (), tuple(detectors))


def _twice(made: Sequence[rules.LogMetric | rules.LogDetector]) -> list[problems.Problem]:
    """Log metrics, and log rules, that stand twice."""
    seen: dict[str, rules.LogMetric | rules.LogDetector] = {}
    found = []
    series = [(name, one) for one in made if isinstance(one, rules.LogMetric) for name in one.series]
    for name, metric in series:
        owner = next(other for given, other in series if given == name)
        if owner.name != metric.name:
            at, summary = metric.place, f"{name!r} is a series of the log metric {owner.name!r} already"
            found.append(problems.Problem("rule-log-metric-twice", summary, at.file, at.line, at.column))
    for one in made:
        name = one.name.removesuffix(logrules.COUNTER) if one.name.startswith(logrules.PREFIX) else one.name
        first = seen.setdefault(name, one)
        if first is not one:
            at, what = one.place, "log rule" if name.startswith(logrules.PREFIX) else "log metric"
            summary = f"the {what} {name.removeprefix(logrules.PREFIX)!r} stands in {first.place.file} already"
            found.append(problems.Problem("rule-log-metric-twice", summary, at.file, at.line, at.column))
    return found


class _Reader:
    """Reads one file and collects its problems."""

    def __init__(self, part: manifests.Part, kql: Callable[[str], object]) -> None:
        self._document, self._kql, self._part = part.document, kql, part
        self.problems: list[problems.Problem] = []
        self._root = part.root
        self._made: list[tuple[yamlfile.Path, files.LogRule, logrules.Made]] = []

    def shape(self) -> files.RuleFile:
        """What stands where. Raises `ConfigError` when the file has another shape."""
        value = self._part.value
        return validate.model(files.RuleFile, {} if value is None else value, self._document, self._root, "rule-")

    def read(self, checks: Checks) -> rules.RuleSet:
        """The rules of the file. Raises `ConfigError` when its shape is wrong."""
        self._checks = checks
        shape = self.shape()
        names: set[str] = set()
        groups = []
        for number, group in enumerate(shape.groups or []):
            at = (*self._root, "groups", number)
            if not group.name:
                self._wrong("rule-group-name", "a group needs a name", at)
            elif group.name in names:
                self._wrong("rule-group-twice", f"the group {group.name!r} stands twice in this file", (*at, "name"))
            names.add(group.name)
            groups.append(self._group(group, at))
        found = self.logs(shape)
        return dataclasses.replace(found, groups=(*groups, *self._log_groups(names)))

    def logs(self, shape: files.RuleFile) -> rules.RuleSet:
        """The log metrics of the file, and what stands for its log rules but for their rules."""
        metrics = [self._metric(metric, (*self._root, "log_metrics", i)) for i, metric in enumerate(shape.log_metrics)]
        detectors: list[rules.LogDetector] = []
        for number, rule in enumerate(shape.log_rules):
            at = (*self._root, "log_rules", number)
            if self._log_rule(rule, at):
                line, column = self._document.position(at)
                made = logrules.made(rule, rules.Place(self._document.file, line, column))
                metrics += [self._metric(one, at) for one in made.metrics]
                detectors += made.detectors
                self._made.append((at, rule, made))
        return rules.RuleSet((), tuple(metrics), (), tuple(detectors))

    def _log_groups(self, names: set[str]) -> list[rules.Group]:
        """The groups of the rules that stand for log rules."""
        self._engine = self._checks.engine
        groups: dict[str, rules.Group] = {}
        for at, rule, made in self._made:
            name, interval = logrules.group(rule), logrules.interval(rule, self._checks.evaluation_interval)
            group = groups.get(name) or rules.Group(name, self._part.file, (), interval)
            more = [done for one in made.written for done in self._rule(one, files.Group(), at)]
            groups[name] = dataclasses.replace(group, rules=(*group.rules, *more))
        for name in groups.keys() & names:
            self._wrong("rule-group-twice", f"the group {name!r} is that of log rules", (*self._root, "log_rules"))
        return list(groups.values())

    def _log_rule(self, rule: files.LogRule, at: yamlfile.Path) -> bool:
        """Say what is wrong with a log rule; whether rules can be made of it."""
        before = len(self.problems)
        for code, what, place in logrules.wrong(rule):
            self._wrong(code, what, (*at, *place), key=place[:1] == ("by",))
        for place, text in logrules.queries(rule):
            self._query(text, (*at, *place))
        return len(self.problems) == before

    def _group(self, group: files.Group, at: yamlfile.Path) -> rules.Group:
        self._engine = self._checks.engine
        if group.datasource in self._checks.datasources:
            self._engine = self._checks.datasources[group.datasource]
        elif group.datasource:
            known = ", ".join(sorted(self._checks.datasources)) or "none is configured in rules.datasources"
            summary = f"there is no datasource {group.datasource!r}"
            self._wrong("rule-datasource", summary, (*at, "datasource"), hint=f"known here: {known}")
        self._labels(group.labels, (*at, "labels"))
        made: list[rules.Rule] = []
        for number, rule in enumerate(group.rules or []):
            place = (*at, "rules", number)
            made += self._rule(rule, group, place)
        return rules.Group(
            name=group.name,
            file=self._part.file,
            rules=tuple(made),
            interval=group.interval or self._checks.evaluation_interval,
            limit=group.limit,
            query_offset=group.query_offset or 0.0,
            labels=labels_.make(group.labels or {}),
            datasource=group.datasource,
        )

    def _rule(self, rule: files.Rule, group: files.Group, at: yamlfile.Path) -> Sequence[rules.Rule]:
        if bool(rule.record) == bool(rule.alert):
            both = (
                "only one of `record` and `alert` may be set"
                if rule.record
                else "one of `record` and `alert` must be set"
            )
            self._wrong("rule-record-or-alert", both, at)
            return ()
        self._expr(rule, at)
        self._labels(rule.labels, (*at, "labels"))
        own = labels_.make({**(group.labels or {}), **(rule.labels or {})})
        line, column = self._document.position(at)
        place = rules.Place(self._document.file, line, column)
        if rule.record:
            return (self._recording(rule, own, place, at),)
        self._templates(rule.labels, (*at, "labels"))
        self._templates(rule.annotations, (*at, "annotations"))
        for name in rule.annotations or {}:
            if not name:
                self._wrong("rule-annotation-name", "an annotation needs a name", (*at, "annotations"))
        self._extensions(rule, own, at)
        hold, share = severities.times(rule.for_)
        one = rules.AlertingRule(
            rule.alert,
            rule.expr,
            own,
            tuple(sorted((rule.annotations or {}).items())),
            hold,
            rule.keep_firing_for or 0.0,
            place,
            share,
            rule.resolve_expr,
            rule.no_data or "",
        )
        return (one,) if rule.severities is None else severities.expanded(one, rule.severities)

    def _extensions(self, rule: files.Rule, own: labels_.Labels, at: yamlfile.Path) -> None:
        if rule.resolve_expr:
            self._prepared(rule.resolve_expr, (*at, "resolve_expr"))
        if rule.no_data in ("alert", "keep") and rule.expr:
            self._judges_data(rule, at)
        if rule.severities is None:
            return
        levels = (*at, "severities")
        before = len(self.problems)
        severities.check(
            rule.severities,
            dict(own),
            lambda code, what, name: self._wrong(code, what, (*levels, *[name][: bool(name)])),
        )
        if len(self.problems) == before and self._usable(rule.expr):
            for name, one in rule.severities.items():
                self._threshold(severities.expression(rule.expr, one.when), (*levels, name))

    def _judges_data(self, rule: files.Rule, at: yamlfile.Path) -> None:
        if self._usable(rule.expr) and not self._engine.prepare(rule.expr).presence:
            summary = (
                f"`no_data: {rule.no_data}` has no meaning here: this expression has a result without any data, too"
            )
            self._wrong("rule-no-data", summary, (*at, "no_data"), hint="leave it out; `absent` alerts by itself")

    def _usable(self, expr: str) -> bool:
        try:
            self._engine.prepare(expr)
        except problems.QueryError:
            return False
        return True

    def _threshold(self, expr: str, at: yamlfile.Path) -> None:
        try:
            self._engine.prepare(expr)
        except problems.QueryError as error:
            self._wrong("rule-expr", f"cannot use the threshold: {error}", at)

    def _recording(
        self, rule: files.Rule, own: labels_.Labels, place: rules.Place, at: yamlfile.Path
    ) -> rules.RecordingRule:
        for field, value in (
            ("for", rule.for_),
            ("keep_firing_for", rule.keep_firing_for),
            ("annotations", rule.annotations),
            ("resolve_expr", rule.resolve_expr),
            ("no_data", rule.no_data),
            ("severities", rule.severities is not None),
        ):
            if value:
                self._wrong(
                    "rule-field-of-alerts", f"`{field}` has no meaning in a recording rule", (*at, field), key=True
                )
        if "{" in rule.record or "}" in rule.record:
            hint = "braces belong to a selector; is this the expr?"
            self._wrong("rule-name", f"{rule.record!r} is no metric name", (*at, "record"), hint=hint)
        return rules.RecordingRule(rule.record, rule.expr, own, place)

    def _expr(self, rule: files.Rule, at: yamlfile.Path) -> None:
        if not rule.expr:
            self._wrong("rule-missing-field", "field `expr` is required", at)
            return
        self._prepared(rule.expr, (*at, "expr"))

    def _prepared(self, expr: str, at: yamlfile.Path) -> None:
        try:
            self._engine.prepare(expr)
        except problems.QueryError as error:
            problem = self._document.problem("rule-expr", f"cannot use the expression: {error}", at)
            self.problems.append(caret.moved(problem, expr, error.position, self._document))

    def _labels(self, given: Mapping[str, str] | None, at: yamlfile.Path) -> None:
        for name in given or {}:
            if not name or name == labels_.NAME:
                self._wrong("rule-label-name", f"{name!r} cannot be set as a label", (*at, name), key=True)

    def _templates(self, texts: Mapping[str, str] | None, at: yamlfile.Path) -> None:
        for name, text in (texts or {}).items():
            try:
                templates.Text(text)
            except templates.TemplateError as error:
                self._wrong("rule-template", f"the template of {name!r} cannot be read: {error}", (*at, name))

    def _metric(self, metric: files.LogMetric, at: yamlfile.Path) -> rules.LogMetric:
        if not _METRIC.match(metric.name):
            self._wrong("rule-name", f"{metric.name!r} is no metric name", (*at, "name"))
        for name in (*metric.by, *metric.labels):
            if not _LABEL.match(name):
                self._wrong("rule-label-name", f"{name!r} is no label name", at)
        self._query(metric.query, (*at, "query"))
        for code, summary, field in logmetrics.wrong(metric):
            self._wrong(code, summary, (*at, *[field][: bool(field)]), key=True)
        line, column = self._document.position(at)
        return logmetrics.made(metric, rules.Place(self._document.file, line, column))

    def _query(self, query: str, at: yamlfile.Path) -> None:
        try:
            self._kql(query)
        except problems.QueryError as error:
            problem = self._document.problem("rule-log-query", f"cannot use the KQL: {error}", at)
            self.problems.append(caret.moved(problem, query, error.position, self._document))

    def _wrong(self, code: str, summary: str, at: yamlfile.Path, *, hint: str = "", key: bool = False) -> None:
        self.problems.append(self._document.problem(code, summary, at, hint=hint, key=key))
