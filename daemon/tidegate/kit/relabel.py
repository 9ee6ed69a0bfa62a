"""Relabelling: Prometheus' eleven actions on a label set, in order.

Semantics: `prometheus/model/relabel` of Prometheus 3: patterns are RE2, fully anchored, and `.` meets a newline; `$1`,
`${1}` and `${name}` expand; a replacement that comes out empty deletes its label. Where labels come from is not known here.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import re2

from tidegate.model import relabelling
from tidegate.model.relabelling import DEFAULT_REGEX, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR, Step

Pairs: TypeAlias = dict[str, str]
_CLASSIC = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_TEMPLATE = re.compile(r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+\Z")
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))", re.ASCII)
_NEEDS_TARGET = frozenset({"replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"})
_PLAIN_TARGET = frozenset({"hashmod", "lowercase", "uppercase", "keepequal", "dropequal"})
_FIXED_REPLACEMENT = frozenset({"lowercase", "uppercase", "keepequal", "dropequal"})


class Relabelling:
    """Some steps, compiled."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Raises `ValueError` for a step that makes no sense."""
        for step in steps:
            wrong = problem(step)
            if wrong:
                raise ValueError(wrong)
        self._steps = [_compiled(step) for step in steps]

    def __bool__(self) -> bool:
        return bool(self._steps)

    def apply(self, labels: Pairs) -> bool:
        """Change the labels in place; whether they are kept. Empty values count as absent, and are taken out at the end."""
        for step in self._steps:
            if not step(labels):
                return False
        for name in [name for name, value in labels.items() if not value]:
            del labels[name]
        return True


def problem(step: Step) -> str:  # noqa: PLR0911 - one return for each rule
    """What is wrong with a step; empty when nothing is."""
    action, valid = step.action, _validator(step)
    if action == "hashmod" and step.modulus <= 0:
        return "relabel configuration for hashmod requires non-zero modulus"
    if action in _NEEDS_TARGET and not step.target_label:
        return f"relabel configuration for {action} action requires 'target_label' value"
    try:
        pattern(step.regex)
    except re2.error as error:
        return f"not an RE2 pattern: {error}"
    if action == "replace" and not (_templated(step) if "$" in step.target_label else valid(step.target_label)):
        return f"{step.target_label!r} is invalid 'target_label' for {action} action"
    if action in _PLAIN_TARGET and not valid(step.target_label):
        return f"{step.target_label!r} is invalid 'target_label' for {action} action"
    if action in _FIXED_REPLACEMENT and step.replacement != DEFAULT_REPLACEMENT:
        return f"'replacement' can not be set for {action} action"
    if action == "labelmap" and not (_TEMPLATE.match(step.replacement) if step.legacy_names else step.replacement):
        return f"{step.replacement!r} is invalid 'replacement' for {action} action"
    return _superfluous(step)


def _superfluous(step: Step) -> str:
    given = (step.separator != DEFAULT_SEPARATOR, step.replacement != DEFAULT_REPLACEMENT, step.modulus != 0)
    if step.action in ("keepequal", "dropequal") and (any(given) or step.regex != DEFAULT_REGEX):
        return f"{step.action} action requires only 'source_labels' and `target_label`, and no other fields"
    if step.action in ("labeldrop", "labelkeep") and (any(given) or step.source_labels or step.target_label):
        return f"{step.action} action requires only 'regex', and no other fields"
    return ""


def _validator(step: Step) -> Callable[[str], bool]:
    return classic_name if step.legacy_names else bool


def classic_name(name: str) -> bool:
    """Whether a label name has only the characters that Prometheus 2 allowed."""
    return _CLASSIC.match(name) is not None


def _templated(step: Step) -> bool:
    return not step.legacy_names or _TEMPLATE.match(step.target_label) is not None


@functools.lru_cache(maxsize=1024)
def pattern(regex: str) -> Any:
    """The compiled pattern. Raises `re2.error`."""
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    return re2.compile(f"(?:{regex})", options)


