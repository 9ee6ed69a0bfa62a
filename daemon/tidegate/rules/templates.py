"""Templates of labels and annotations: Go's text/template with Prometheus' functions.

Plain texts and the commonest forms (`{{ $value | humanize }}`, `{{ $labels.x }}`) are rendered here; everything else
goes to gotpl, with bounds on output, loops and calls. An error at rendering becomes part of the text, as in Prometheus:
an alert with a broken annotation must still be sent.

https://prometheus.io/docs/prometheus/latest/configuration/template_reference/
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tidegate.model import labels as labels_
from tidegate.rules import functions

if TYPE_CHECKING:
    from tidegate.model import series

LIMIT = 16 * 1024
"""Characters of one rendered text."""
_SIMPLE = re.compile(
    r"\{\{\s*\$(?:value(?:\s*\|\s*(humanize|humanize1024|humanizeDuration|humanizePercentage))?"
    r"|labels\.([a-zA-Z_][a-zA-Z0-9_]*))\s*\}\}"
)
_PREFIX = (
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)


class TemplateError(Exception):
    """A template that cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Surroundings:
    """What templates may know beside the alert."""

    external_labels: Mapping[str, str]
    external_url: str
    query: Callable[[str], series.Result]
    """Evaluates PromQL at the time of the evaluation. Raises `QueryError`."""
    now: float


class Text:
    """One template, compiled once."""

    def __init__(self, source: str) -> None:
        """Raises `TemplateError`."""
        self.source = source
        self._go = _Go(source) if "{{" in _SIMPLE.sub("", source) else None

    def render(self, labels: labels_.Labels, value: float, around: Surroundings) -> tuple[str, str]:
        """The text, and what went wrong (empty when nothing did)."""
        if self._go is None:
            return self._render_simply(dict(labels), value), ""
        try:
            return self._go.render(labels, value, around), ""
        except Exception as error:  # noqa: BLE001 - a template may fail in any way; the alert must be sent all the same
            return f"<error expanding template: {error}>", str(error)

    def _render_simply(self, labels: Mapping[str, str], value: float) -> str:
        if "{{" not in self.source:
            return self.source

        def part(found: re.Match[str]) -> str:
            if found[2]:
                return labels.get(found[2], "")
            return str(functions.PURE[found[1]](value)) if found[1] else functions.number(value)

        return _SIMPLE.sub(part, self.source)


class _Go:
    """A template that needs the whole language. One rendering at a time."""

    def __init__(self, source: str) -> None:
        import gotpl  # noqa: PLC0415 - 0.1 s that only templates with more than a variable are worth

        self._typed = gotpl.TypedMap
        self._around: Surroundings | None = None
        budget = gotpl.ExecutionBudget(max_output_chars=LIMIT, max_iterations=10_000, max_function_calls=10_000)
        callables = {**functions.PURE, **functions.bound(self._query, self._url, self._now)}
        try:
            self._template = gotpl.Template(_PREFIX + source, functions=callables, missing_key="zero", budget=budget)
        except gotpl.TemplateSyntaxError as error:
            raise TemplateError(str(error).partition(": ")[2] or str(error)) from None

    def render(self, labels: labels_.Labels, value: float, around: Surroundings) -> str:
        """Raises whatever the template's functions raise."""
        self._around = around
        data = {
            "Labels": self._typed(dict(labels), "", "string", "string"),
            "ExternalLabels": self._typed(dict(around.external_labels), "", "string", "string"),
            "ExternalURL": around.external_url,
            "Value": value,
        }
        return str(self._template.render(data))

    def _query(self, expr: str) -> series.Result:
        return self._known().query(expr)

    def _url(self) -> str:
        return self._known().external_url

    def _now(self) -> float:
        return self._known().now

    def _known(self) -> Surroundings:
        if self._around is None:
            raise RuntimeError("only known at an evaluation")
        return self._around
