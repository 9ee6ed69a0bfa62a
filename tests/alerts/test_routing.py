"""The routing tree: who gets which alert, and how mistakes are shown."""

from __future__ import annotations

import pytest

from tests.alerts.world import route
from tidegate.alerts import routing
from tidegate.model import labels, problems

TREE = """
alerts:
  route:
    receiver: default
    group_by: [alertname, cluster]
    repeat_interval: 3h
    routes:
      - receiver: databases
        matchers: [service=~"postgres|mysql"]
        group_by: [database]
        routes:
          - {receiver: pager, matchers: [severity=critical], group_wait: 5s, continue: true}
          - {matchers: [owner=team-x], receiver: team-x}
      - {receiver: audit, matchers: ['audit="true", severity!="info"'], continue: true, group_by: []}
      - {receiver: shop, matchers: [service=shop], group_by: ['...'], group_interval: 1m}
  receivers: [{name: default}, {name: databases}, {name: pager}, {name: team-x}, {name: audit}, {name: shop}]
"""


@pytest.mark.parametrize(
    ("of", "receivers"),
    [
        ({}, ["default"]),
        ({"service": "postgres"}, ["databases"]),
        ({"service": "postgres", "severity": "critical"}, ["pager"]),
        ({"service": "mysql", "severity": "critical", "owner": "team-x"}, ["pager", "team-x"]),
        ({"service": "mysql", "owner": "team-x", "audit": "true"}, ["team-x"]),
        ({"service": "shop", "audit": "true"}, ["audit", "shop"]),
        ({"service": "shop", "audit": "true", "severity": "info"}, ["shop"]),
        ({"audit": "true"}, ["audit"]),
        ({"service": "postgresql"}, ["default"]),
    ],
)
def test_the_deepest_routes_win(of: dict[str, str], receivers: list[str]) -> None:
    assert [taken.receiver for taken in route(TREE).match(labels.make(of))] == receivers


def test_children_inherit_what_they_do_not_say() -> None:
    by_receiver = {taken.receiver: taken for taken in route(TREE).routes()}
    assert by_receiver["pager"] == routing.Route(
        "pager", ("database",), 5.0, 300.0, 10800.0, '{}/{service=~"postgres|mysql"}/{severity="critical"}'
    )
    assert by_receiver["audit"].group_by == ()
    assert by_receiver["shop"].group_interval == 60.0
    assert by_receiver["default"].group_wait == 30.0


def test_group_labels() -> None:
    by_receiver = {taken.receiver: taken for taken in route(TREE).routes()}
    of = labels.make(alertname="A", cluster="c", service="shop")
    assert by_receiver["default"].group_labels(of) == (("alertname", "A"), ("cluster", "c"))
    assert by_receiver["default"].group_labels(labels.make(alertname="A")) == (("alertname", "A"),)
    assert by_receiver["audit"].group_labels(of) == ()
    assert by_receiver["shop"].group_labels(of) == of
    assert by_receiver["shop"].group_key((("a", 'x"y'), ("b", "z"))) == '{}/{service="shop"}:{a="x\\"y", b="z"}'


def wrong(text: str) -> list[problems.Problem]:
    with pytest.raises(problems.ConfigError) as caught:
        route(text)
    return list(caught.value.problems)


def section(route_: str) -> str:
    return f"alerts:\n  route: {route_}\n  receivers: [{{name: team}}, {{name: pager}}]\n"


@pytest.mark.parametrize(
    ("text", "code", "place", "part"),
    [
        ("{group_by: [a]}", "route-no-receiver", (2, 10), "needs a `receiver`"),
        ("{receiver: taem}", "route-unknown-receiver", (2, 21), "did you mean `team`?"),
        ("{receiver: x}", "route-unknown-receiver", (2, 21), "receivers: `team`, `pager`"),
        ("{receiver: team, matchers: [a=b]}", "route-root-matchers", (2, 37), "takes every alert"),
        ("{receiver: team, continue: true}", "route-root-continue", (2, 37), "continue"),
        ("{receiver: team, group_by: ['...', a]}", "route-bad-group-by", (2, 37), "stand alone"),
        ("{receiver: team, group_by: [a, b, a]}", "route-bad-group-by", (2, 44), "`a` is in `group_by` twice"),
        ("{receiver: team, group_interval: 0s}", "route-zero-interval", (2, 43), "`group_interval` cannot be zero"),
        ("{receiver: team, repeat_interval: 0}", "route-zero-interval", (2, 44), "`repeat_interval` cannot be zero"),
        ("{receiver: team, routes: [{matchers: ['a=~(']}]}", "route-bad-matcher", (2, 48), "RE2"),
        ("{receiver: team, routes: [{matchers: [a=b, '=c']}]}", "route-bad-matcher", (2, 53), "character 1"),
    ],
)
def test_mistakes_are_shown_at_their_place(text: str, code: str, place: tuple[int, int], part: str) -> None:
    (problem,) = wrong(section(text))
    assert (problem.code, (problem.line, problem.column)) == (code, place)
    assert part in f"{problem.summary} {problem.hint}"


def test_every_mistake_is_shown() -> None:
    found = wrong(section("{receiver: x, matchers: [a=b], routes: [{receiver: y}, {group_interval: 0}]}"))
    assert [problem.code for problem in found] == [
        "route-root-matchers",
        "route-unknown-receiver",
        "route-unknown-receiver",
        "route-zero-interval",
    ]