def _compiled(step: Step) -> Callable[[Pairs], bool]:
    makers: dict[relabelling.Action, Callable[[Step], Callable[[Pairs], bool]]] = {
        "replace": _replace,
        "keep": _keep,
        "drop": _drop,
        "keepequal": _keep_equal,
        "dropequal": _drop_equal,
        "hashmod": _hashmod,
        "labelmap": _labelmap,
        "labeldrop": _labeldrop,
        "labelkeep": _labelkeep,
        "lowercase": lambda one: _set(one, str.lower),
        "uppercase": lambda one: _set(one, str.upper),
    }
    return makers[step.action](step)


def _source(step: Step) -> Callable[[Pairs], str]:
    names, separator = step.source_labels, step.separator
    if len(names) == 1:
        return lambda labels: labels.get(names[0], "")
    return lambda labels: separator.join([labels.get(name, "") for name in names])


def _keep(step: Step) -> Callable[[Pairs], bool]:
    source, matches = _source(step), pattern(step.regex).fullmatch
    return lambda labels: matches(source(labels)) is not None


def _drop(step: Step) -> Callable[[Pairs], bool]:
    source, matches = _source(step), pattern(step.regex).fullmatch
    return lambda labels: matches(source(labels)) is None


def _keep_equal(step: Step) -> Callable[[Pairs], bool]:
    source, target = _source(step), step.target_label
    return lambda labels: labels.get(target, "") == source(labels)


def _drop_equal(step: Step) -> Callable[[Pairs], bool]:
    source, target = _source(step), step.target_label
    return lambda labels: labels.get(target, "") != source(labels)


def _replace(step: Step) -> Callable[[Pairs], bool]:
    source, matches, valid = _source(step), pattern(step.regex).fullmatch, _validator(step)
    # Prometheus sets the label without looking at its name when there is nothing to expand.
    constant = step.regex == DEFAULT_REGEX and "$" not in step.target_label and "$" not in step.replacement

    def run(labels: Pairs) -> bool:
        value = source(labels)
        if constant and not value:
            labels[step.target_label] = step.replacement
            return True
        found = matches(value)
        if found is not None:
            target = expanded(step.target_label, found)
            if valid(target):
                labels[target] = expanded(step.replacement, found)
        return True

    return run


def _set(step: Step, change: Callable[[str], str]) -> Callable[[Pairs], bool]:
    source = _source(step)

    def run(labels: Pairs) -> bool:
        labels[step.target_label] = change(source(labels))
        return True

    return run


def _hashmod(step: Step) -> Callable[[Pairs], bool]:
    def modulo(value: str) -> str:
        digest = hashlib.md5(value.encode(), usedforsecurity=False).digest()
        return str(int.from_bytes(digest[8:], "big") % step.modulus)

    return _set(step, modulo)


def _labelmap(step: Step) -> Callable[[Pairs], bool]:
    matches = pattern(step.regex).fullmatch

    def run(labels: Pairs) -> bool:
        for name, value in sorted(labels.items()):
            found = matches(name) if value else None
            if found is not None:
                labels[expanded(step.replacement, found)] = value
        return True

    return run


def _labeldrop(step: Step) -> Callable[[Pairs], bool]:
    matches = pattern(step.regex).fullmatch

    def run(labels: Pairs) -> bool:
        for name in [name for name in labels if matches(name) is not None]:
            del labels[name]
        return True

    return run


def _labelkeep(step: Step) -> Callable[[Pairs], bool]:
    matches = pattern(step.regex).fullmatch

    def run(labels: Pairs) -> bool:
        for name in [name for name in labels if matches(name) is None]:
            del labels[name]
        return True

    return run


def expanded(template: str, found: Any) -> str:
    """A template with its variables, by Go's rules (`regexp.Expand`): unknown groups are empty, `$$` is a dollar."""
    if "$" not in template:
        return template

    def value(variable: re.Match[str]) -> str:
        if variable[1]:
            return "$"
        name = variable[2] or variable[3]
        return _group(found, name)

    return _VARIABLE.sub(value, template)


def _group(found: Any, name: str) -> str:
    try:
        return found[int(name)] or "" if name.isdigit() else found[name] or ""
    except (IndexError, KeyError, re2.error):
        return ""
