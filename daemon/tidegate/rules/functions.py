"""Prometheus' template functions (`template/template.go`), as plain Python functions.

`PURE` ones depend on their arguments only; `bound` ones know the evaluation (its time, its queries, our address).
"""

from __future__ import annotations

import datetime
import math
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import re2

from tidegate.model import series, settings

_SI = (("k", "M", "G", "T", "P", "E", "Z", "Y"), ("m", "u", "n", "p", "f", "a", "z", "y"))
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
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
    """Go's `%v` of a float: shortest digits, exponent below -4 and from 21 on."""
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    exponent = math.floor(math.log10(abs(value)))
    text = repr(value)
    if -5 < exponent < 21:
        return _plain(text)
    digits, _, power = f"{value:.17e}".partition("e")
    mantissa = repr(value) if "e" in repr(value) else f"{float(digits)!r}e{power}"
    head, _, tail = mantissa.partition("e")
    return f"{head.removesuffix('.0')}e{int(tail):+03d}"


def _plain(text: str) -> str:
    if "e" not in text:
        return text.removesuffix(".0")
    return f"{int(float(text))}" if float(text).is_integer() else f"{float(text):.25f}".rstrip("0").rstrip(".")


def _significant(value: float) -> str:
    """Go's `%.4g`."""
    text = f"{value:.4g}"
    if "e" in text:
        head, _, tail = text.partition("e")
        return f"{head}e{int(tail):+03d}"
    return text


def to_float(value: Any) -> float:
    """A number, or a text that is one. Raises `ValueError`."""
    if isinstance(value, str):
        return float(value)
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
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
    at = datetime.datetime.fromtimestamp(given, datetime.UTC)
    fraction = f".{at.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def parse_duration(text: str) -> float:
    """A Prometheus duration's seconds. Raises `ValueError`."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text)
    seconds = settings.seconds(rest)
    if not isinstance(seconds, float):
        raise ValueError(f"not a valid duration string: {text!r}")
    return sign * seconds


def re_replace_all(pattern: str, replacement: str, text: str) -> str:
    """RE2, with Go's `$1` and `${name}` in the replacement."""
    converted = re.sub(r"\$(\d+|\{(\w+)\}|\$)", _group, replacement.replace("\\", "\\\\"))
    return str(re2.sub(pattern, converted, text))


def _group(found: re.Match[str]) -> str:
    return "$" if found[1] == "$" else f"\\g<{found[2] or found[1]}>"


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
    "toDuration": lambda seconds: datetime.timedelta(seconds=to_float(seconds)),
    "toLower": lambda text: text.lower(),
    "toTime": lambda seconds: datetime.datetime.fromtimestamp(to_float(seconds), datetime.UTC),
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
    if isinstance(result, series.Scalar):
        return [{"Labels": {}, "Value": result.value}]
    if isinstance(result, series.Vector):
        pairs = zip(result.labels, result.values.tolist(), strict=True)
        return [{"Labels": dict(labels), "Value": value} for labels, value in pairs]
    raise ValueError("a template's query must give an instant vector or a scalar")
