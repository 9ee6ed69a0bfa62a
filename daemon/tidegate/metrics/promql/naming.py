"""`label_replace`, `label_join`, `absent`, `absent_over_time`: functions that make label sets.

Texts are changed once for each distinct value, never for each series. Patterns are RE2, anchored at both ends.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import re2

from tidegate.metrics import columns
from tidegate.metrics.promql import frames
from tidegate.metrics.promql.values import Context, Flags, RangeNode, Vec, VectorNode, fail, merge
from tidegate.model import alerts
from tidegate.model import labels as labels_

LONGEST = 1 << 20
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


class LabelReplace(VectorNode):
    """`label_replace(x, dst, replacement, src, regex)`."""

    def __init__(self, operand: VectorNode, target: str, template: str, origin: str, pattern: str) -> None:
        self.operand = operand
        self.children = (operand,)
        self.target = target
        self.template = template
        self.origin = origin
        options = re2.Options()
        options.log_errors = False
        try:
            self.pattern = re2.compile(f"^(?s:{pattern})$", options)
        except re2.error as error:
            raise fail(f"invalid regular expression in label_replace(): {pattern}") from error
        if not target:
            raise fail(f"invalid destination label name in label_replace(): {target}")

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        if not len(vec):
            return vec
        origin, old = frames.column(vec.labels, self.origin), frames.column(vec.labels, self.target)
        distinct, inverse = np.unique(origin, return_inverse=True)
        made = [self._replaced(ctx.texts.text(code)) for code in distinct.tolist()]
        hit = np.array([text is not None for text in made])[inverse]
        codes = np.array([0 if text is None else ctx.texts.code(text) for text in made], np.int32)[inverse]
        return _renamed(vec, self.target, np.where(hit, codes, old), hit)

    def _replaced(self, text: str) -> str | None:
        match = self.pattern.match(text)
        return None if match is None else _bounded(_expand(self.template, match))


def _bounded(text: str) -> str:
    """Nested calls can double a label's value each time: one that nobody can want is refused."""
    if len(text) > LONGEST:
        raise fail(f"a label value of more than {LONGEST} characters was made")
    return text


def _expand(template: str, match: re.Match[str]) -> str:
    """Go's `Regexp.Expand`: `$1`, `${1}`, `$name`, `${name}`, `$$`; unknown references are empty."""
    names = match.re.groupindex

    def value(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        if name.isdigit():
            number = int(name)
            return (match.group(number) or "") if number <= match.re.groups else ""
        return (match.group(names[name]) or "") if name in names else ""

    return _REFERENCE.sub(value, template)


def _renamed(vec: Vec, target: str, codes: frames.Codes, hit: Flags) -> Vec:
    drop = vec.drop
    if drop is not None and target == labels_.NAME:
        drop = drop & ~hit
    return merge(dataclasses.replace(vec, labels=frames.put(vec.labels, target, codes), drop=drop))


class LabelJoin(VectorNode):
    """`label_join(x, dst, separator, src...)`."""

    def __init__(self, operand: VectorNode, target: str, separator: str, origins: tuple[str, ...]) -> None:
        if not target:
            raise fail(f"invalid destination label name in label_join(): {target}")
        for origin in origins:
            if not origin:
                raise fail(f"invalid source label name in label_join(): {origin}")
        self.operand = operand
        self.children = (operand,)
        self.target = target
        self.separator = separator
        self.origins = origins

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        codes = frames.project(vec.labels, self.origins)
        ids, count = frames.group_rows(codes)
        rows = codes[frames.first_rows(ids, count)].tolist()
        texts = (_bounded(self.separator.join(ctx.texts.text(code) for code in row)) for row in rows)
        made = [ctx.texts.code(text) for text in texts]
        return _renamed(vec, self.target, np.array(made, np.int32)[ids], np.ones(len(vec), np.bool_))


def absent_labels(matchers: tuple[alerts.Matcher, ...]) -> labels_.Labels:
    """The labels that a selector fixes by exactly one `=` matcher."""
    fixed: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in matchers:
        if matcher.name == labels_.NAME:
            continue
        if matcher.op == "=" and matcher.name not in seen:
            fixed[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            fixed.pop(matcher.name, None)
    return labels_.make(fixed)


class Absent(VectorNode):
    """`absent(x)` and `absent_over_time(x[d])`: 1 at the steps where there is nothing."""

    def __init__(self, operand: VectorNode | RangeNode, labels: labels_.Labels) -> None:
        self.operand = operand
        self.children = (operand,)
        self.labels = labels

    def vector(self, ctx: Context) -> Vec:
        codes = np.array([[ctx.texts.code(value) for _, value in self.labels]], np.int32).reshape(1, -1)
        frame = columns.LabelFrame(ctx.reader.pool, tuple(name for name, _ in self.labels), codes)
        return Vec(frame, np.ones((ctx.steps, 1)), ~self._there(ctx)[:, None])

    def _there(self, ctx: Context) -> Flags:
        there = np.zeros(ctx.steps, np.bool_)
        if isinstance(self.operand, RangeNode):
            for windows in self.operand.windows(ctx).windows:
                there |= windows.at_least(1).any(axis=1)
            return there
        vec = self.operand.vector(ctx)
        return np.logical_or.reduce(vec.mask(), axis=1) if len(vec) else there
