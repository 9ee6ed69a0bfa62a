"""Where stages meet. Each Protocol is implemented by one stage and used by others; `app.py` connects them.

Only nouns of `tidegate.model` cross these borders. Methods that are `async` may do I/O; the others answer from memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from tidegate.model import alerts, gate, labels, logs, rules, targets

if TYPE_CHECKING:  # numpy is half of what an agent would weigh
    from tidegate.model import series


class Clock(Protocol):
    """Time, real or virtual."""

    def now(self) -> float:
        """Unix seconds."""

    async def sleep(self, seconds: float) -> None:
        """Let others work for this long."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tick:
    """One due time of a schedule."""

    at: float
    """The slot's exact time in unix seconds, not when we woke up."""
    missed: int = 0
    """Slots skipped since the last tick, because the work took longer than the interval."""


class Ticks(Protocol):
    """One schedule's due times. The owner closes it."""

    async def next(self) -> Tick:
        """Wait for the next slot. Slots that passed meanwhile are counted in `missed`, never made up for."""

    def close(self) -> None:
        """Stop the schedule."""


class Schedule(Protocol):
    """Decides *when*; whoever asked decides *what*."""

    def every(self, key: str, interval: float) -> Ticks:
        """Slots `interval` seconds apart, shifted by a hash of `key`: stable over restarts, spread over targets."""


# --- samples -----------------------------------------------------------------------------------------------------


class SampleTable(Protocol):
    """The samples of one source (a target, a rule group), which share one timestamp per row."""

    @property
    def epoch(self) -> int:
        """Changes when columns of dead series were given back: then every remembered column must be looked up again."""

    def column(self, labels: labels.Labels, /) -> int:
        """A series' column (labels with `__name__`), made when new. Raises `PermanentError(reason="series_limit")`."""

    def labels(self, column: int, /) -> labels.Labels:
        """The series of a column."""

    def append(self, at_ms: int, columns: series.Columns, values: series.Values, *, partial: bool = False) -> None:
        """Store one row. A series that the last row had and this one has not gets a stale marker, unless it is `partial`.

        Values may hold the stale marker. A row that is not newer than the last is dropped and counted. Raises `ValueError`
        for a column that belongs to no series any more, or that stands twice.
        """

    def end(self, at_ms: int) -> None:
        """Mark every live series stale: the source failed or went away."""


