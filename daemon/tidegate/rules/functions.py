"""Prometheus' template functions (`template/template.go`), as plain Python functions.

`PURE` ones depend on their arguments only; `bound` ones know the evaluation (its time, its queries, our address).
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import math
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import re2

from tidegate.model import settings

if TYPE_CHECKING:
    from tidegate.model import series

_SI = (("k", "M", "G", "T", "P", "E", "Z", "Y"), ("m", "u", "n", "p", "f", "a", "z", "y"))
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
NANO = 1_000_000_000
"""Nanoseconds in a second."""
_INT64 = 2**63 - 1
_SMALL = (("ms", 1_000_000), ("µs", 1000), ("ns", 1))
_PORT = re.compile(r"^(.*):\d+$")
QueryResult = list[dict[str, Any]]


def number(value: float) -> str:
    """A float as Go prints it by default (`%v`)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return _go_shortest(value)


def _go_shortest(value: float) -> str:
    """Go's `%v` of a float: shortest digits, exponent below -4 and from 6 on."""
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, figures, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, figures))
    power = len(digits) - 1 + int(exponent)
    if -5 < power < 6:
        return repr(value).removesuffix(".0")
    head = f"{digits[0]}.{digits[1:]}".removesuffix(".")
    return f"{'-' if sign else ''}{head}e{power:+03d}"


def _significant(value: float) -> str:
    """Go's `%.4g`."""
    if not math.isfinite(value):
        return number(value)
    text = f"{value:.4g}"
    if "e" in text:
        head, _, tail = text.partition("e")
        return f"{head}e{int(tail):+03d}"
    return text


def to_float(value: Any) -> float:
    """A number, or a text that is one. Raises `ValueError`."""
    if isinstance(value, str):
        return float(value)
    if isinstance(value, Duration):
        return value.nanoseconds / NANO
    return float(value)


def humanize(value: Any) -> str:
    """With a metric prefix: 1234567 is 1.235M."""
    given = to_float(value)
    if given == 0 or not math.isfinite(given):
        return _significant(given) if math.isfinite(given) else number(given)
    prefix = ""
    if abs(given) >= 1:
        for step in _SI[0]:
            if abs(given) < 1000:
                break
            prefix, given = step, given / 1000
        return _significant(given) + prefix
    for step in _SI[1]:
        if abs(given) >= 1:
            break
        prefix, given = step, given * 1000
    return _significant(given) + prefix


def humanize1024(value: Any) -> str:
    """With a binary prefix."""
    given = to_float(value)
    if abs(given) <= 1 or not math.isfinite(given):
        return _significant(given) if math.isfinite(given) else number(given)
    prefix = ""
    for step in _BINARY:
        if abs(given) < 1024:
            break
        prefix, given = step, given / 1024
    return _significant(given) + prefix


def humanize_duration(value: Any) -> str:
    """Seconds as days, hours, minutes: 3723 is `1h 2m 3s`."""
    given = to_float(value)
    if not math.isfinite(given) or given == 0:
        return number(given) if given else "0s"
    sign, given = ("-", -given) if given < 0 else ("", given)
    if given < 1:
        return sign + humanize(given) + "s"
    seconds, minutes, hours, days = int(given) % 60, int(given) // 60 % 60, int(given) // 3600 % 24, int(given) // 86400
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{_significant(given)}s"


def humanize_percentage(value: Any) -> str:
    """A ratio as a percentage."""
    return f"{_significant(to_float(value) * 100)}%"


def humanize_timestamp(value: Any) -> str:
    """Unix seconds as a UTC date and time."""
    given = to_float(value)
    if not math.isfinite(given):
        return number(given)
    return str(to_time(given))


class Time(datetime.datetime):
    """A time in UTC that prints as Go's `time.Time` does."""

    def __str__(self) -> str:
        fraction = f".{self.microsecond:06d}".rstrip("0").rstrip(".")
        return f"{self:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


@dataclasses.dataclass(frozen=True, slots=True)
class Duration:
    """A span that prints as Go's `time.Duration` does."""

    nanoseconds: int

    def __str__(self) -> str:
        sign, left = ("-", -self.nanoseconds) if self.nanoseconds < 0 else ("", self.nanoseconds)
        if left < NANO:
            unit, size = next(one for one in _SMALL if left >= one[1] or one[1] == 1)
            return f"{sign}{_fraction(left, size)}{unit}" if left else "0s"
        hours, left = divmod(left, 3600 * NANO)
        minutes, left = divmod(left, 60 * NANO)
        head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
        return f"{sign}{head}{_fraction(left, NANO)}s"


def _fraction(count: int, size: int) -> str:
    whole, rest = divmod(count, size)
    return f"{whole}.{rest:0{len(str(size)) - 1}d}".rstrip("0").rstrip(".") if rest else str(whole)


