"""Exposition parsing against `prometheus_client`'s parsers, in the same run, on Prometheus' own 1,857-sample test file.

Cold: a parser that has never seen the target. Warm: one that has; the bodies come in turn, so that in each every number,
every tenth or none differs from the one before. Both sides read the same bodies. Medians of rounds taken in turn. Label
sets are those that Prometheus 3 stores, as in the product. OpenMetrics: a made exposition with exemplars.
"""

from __future__ import annotations

import functools
import itertools
import pathlib
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator

import prometheus_client.openmetrics.parser
import prometheus_client.parser

from tidegate.model import labels
from tidegate.scrape import exposition
from tidegate.scrape.protocols import Format

FILE = pathlib.Path(__file__).parents[2] / "shared/conformance/exposition/alltypes.237mfs.prom.txt"
ROUNDS = 31
LAST = re.compile(r"^([^#\n].* )([0-9]\S*)$", re.MULTILINE)
Reference = Callable[[str], Iterable[object]]


def made() -> str:
    """An exposition of about the same shape, for where the file is not there."""
    lines = []
    for family in range(237):
        lines += [f"# HELP family_{family} One of many.", f"# TYPE family_{family} gauge"]
        lines += [f'family_{family}{{path="/p/{n}",code="{200 + n}"}} {family * n / 7!r}' for n in range(8)]
    return "\n".join(lines) + "\n"


def openmetrics(step: int = 0) -> list[str]:
    """Counters and histograms; every tenth bucket has an exemplar. Two bodies, as `changed` makes them."""
    return [_openmetrics(lambda _: 0), _openmetrics(lambda family: int(step > 0 and family % step == 0))]


def _openmetrics(more: Callable[[int], int]) -> str:
    lines = []
    for family in range(100):
        lines += [f"# HELP c{family} One of many.", f"# TYPE c{family} counter"]
        lines += [
            f'c{family}_total{{path="/p/{n}",code="{200 + n}"}} {family * n + 1.5 + more(family)}' for n in range(8)
        ]
        lines += [f"# HELP h{family}_seconds One of many.", f"# TYPE h{family}_seconds histogram"]
        lines += [f'h{family}_seconds_bucket{{le="{n / 4}"}} {n + 1 + more(family)}' for n in range(9)]
        lines += [
            (
                f'h{family}_seconds_bucket{{le="+Inf"}} {10 + more(family)}'
                f' # {{id="{family + more(family):016x}"}} 3.5 1700000000.123'
            )
        ]
        lines += [
            f"h{family}_seconds_count {10 + more(family)}",
            f"h{family}_seconds_sum {family / 7 + more(family)!r}",
        ]
    return "\n".join([*lines, "# EOF"]) + "\n"


def changed(text: str, step: int) -> list[str]:
    """Two bodies, of which every `step`-th value differs; the same one twice when it is 0."""
    count = itertools.count()

    def other(found: re.Match[str]) -> str:
        if step and next(count) % step == 0:
            return f"{found[1]}1{found[2]}" if found[2][0] != "0" else f"{found[1]}1"
        return found[0]

    return [text, LAST.sub(other, text)]


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def parser() -> exposition.Parser:
    """A parser that gives each series the next column."""
    columns: dict[labels.Labels, int] = {}
    return exposition.Parser(lambda name: columns.setdefault(name, len(columns)), canonical=True)


def warm(form: Format, bodies: Iterable[str]) -> Iterator[Callable[[], object]]:
    """Calls that parse one body after the other, with one parser."""
    one = parser()
    raw = [body.encode() for body in bodies]
    for body in raw * 2:
        one.parse(body, form)
    for body in itertools.cycle(raw):
        yield functools.partial(one.parse, body, form)


def measure(title: str, bodies: Callable[[int], list[str]], form: Format, reference: Reference) -> None:
    """Measure one exposition and print."""
    every, tenth, same = (warm(form, bodies(step)) for step in (1, 10, 0))
    texts = bodies(1)
    raw = [body.encode() for body in texts]
    times: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        fresh = parser()
        calls: dict[str, Callable[[], object]] = {
            "prometheus_client": functools.partial(_all, reference, texts[number % 2]),
            "tidegate, cold": functools.partial(fresh.parse, raw[number % 2], form),
            "tidegate, warm, every number new": next(every),
            "tidegate, warm, every tenth new": next(tenth),
            "tidegate, warm, none new": next(same),
        }
        for name, call in calls.items():
            times.setdefault(name, []).append(seconds(call))
    samples = parser().parse(raw[0], form).samples
    peer = statistics.median(times["prometheus_client"])
    print(f"{title}: {samples} samples, {len(raw[0])} bytes, median of {ROUNDS} rounds")
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"  {name:34} {middle * 1000:7.2f} ms {samples / middle / 1e6:6.2f} M samples/s {peer / middle:6.1f} x")


def _all(reference: Reference, text: str) -> list[object]:
    return list(reference(text))


def main() -> None:
    """Measure and print."""
    text = FILE.read_text() if FILE.exists() else made()
    measure(
        "text", functools.partial(changed, text), Format.TEXT, prometheus_client.parser.text_string_to_metric_families
    )
    measure(
        "OpenMetrics",
        openmetrics,
        Format.OPENMETRICS,
        prometheus_client.openmetrics.parser.text_string_to_metric_families,
    )


if __name__ == "__main__":
    main()
