"""Which environment and service a label set belongs to. Pure: settings in, membership out; the decision is `judge`'s.

Rules: a label set is of every environment whose marks it carries all of. One without an `environment` label that no
environment claims is of the default environment; where that is not configured, an alert counts everywhere (it may be
anywhere) and a target nowhere (it proves nothing). One that names an environment we do not know is nobody's.
"""

from __future__ import annotations

from tidegate.kit import matchers
from tidegate.model import labels as labels_
from tidegate.model import problems, rules, settings

ENVIRONMENT = "environment"
GATE = "gate"
BLIND = "blind"


class Scope:
    """Reads labels by the settings. Raises `ConfigError` when a matcher of an environment cannot be read."""

    def __init__(self, given: settings.Gate) -> None:
        self._service_labels = given.service_labels
        self._default = given.default_environment if given.default_environment in given.environments else ""
        self._names = tuple(given.environments)
        self._marks = {
            name: tuple(sorted((environment.labels or {ENVIRONMENT: name}).items()))
            for name, environment in given.environments.items()
        }
        self._conditions = _conditions(given)

    def service(self, of: labels_.Labels) -> str:
        """The service that a label set names; empty when it names none."""
        for name in self._service_labels:
            value = labels_.get(of, name)
            if value:
                return value
        return ""

    def claimed(self, of: labels_.Labels) -> tuple[str, ...]:
        """The environments whose marks it carries, or the default one; empty when it belongs to none that we know."""
        mine = tuple(
            name for name in self._names if all(labels_.get(of, key) == value for key, value in self._marks[name])
        )
        if mine or labels_.get(of, ENVIRONMENT) or not self._default:
            return mine
        return (self._default,)

    def place(self, of: labels_.Labels) -> tuple[str, tuple[str, ...]]:
        """The service and the environments that claim it."""
        return self.service(of), self.claimed(of)

    def suspected(self, of: labels_.Labels) -> tuple[str, ...]:
        """The environments that an alert may be about: those that claim it, or all when it does not say."""
        mine = self.claimed(of)
        return self._names if not mine and not labels_.get(of, ENVIRONMENT) else mine

    def shuts(self, environment: str, of: labels_.Labels) -> bool:
        """Whether an alert with these labels shuts this environment's gate."""
        return self._conditions[environment].matches(of)

    def could_shut(self, environment: str, service: str, rule: rules.Rule, group_labels: labels_.Labels = ()) -> bool:
        """Whether a rule may make an alert that shuts the gate of a service, as far as its written labels tell.

        A recording rule may, since alerting rules read it. Labels that are templates, or not written, can be anything.
        """
        written = dict(group_labels) | dict(rule.labels)
        fixed = labels_.make({name: value for name, value in written.items() if "{{" not in value})
        if labels_.get(fixed, GATE) == BLIND:
            return True
        named = next((labels_.get(fixed, name) for name in self._service_labels if name in written), "")
        if named and named != service:
            return False
        marks = dict(self._marks[environment])
        if any(name in marks and marks[name] != value for name, value in fixed):
            return False
        known = [matcher for matcher in self._conditions[environment].matchers if labels_.get(fixed, matcher.name)]
        return isinstance(rule, rules.RecordingRule) or matchers.Conditions(known).matches(fixed)


def lacks_data(of: labels_.Labels) -> bool:
    """Whether an alert says that its rule had no data to judge (`no_data: alert`)."""
    return labels_.get(of, "no_data") == "true"


def is_blind(of: labels_.Labels) -> bool:
    """Whether an alert says that Tidegate itself cannot see: it makes the verdict `unknown`, not `deny`."""
    return labels_.get(of, GATE) == BLIND


def _conditions(given: settings.Gate) -> dict[str, matchers.Conditions]:
    found, wrong = {}, []
    for name, environment in given.environments.items():
        try:
            parsed = [matcher for text in environment.alerts.matchers for matcher in matchers.parse_all(text)]
            found[name] = matchers.Conditions(parsed)
        except problems.QueryError as error:
            place = f"gate.environments.{name}.alerts.matchers"
            wrong.append(problems.Problem("gate-matcher", f"{place}: {error}", "settings"))
    if wrong:
        raise problems.ConfigError(wrong)
    return found