def to_time(value: Any) -> Time:
    """Unix seconds as a time, exact to the millisecond. Raises `ValueError` for what Go's nanoseconds cannot hold."""
    given = to_float(value)
    if not math.isfinite(given):
        raise ValueError("value is NaN or Inf")
    if abs(given * NANO) > _INT64:
        raise ValueError(f"{number(given)} cannot be represented as a nanoseconds timestamp since it overflows int64")
    milliseconds = int(given * NANO) // 1_000_000 if given >= 0 else -(int(-given * NANO) // 1_000_000)
    return Time(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=milliseconds)


def to_duration(value: Any) -> Duration:
    """Seconds as a duration; what 64 bits cannot hold becomes the least one, as in Go."""
    given = to_float(value) * NANO
    return Duration(int(given) if abs(given) < _INT64 else -_INT64 - 1)


def parse_duration(text: str) -> float:
    """A Prometheus duration's seconds. Raises `ValueError`."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text)
    seconds = settings.seconds(rest)
    if not isinstance(seconds, float):
        raise ValueError(f"not a valid duration string: {text!r}")
    return sign * seconds


def re_replace_all(pattern: str, replacement: str, text: str) -> str:
    """RE2, with Go's `$1` and `${name}` in the replacement."""
    compiled = re2.compile(pattern)
    known = {str(number) for number in range(compiled.groups + 1)} | set(compiled.groupindex)

    def group(found: re.Match[str]) -> str:
        """Go reads `$1x` as a group named `1x`; a group that is not there is empty."""
        if found[1] == "$":
            return "$"
        name = found[2] or found[1]
        return f"\\g<{name}>" if name in known else ""

    converted = re.sub(r"\$(\w+|\{(\w+)\}|\$)", group, replacement.replace("\\", "\\\\"))
    return str(compiled.sub(converted, text))


def strip_port(text: str) -> str:
    """`host:port` without the port."""
    found = _PORT.match(text)
    return found[1].strip("[]") if found else text


def strip_domain(text: str) -> str:
    """`host.domain:port` without the domain; addresses stay."""
    host, port = (strip_port(text), text[len(strip_port(text)) :]) if _PORT.match(text) else (text, "")
    if re.fullmatch(r"[0-9.]+|.*:.*", host):
        return text
    return host.partition(".")[0] + port


def sort_by_label(name: str, result: QueryResult) -> QueryResult:
    """A query's result in order of one label's values."""
    return sorted(result, key=lambda sample: str(sample["Labels"].get(name, "")))


def first(result: QueryResult) -> dict[str, Any]:
    """A query's first sample. Raises `ValueError` when it is empty."""
    if not result:
        raise ValueError("first() called on vector with no elements")
    return result[0]


def args(*given: Any) -> Mapping[str, Any]:
    """Several arguments for one template."""
    return {f"arg{number}": value for number, value in enumerate(given)}


def _title(text: str) -> str:
    return re.sub(r"(^|\s)(\S)", lambda found: found[1] + found[2].upper(), text)


def _table_link(expr: str) -> str:
    return f"/graph?g0.expr={urllib.parse.quote_plus(expr)}&g0.tab=1"


def _graph_link(expr: str) -> str:
    return f"/graph?g0.expr={urllib.parse.quote_plus(expr)}&g0.tab=0"


PURE: Mapping[str, Callable[..., Any]] = {
    "args": args,
    "first": first,
    "graphLink": _graph_link,
    "humanize": humanize,
    "humanize1024": humanize1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "humanizeTimestamp": humanize_timestamp,
    "label": lambda name, sample: sample["Labels"].get(name, ""),
    "match": lambda pattern, text: re2.search(pattern, text) is not None,
    "parseDuration": parse_duration,
    "reReplaceAll": re_replace_all,
    "safeHtml": lambda text: text,
    "sortByLabel": sort_by_label,
    "stripDomain": strip_domain,
    "stripPort": strip_port,
    "strvalue": lambda sample: sample["Labels"].get("__value__", ""),
    "tableLink": _table_link,
    "title": _title,
    "toDuration": to_duration,
    "toLower": lambda text: text.lower(),
    "toTime": to_time,
    "toUpper": lambda text: text.upper(),
    "urlQueryEscape": urllib.parse.quote_plus,
    "value": lambda sample: sample["Value"],
}


def bound(
    query: Callable[[str], series.Result], external_url: Callable[[], str], now: Callable[[], float]
) -> Mapping[str, Callable[..., Any]]:
    """The functions that know the evaluation."""
    return {
        "query": lambda expr: samples(query(expr)),
        "externalURL": external_url,
        "pathPrefix": lambda: urllib.parse.urlsplit(external_url()).path.rstrip("/"),
        "now": now,
    }


def samples(result: series.Result) -> QueryResult:
    """A query's result as templates see it."""
    from tidegate.model import series  # noqa: PLC0415 - numpy, which those who evaluate nothing do without

    if isinstance(result, series.Scalar):
        return [{"Labels": {}, "Value": result.value}]
    if isinstance(result, series.Vector):
        pairs = zip(result.labels, result.values.tolist(), strict=True)
        return [{"Labels": dict(labels), "Value": value} for labels, value in pairs]
    raise ValueError("a template's query must give an instant vector or a scalar")
