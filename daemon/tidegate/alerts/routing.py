"""The routing tree: which receivers an alert is for, and how their groups are made and timed.

Built from the settings with every problem at its place; matching is a pure function of the labels. Semantics:
Alertmanager's `route` (children inherit, the deepest matches win, `continue` goes on to the next sibling).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from tidegate.kit import matchers, validate, yamlfile
from tidegate.model import alerts, labels, problems, settings

ALL = "..."
GROUP_WAIT = 30.0
GROUP_INTERVAL = 300.0
REPEAT_INTERVAL = 4 * 3600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """A route with everything that it inherits. Times are seconds."""

    receiver: str
    group_by: tuple[str, ...]
    group_wait: float
    group_interval: float
    repeat_interval: float
    key: str
    """The matchers on the way from the root, e.g. `{}/{severity="critical"}`."""

    def group_labels(self, of: labels.Labels) -> labels.Labels:
        """The labels that name the group of an alert; those that it has not are left out."""
        return of if ALL in self.group_by else tuple(pair for pair in of if pair[0] in self.group_by)

    def group_key(self, group: labels.Labels) -> str:
        """Alertmanager's key of a group: the same over restarts, as long as the route's matchers stay."""
        inner = ", ".join(f"{name}={_quote(value)}" for name, value in group)
        return f"{self.key}:{{{inner}}}"


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """One route of the tree, with the routes under it."""

    route: Route
    conditions: matchers.Conditions
    goes_on: bool
    children: tuple[Node, ...]

    def match(self, of: labels.Labels) -> list[Route]:
        """The routes that take an alert with these labels: the deepest ones, in order."""
        if not self.conditions.matches(of):
            return []
        found: list[Route] = []
        for child in self.children:
            taken = child.match(of)
            found += taken
            if taken and not child.goes_on:
                break
        return found or [self.route]

    def walk(self) -> Iterator[Node]:
        """This route and all under it."""
        yield self
        for child in self.children:
            yield from child.walk()


class Tree:
    """The whole tree."""

    def __init__(self, root: Node) -> None:
        self.root = root

    def match(self, of: labels.Labels) -> list[Route]:
        """The routes for an alert; never empty."""
        return self.root.match(of)

    def receivers(self, of: labels.Labels) -> tuple[str, ...]:
        """Names of the receivers for an alert, each once, in order."""
        return tuple(dict.fromkeys(route.receiver for route in self.match(of)))

    def routes(self) -> tuple[Route, ...]:
        """Every route, the root first."""
        return tuple(node.route for node in self.root.walk())


def build(given: settings.Alerts, document: yamlfile.Document) -> Tree:
    """The tree of `alerts.route`. Raises `ConfigError` with every problem."""
    builder = _Builder(document, [receiver.name for receiver in given.receivers])
    root = builder.root(given.route)
    if builder.problems:
        raise problems.ConfigError(builder.problems)
    return Tree(root)


_TOP = Route("", (), GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL, "")


class _Builder:
    def __init__(self, document: yamlfile.Document, receivers: Collection[str]) -> None:
        self.problems: list[problems.Problem] = []
        self._document = document
        self._receivers = receivers

    def root(self, given: settings.Route) -> Node:
        at = ("alerts", "route")
        if not given.receiver:
            self._add("route-no-receiver", "the root route needs a `receiver`", at)
        if given.matchers:
            self._add(
                "route-root-matchers",
                "the root route takes every alert and cannot have `matchers`",
                (*at, "matchers"),
                hint="put them on a route under `routes`",
            )
        if given.continue_:
            self._add("route-root-continue", "the root route cannot have `continue`", (*at, "continue"))
        return self._node(given, _TOP, at)

    def _node(self, given: settings.Route, parent: Route, at: tuple[str | int, ...]) -> Node:
        found = self._matchers(given, at)
        self._check(given, at)
        own = matchers.text(found)
        route = Route(
            given.receiver or parent.receiver,
            parent.group_by if given.group_by is None else given.group_by,
            parent.group_wait if given.group_wait is None else given.group_wait,
            parent.group_interval if given.group_interval is None else given.group_interval,
            parent.repeat_interval if given.repeat_interval is None else given.repeat_interval,
            f"{parent.key}/{own}" if parent.key else own,
        )
        children = tuple(self._node(child, route, (*at, "routes", index)) for index, child in enumerate(given.routes))
        return Node(route, matchers.Conditions(found), given.continue_, children)

    def _matchers(self, given: settings.Route, at: tuple[str | int, ...]) -> tuple[alerts.Matcher, ...]:
        found: list[alerts.Matcher] = []
        for index, text in enumerate(given.matchers):
            try:
                found += matchers.parse_all(text)
            except problems.QueryError as error:
                where = f" (character {error.position + 1})" if error.position >= 0 else ""
                path = (*at, "matchers", index)
                self._add("route-bad-matcher", f"cannot read the matcher {text!r}: {error}{where}", path)
        return tuple(found)

    def _check(self, given: settings.Route, at: tuple[str | int, ...]) -> None:
        if given.receiver and given.receiver not in self._receivers:
            known = ", ".join(f"`{name}`" for name in self._receivers) or "none"
            hint = validate.closest(given.receiver, self._receivers) or f"receivers: {known}"
            self._add(
                "route-unknown-receiver", f"there is no receiver `{given.receiver}`", (*at, "receiver"), hint=hint
            )
        by = given.group_by or ()
        if ALL in by and len(by) > 1:
            self._add(
                "route-bad-group-by",
                "`...` in `group_by` stands for all labels and must stand alone",
                (*at, "group_by"),
            )
        for index, name in enumerate(by):
            if name in by[:index]:
                self._add("route-bad-group-by", f"`{name}` is in `group_by` twice", (*at, "group_by", index))
        for field in ("group_interval", "repeat_interval"):
            if getattr(given, field) == 0:
                self._add("route-zero-interval", f"`{field}` cannot be zero", (*at, field))

    def _add(self, code: str, summary: str, path: tuple[str | int, ...], hint: str = "") -> None:
        self.problems.append(self._document.problem(code, summary, path, hint=hint))


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\x00", "\\x00")
    return f'"{escaped}"'