class SampleStore(Protocol):
    """Where samples go."""

    def table(self, key: str, interval: float) -> SampleTable:
        """The table of a source, made when new; `interval` (seconds between rows) sizes its ring."""

    def drop(self, key: str) -> None:
        """The source is gone for good: its samples stay readable until they age out, then its space is freed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """What became of a message of samples."""

    samples: int
    """How many were stored."""
    dropped: tuple[tuple[str, int], ...] = ()
    """(reason, number) of those that were not."""


class WriteReceiver(Protocol):
    """Takes samples that others push."""

    def write(self, body: bytes, message: str) -> Written:
        """Store a remote-write message; `message` is its protobuf name. Blocks.

        Raises `PermanentError` when it cannot be read at all.
        """

    def told(self, metric: str = "") -> Iterator[series.Metadata]:
        """What senders say of one metric, or of all."""


class Query(Protocol):
    """A parsed PromQL expression."""

    @property
    def expr(self) -> str:
        """The text as written."""

    @property
    def names(self) -> frozenset[str]:
        """Metric names that its selectors fix with `=`."""

    @property
    def lookback(self) -> float:
        """Seconds of history that an instant evaluation reads."""

    @property
    def lower_is_worse(self) -> bool:
        """Whether the outermost comparison is `<` or `<=`: its worst value is the lowest one."""

    @property
    def threshold(self) -> str:
        """The outermost comparison with a number, e.g. `> 0.05`; empty when there is none."""

    @property
    def presence(self) -> str:
        """A query that has a result exactly when there is data to judge; empty when the expression needs none."""

    @property
    def operand(self) -> str:
        """What the outermost comparison compares with a number, as a query; empty when there is none."""

    @property
    def waits(self) -> bool:
        """Whether evaluating waits for another server: then it belongs into a thread."""

    def instant(self, at: float) -> series.Result:
        """Evaluate at one time (unix seconds). Raises `QueryError`."""

    def range(self, start: float, end: float, step: float) -> series.Matrix:
        """Evaluate at each step. Raises `QueryError`."""


class QueryEngine(Protocol):
    """PromQL over the sample store."""

    def allowing(self, *, experimental: bool) -> QueryEngine:
        """The same engine, with or without the forms that Prometheus has behind feature flags."""

    def prepare(self, expr: str) -> Query:
        """Parse. Raises `QueryError` with the position and, for what we cannot do, the name of the form."""


class Queries(Protocol):
    """PromQL as dashboards and people ask it. Everything here may take long: call it in a thread.

    Times are unix seconds. Selectors are PromQL vector selectors; none means every series. All raise `QueryError`.
    """

    def instant(self, expr: str, at: float, *, lookback: float = 0.0, timeout: float = 0.0) -> series.Answer:
        """Evaluate at one time; `lookback` and `timeout` (seconds) replace the engine's own where they are not 0."""

    def range(
        self, expr: str, start: float, end: float, step: float, *, lookback: float = 0.0, timeout: float = 0.0
    ) -> series.Answer:
        """Evaluate at each step."""

    def label_sets(self, selectors: Sequence[str], start: float, end: float) -> list[labels.Labels]:
        """Label sets of the series that match any selector and have a sample in (start, end], sorted."""

    def label_names(self, selectors: Sequence[str], start: float, end: float) -> list[str]:
        """Label names of those series, sorted."""

    def label_values(self, name: str, selectors: Sequence[str], start: float, end: float) -> list[str]:
        """Values that those series have for one label, sorted."""

    def selectors(self, expr: str) -> list[Callable[[labels.Labels], bool]]:
        """A test for each vector selector of a query: whether it selects a label set."""

    def selects(self, selector: str, of: labels.Labels) -> bool:
        """Whether a label set meets a selector."""

    def cardinality(self, limit: int) -> series.Cardinality:
        """How many series there are, and the `limit` largest of each kind."""

    def formatted(self, expr: str) -> str:
        """The query in Prometheus' layout."""

    def parsed(self, expr: str) -> Mapping[str, Any]:
        """The query's tree, as Prometheus' API writes it."""


# --- logs --------------------------------------------------------------------------------------------------------


class LogReader(Protocol):
    """Where log lines are searched."""

    async def search(self, query: str, *, start: float, end: float, limit: int) -> logs.LogPage:
        """Lines that match a KQL query in [start, end] (unix seconds), newest first.

        Raises `QueryError` on a bad query, `TransientError` when the store does not answer.
        """


class LogStore(LogReader, Protocol):
    """Where log lines are searched and followed."""

    async def follow(self, query: str, *, cursor: str) -> logs.NewLines:
        """Some lines that match a KQL query and arrived after a cursor; an empty cursor begins with what comes next.

        Raises `QueryError` on a bad query or cursor, `TransientError` when the store does not answer.
        """


class LogLines(Protocol):
    """Some lines in the stream: ECS documents as bytes, parsed when they are asked for."""

    @property
    def bodies(self) -> Sequence[bytes]:
        """Each document's JSON."""

    def document(self, number: int, /) -> Mapping[str, Any]:
        """One of them, parsed."""


LogObserver: TypeAlias = Callable[[LogLines], None]
"""Sees the lines of each batch in the stream, once each; must not keep or change them."""


# --- alerts ------------------------------------------------------------------------------------------------------


class AlertBook(Protocol):
    """Holds every alert that is not long over, durably."""

    async def put(self, changed: Sequence[alerts.Alert]) -> None:
        """Take the state of these alerts, and return when it is on disk."""

    def all(self) -> Sequence[alerts.Alert]:
        """Pending, firing and recently resolved ones."""

    def silenced_by(self, alert: alerts.Alert) -> Sequence[str]:
        """Ids of the active silences that match it."""


