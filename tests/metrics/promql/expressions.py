"""Random PromQL expressions that are valid, over the metrics of `awkward`, from a seed.

`exact` asks for values without rounding: what jumps at a bound (comparisons, `floor`, `topk`, ...) gets only such
operands, because two right engines may differ in the last bit of all others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.metrics.promql import awkward

_SELECTORS = [
    "c_total",
    'c_total{job="a"}',
    'c_total{path=~"/.+"}',
    'c_total{instance!="i-0"}',
    'c_total{path!~"/|/x"}',
    "g",
    'g{kind="p"}',
    'g{kind=~"p|q",job!=""}',
    '{__name__="g",kind="q"}',
    'g{instance=~"i-[01]"}',
    "up",
    "build",
    "flap",
    "late_total",
    "once_total",
    "lone",
    "steady",
    "special",
    "none",
    'up{job="z"}',
    "h_bucket",
    'h_bucket{le!="many"}',
    "h_sum",
    "h_count",
    'h_bucket{instance="i-1"}',
    "target_info",
    '{__name__=~"dup_.*"}',
    "dup_one",
    "dup_two",
    '{__name__=~"c_total|g"}',
    '{"odd.name"}',
    '{x="1"}',
    '{x=~"1|"}',
    '{job="a",__name__!~"h_.*"}',
    'g{missing=""}',
    'c_total{path=~"(?i)/X"}',
    '{"odd.name","a b"=~"x.y"}',
]
_DISTINCT = ["g", 'g{kind="p"}', 'g{job="a"}', 'g{instance!~"i-3"}']
_LABELS = ["job", "instance", "path", "kind", "le", "x", "version", "missing", "__name__"]
_SPANS = ["15s", "20s", "1m", "2m30s", "5m", "40s", "1ms", "10m"]
_STEPS = ["10s", "", "7s", "1m", "15s"]
_NUMBERS = ["0", "1", "-1", "2", "0.5", "3.25", "10", "100", "NaN", "Inf", "-Inf", "0x10", "1e3", "1m", "-0"]
_SMOOTH_MATHS = ["abs", "exp", "sqrt", "ln", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh"]
_SMOOTH_MATHS += ["cosh", "tanh", "asinh", "acosh", "atanh", "rad", "deg"]
_DATES = ["minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"]
_EXACT_WINDOWS = ["last_over_time", "first_over_time", "min_over_time", "max_over_time", "sum_over_time", "changes"]
_EXACT_WINDOWS += ["count_over_time", "present_over_time", "resets", "idelta", "absent_over_time"]
_EXACT_WINDOWS += ["ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time"]
_ROUGH_WINDOWS = ["rate", "increase", "delta", "irate", "deriv", "avg_over_time", "stddev_over_time"]
_ROUGH_WINDOWS += ["stdvar_over_time", "mad_over_time"]
_COMPARE = ["==", "!=", "<", "<=", ">", ">="]


class Maker:
    """Makes expressions."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def any(self) -> str:
        """Any expression that has a value."""
        kind = self._dice.random()
        if kind < 0.06:
            return self.scalar(3)
        if kind < 0.1:
            return self.matrix(2)
        if kind < 0.14:
            return self._ordered()
        return self.vector(self._dice.randrange(1, 5))

    def ask(self) -> tuple[float, float, float]:
        """Start, end and step of a range query, in unix seconds; step 0 is an instant query at the end."""
        end = awkward.END - self._dice.choice((0, 0, 7, 60, 200, 333.333, -100, -290, 650))
        if self._dice.random() < 0.5:
            return end, end, 0.0
        return end - self._dice.choice((0, 30, 95, 300, 600)), end, self._dice.choice((15.0, 30.0, 7.5, 60.0))

    # --- kinds of values -----------------------------------------------------------------------------------------

    def vector(self, depth: int, *, exact: bool = False) -> str:
        """An instant vector."""
        if depth <= 0:
            return self._selector()
        forms: list[tuple[int, Callable[[int, bool], str]]] = [
            (3, lambda _, __: self._selector()),
            (5, self._aggregate),
            (6, self._window),
            (3, self._function),
            (4, self._with_scalar),
            (5, self._matched),
            (3, self._set),
            (3, self._relabelled),
            (1, lambda depth, exact: f"({self.vector(depth - 1, exact=exact)})"),
            (1, lambda depth, exact: f"-{self._operand(depth, exact)}"),
            (1, lambda depth, exact: f"vector({self.scalar(depth - 1, exact=exact)})"),
            (1, lambda depth, _: f"absent({self.vector(depth - 1)})"),
        ]
        if not exact:
            forms.append((4, lambda depth, _: self._histogram(depth)))
        chosen = self._dice.choices([form for _, form in forms], [weight for weight, _ in forms])[0]
        return chosen(depth, exact)

    def scalar(self, depth: int, *, exact: bool = False) -> str:
        """A number."""
        kind = self._dice.random()
        if depth <= 0 or kind < 0.5:
            return self._one(_NUMBERS)
        if kind < 0.6:
            return self._one(["time()", "pi()", "start()", "end()", "step()", "range()"]) if not exact else "time()"
        if kind < 0.75:
            return f"scalar({self.vector(depth - 1, exact=exact)})"
        if kind < 0.8:
            return f"{self._one(['min_of', 'max_of'])}({self.scalar(depth - 1, exact=exact)}, {self._one(_NUMBERS)})"
        left, right = self.scalar(depth - 1, exact=exact), self.scalar(depth - 1, exact=exact)
        if kind < 0.9:
            left, right = self.scalar(depth - 1, exact=True), self.scalar(depth - 1, exact=True)
            return f"({left} {self._one(_COMPARE)} bool {right})"
        return f"({left} {self._one(['+', '-', '*'] + ([] if exact else ['/', '^', 'atan2']))} {right})"

    def matrix(self, depth: int, *, exact: bool = True) -> str:
        """A range vector."""
        if depth > 0 and self._dice.random() < 0.35:
            inner = self._operand(depth, exact)
            # Prometheus does not load all samples of a selector with `@` inside a subquery with an offset.
            when = "" if "@" in inner else self._when()
            return f"{inner}[{self._one(_SPANS[:6])}:{self._one(_STEPS)}]{when}"
        return f"{self._one(_SELECTORS)}[{self._one(_SPANS)}]{self._when()}"

    # --- parts ---------------------------------------------------------------------------------------------------

    def _one(self, choices: Sequence[str]) -> str:
        return self._dice.choice(choices)

    def _operand(self, depth: int, exact: bool) -> str:
        return f"({self.vector(depth - 1, exact=exact)})"

    def _selector(self) -> str:
        return f"{self._one(_SELECTORS)}{self._when()}"

    def _when(self) -> str:
        offset = self._one(["offset 20s", "offset 1m", "offset -45s", "offset 1m30s", "offset -1ms"])
        at = self._one(["@ start()", "@ end()", f"@ {awkward.END - 300}", f"@ {awkward.END - 45.5}"])
        kind = self._dice.random()
        if kind > 0.25:
            return ""
        return f" {offset}" if kind < 0.1 else f" {at}" if kind < 0.18 else f" {at} {offset}"

    def _names(self, most: int = 3) -> str:
        return ", ".join(self._dice.sample(_LABELS, self._dice.randrange(most + 1)))

    def _grouping(self) -> str:
        kind = self._dice.random()
        return "" if kind < 0.3 else f" {'by' if kind < 0.7 else 'without'} ({self._names()})"

    def _aggregate(self, depth: int, exact: bool) -> str:
        ops = ["sum", "min", "max", "count", "group"] + ([] if exact else ["avg", "stddev", "stdvar", "quantile"])
        ops += ["topk", "bottomk", "count_values", "limit_ratio"]
        op = self._one(ops)
        if op in ("topk", "bottomk"):
            k = self._one(["1", "2", "3", "0", "-1", "1.7", "100", "scalar(up)", "scalar(lone)", "1e30", "NaN"])
            return f"{op}{self._grouping()} ({k}, {self._one(_DISTINCT)}{self._when()})"
        if op == "quantile":
            return f"{op}{self._grouping()} ({self._level()}, {self.vector(depth - 1)})"
        if op == "count_values":
            label = self._one(['"v"', '"job"', '"x"', '"le"'])
            return f"{op}{self._grouping()} ({label}, {self.vector(depth - 1, exact=True)})"
        if op == "limit_ratio":
            ratio = self._one(["0.5", "-0.5", "0.1", "1", "0", "1.5", "-2"])
            return f"{op}({ratio}, {self.vector(depth - 1, exact=exact)})"
        return f"{op}{self._grouping()} ({self.vector(depth - 1, exact=exact)})"

    def _level(self) -> str:
        return self._one(["0", "0.5", "0.9", "1", "0.25", "-1", "2", "NaN", "scalar(lone)", "0.99"])

    def _window(self, depth: int, exact: bool) -> str:
        op = self._one(_EXACT_WINDOWS if exact else _EXACT_WINDOWS + _ROUGH_WINDOWS * 2 + ["other"] * 4)
        if op in ("changes", "resets", "ts_of_max_over_time", "ts_of_min_over_time"):
            return f"{op}({self.matrix(depth - 1)})"
        if op != "other":
            return f"{op}({self.matrix(depth - 1, exact=exact)})"
        window = self.matrix(depth - 1)
        return self._one(
            [
                f"quantile_over_time({self._level()}, {window})",
                f"predict_linear({window}, {self._one(['60', '-30', '1h', 'scalar(lone)'])})",
                f"double_exponential_smoothing({window}, {self._one(['0.5', '0.1', '1.5'])}, {self._one(['0.3', '0.9'])})",
            ]
        )

    def _function(self, depth: int, exact: bool) -> str:
        kind = self._dice.random()
        if kind < 0.25:
            return f"{self._one(['floor', 'ceil', 'sgn', 'round'])}({self.vector(depth - 1, exact=True)})"
        if kind < 0.45:
            low, high = self.scalar(depth - 1, exact=True), self.scalar(depth - 1, exact=True)
            inner = self.vector(depth - 1, exact=exact)
            return self._one(
                [f"clamp({inner}, {low}, {high})", f"clamp_min({inner}, {low})", f"clamp_max({inner}, {high})"]
            )
        if kind < 0.6:
            # Prometheus forgets the offset of a selector with `@` in `timestamp`.
            inner = self._one(_SELECTORS) if kind < 0.52 else f"({self.vector(depth - 1, exact=True)}) + 0"
            return f"timestamp({inner})"
        if kind < 0.75:
            # Prometheus makes a date of NaN that depends on the processor.
            inner = self._one(["", "timestamp(up)", "g * 1000", "-h_count", "up @ end()"])
            return f"{self._one(_DATES)}({inner})"
        if exact:
            return f"abs({self.vector(depth - 1, exact=True)})"
        if kind < 0.8:
            nearest = self._one(["0.1", "5", "0", "-2", "NaN"])
            return f"round({self.vector(depth - 1, exact=True)}, {nearest})"
        return f"{self._one(_SMOOTH_MATHS)}({self.vector(depth - 1)})"

    def _with_scalar(self, depth: int, exact: bool) -> str:
        if self._dice.random() < 0.4:
            vector, number = self._operand(depth, True), self.scalar(depth - 1, exact=True)
            op = self._one(_COMPARE) + self._one(["", " bool"])
        else:
            vector, number = self._operand(depth, exact), self.scalar(depth - 1, exact=exact)
            op = self._one(["+", "-", "*"] + ([] if exact else ["/", "^", "atan2"]))
        return f"{vector} {op} {number}" if self._dice.random() < 0.7 else f"{number} {op} {vector}"

    def _matched(self, depth: int, exact: bool) -> str:
        compares = self._dice.random() < 0.35
        rough = not (exact or compares)
        if compares:
            op = self._one(_COMPARE) + self._one(["", " bool"])
        else:
            op = self._one(["+", "-", "*"] + (["/", "^", "atan2"] if rough else []))
        left, right = self._pair(depth, not rough)
        kind = self._dice.random()
        if kind < 0.25:
            return f"{left} {op} {right}"
        how = f"{'on' if kind < 0.7 else 'ignoring'} ({self._names()})"
        if self._dice.random() < 0.45:
            how += (
                f" {self._one(['group_left', 'group_right'])} ({self._dice.choice(['', 'version', 'x', 'kind, path'])})"
            )
        return f"{left} {op} {how} {right}"

    def _pair(self, depth: int, exact: bool) -> tuple[str, str]:
        """Two operands, alike more often than not, so that something matches."""
        left = self._operand(depth, exact)
        kind = self._dice.random()
        if kind < 0.3:
            return left, left
        if kind < 0.55:
            labels = self._one(["job", "instance", "job, instance"])
            ops = ["sum", "max"] if exact else ["sum", "avg", "min"]
            return left, f"{self._one(ops)} by ({labels}) ({self.vector(depth - 1, exact=exact)})"
        return left, self._operand(depth, exact)

    def _set(self, depth: int, exact: bool) -> str:
        left, right = self._pair(depth, exact)
        how = self._one(["", "", f"on ({self._names()})", f"ignoring ({self._names()})"])
        return f"{left} {self._one(['and', 'or', 'unless'])} {how} {right}"

    def _relabelled(self, depth: int, exact: bool) -> str:
        inner = self.vector(depth - 1, exact=exact)
        if self._dice.random() < 0.4:
            return (
                f'label_join({inner}, "{self._one(_LABELS)}", "{self._one(["-", ""])}", "job", "{self._one(_LABELS)}")'
            )
        pattern = self._one(["(.*)", "i-(.)", "(?P<n>.).*", "", ".+", "(a)|b", "[^a]*", "/(.?)(.*)", "x.y"])
        template = self._one(["$1", "${n}x", "fixed", "", "$1$2", "$$1", "$9", "é${1}"])
        target, origin = self._one([*_LABELS, "new", "new"]), self._one([*_LABELS, "a b"])
        return f'label_replace({inner}, "{target}", "{template}", "{origin}", "{pattern}")'

    def _histogram(self, depth: int) -> str:
        inner = self._one(
            [
                "h_bucket",
                'h_bucket{le!="many"}',
                f"sum by (le{self._one(['', ', job', ', instance'])}) (h_bucket)",
                f"sum by (le) (rate(h_bucket[{self._one(_SPANS)}]))",
                f"rate(h_bucket[{self._one(_SPANS)}])",
                self.vector(depth - 1, exact=True),
            ]
        )
        kind = self._dice.random()
        if kind < 0.65:
            return f"histogram_quantile({self._level()}, {inner})"
        if kind < 0.8:
            # Of buckets with the same bound under two names Prometheus adds up the counts once for each quantile.
            inner = inner.replace("h_bucket", 'h_bucket{instance!="i-1"}') if "h_bucket{" not in inner else "h_count"
            return f'histogram_quantiles({inner}, "{self._one(["q", "job"])}", 0.5, {self._level()})'
        bounds = [self._one(["0", "0.05", "0.5", "0.7", "2.5", "-1", "Inf", "-Inf", "NaN", "5"]) for _ in range(2)]
        return f"histogram_fraction({bounds[0]}, {bounds[1]}, {inner})"

    def _ordered(self) -> str:
        inner = f"{self._one(_DISTINCT)}{self._when()}"
        return self._one([f"sort({inner})", f"sort_desc({inner})", f'sort_by_label({inner}, "instance", "kind")'])
