"""Exposition parsing against `prometheus_client.parser`, in the same run, on Prometheus' own 1,857-sample test file.

Cold: a parser that has never seen the target. Warm: one that has. Medians of rounds taken in turn.
"""

from __future__ import annotations

import pathlib
import statistics
import time
from collections.abc import Callable

import prometheus_client.parser

from tidegate.model import labels
from tidegate.scrape import exposition

FILE = pathlib.Path(__file__).parents[2] / "shared/conformance/exposition/alltypes.237mfs.prom.txt"
ROUNDS = 30


def made() -> str:
    """An exposition of about the same shape, for where the file is not there."""
    lines = []
    for family in range(237):
        lines += [f"# HELP family_{family} One of many.", f"# TYPE family_{family} gauge"]
        lines += [f'family_{family}{{path="/p/{n}",code="{200 + n}"}} {family * n / 7!r}' for n in range(8)]
    return "\n".join(lines) + "\n"


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def parser() -> exposition.Parser:
    """A parser that gives each series the next column."""
    columns: dict[labels.Labels, int] = {}
    return exposition.Parser(lambda name: columns.setdefault(name, len(columns)))


def main() -> None:
    """Measure and print."""
    text = FILE.read_text() if FILE.exists() else made()
    body = text.encode()
    warm = parser()
    samples = warm.parse(body).samples
    times: dict[str, list[float]] = {"prometheus_client.parser": [], "tidegate, cold": [], "tidegate, warm": []}
    for _ in range(ROUNDS):
        reference = lambda: list(prometheus_client.parser.text_string_to_metric_families(text))  # noqa: E731
        times["prometheus_client.parser"].append(seconds(reference))
        fresh = parser()
        times["tidegate, cold"].append(seconds(lambda fresh=fresh: fresh.parse(body)))  # type: ignore[misc]
        times["tidegate, warm"].append(seconds(lambda: warm.parse(body)))
    peer = statistics.median(times["prometheus_client.parser"])
    print(f"{samples} samples, {len(body)} bytes, median of {ROUNDS} rounds")
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"  {name:26} {middle * 1000:7.2f} ms {samples / middle / 1e6:6.2f} M samples/s {peer / middle:6.1f} x")


if __name__ == "__main__":
    main()