class Silences(Protocol):
    """The silences, as the API needs them."""

    def all(self) -> Sequence[alerts.Silence]:
        """Pending, active and recently expired ones."""

    async def put(self, silence: alerts.Silence) -> str:
        """Make (empty id) or change one; the id. Raises `PermanentError` when it may not be."""

    async def expire(self, silence_id: str) -> None:
        """End it now. Raises `KeyError` when there is none."""


class SentLog(Protocol):
    """What was sent lately."""

    def recent(self, limit: int) -> Sequence[alerts.Sent]:
        """Deliveries, newest first."""


# --- rules, targets: what the gate and the page look at ----------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class RuleStatus:
    """The last evaluation of one rule."""

    rule: rules.Rule
    health: str = "unknown"
    """`ok`, `err` or `unknown` (never evaluated)."""
    error: str = ""
    last_evaluation: float = 0.0
    duration: float = 0.0
    series: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class GroupStatus:
    """The last evaluation of one group."""

    group: rules.Group
    rules: tuple[RuleStatus, ...]
    last_evaluation: float = 0.0
    duration: float = 0.0
    missed: int = 0


class RuleReader(Protocol):
    """How the rules are doing."""

    def groups(self) -> Sequence[GroupStatus]:
        """Every loaded group."""


class TargetReader(Protocol):
    """How the targets are doing."""

    def dropped(self) -> tuple[Sequence[targets.Dropped], Mapping[str, int]]:
        """Targets that relabelling dropped (perhaps not all), and how many there are by job."""

    def targets(self) -> Sequence[targets.TargetStatus]:
        """Every target."""


class MetadataReader(Protocol):
    """What the targets say of their metrics."""

    def metadata(self, metric: str = "") -> Iterator[tuple[targets.Target, series.Metadata]]:
        """Type, help text and unit, of one metric family or of all, target by target. Several may say different things."""


class ExemplarReader(Protocol):
    """The exemplars that targets gave with their samples."""

    def exemplars(
        self, wanted: Callable[[labels.Labels], bool], start_ms: int, end_ms: int
    ) -> Mapping[labels.Labels, Sequence[series.Exemplar]]:
        """Those of the series that are `wanted`, between two times (both included), oldest first."""


@dataclasses.dataclass(frozen=True, slots=True)
class StreamStatus:
    """One log file or output, and how far behind it is."""

    name: str
    kind: str
    """`file` or `output`."""
    lag_bytes: int = 0
    lag_seconds: float = 0.0
    lines: int = 0
    error: str = ""


class StreamReader(Protocol):
    """How the logs are doing."""

    def streams(self) -> Sequence[StreamStatus]:
        """Every input and output."""


# --- gate --------------------------------------------------------------------------------------------------------


class Gate(Protocol):
    """Answers from memory."""

    def ask(self, environment: str, service: str, version: str = "", digest: str = "") -> gate.Verdict:
        """May this version (this build of it) come to this environment? Raises `KeyError` for an unknown environment."""

    def environments(self) -> Sequence[str]:
        """The environments that are configured."""

    def known(self) -> Sequence[tuple[str, str]]:
        """(environment, service) pairs worth showing: from targets, alerts and deploys."""


class Ledger(Protocol):
    """The deploys."""

    async def record(self, deploy: gate.Deploy) -> gate.Deploy:
        """Keep it, durably, and return it as kept. The same id again changes nothing: what was kept first is returned."""

    def direction(self, environment: str, service: str, version: str, digest: str = "") -> gate.Direction:
        """What a deploy of this version would be now."""

    def deploys(self, environment: str = "", service: str = "", limit: int = 100) -> Sequence[gate.Deploy]:
        """Newest first; empty means all."""


Reload: TypeAlias = Callable[[], Awaitable[None]]
"""Load the configuration again. Raises `ConfigError`, with the old one still in force."""
