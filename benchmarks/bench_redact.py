"""Redaction of a step's documents against Python's `re` doing the same: the same patterns, rule by rule over the block.

Clean: no document holds a secret, as nearly all do not. Some: one in a thousand does. The bodies are those that the shipper
makes of JSON lines. Both sides replace the same secrets. Medians of rounds taken in turn; MB/s and documents a second.
"""

from __future__ import annotations

import bisect
import itertools
import re
import statistics
import time
from collections.abc import Callable

import orjson

from tidegate.logs.ecs import encode
from tidegate.logs.formats import json
from tidegate.logs.process import redact, rules
from tidegate.model import settings

ROUNDS = 7
COUNT = 20_000
NAMES = ("secrets", "cards", "email")
INPUT = settings.LogInput.model_validate({"paths": ["x"], "dataset": "shop", "redact": NAMES})


def bodies(every: int) -> list[bytes]:
    """Documents; one in `every` has a secret, none when that is 0."""
    path = f"/var/log/containers/web-1_shop_web-{'ab' * 32}.log"
    encoder = encode.Encoder(encode.Static.of(INPUT, path, "node-1"))
    encoder.created("2026-01-02T03:04:05.000Z")
    out = []
    for number in range(COUNT):
        tail = " password=hunter2 of ann@shop.example" if every and number % every == 0 else ""
        value = {
            "msg": f"order {number} was placed{tail}",
            "level": "info",
            "took_ms": number % 977,
            "cart": f"c-{number}",
        }
        line = json.parse(orjson.dumps(value))
        assert line is not None
        out.append(encoder.body(line, number * 200))
    return out


class Python:
    """The same with `re`: each rule's pattern over the whole block, which is faster there than one combined pattern."""

    def __init__(self) -> None:
        found = [rule for name in NAMES for rule in rules.built_in(name)]
        self._patterns = [re.compile(self._flagged(rule.loose).encode()) for rule in found]
        self._made = redact.of(INPUT)

    def bodies(self, given: list[bytes]) -> list[bytes]:
        """The documents, redacted."""
        block = b"\n".join(given)
        ends = list(itertools.accumulate(len(body) + 1 for body in given))
        hits = {bisect.bisect_right(ends, match.start()) for one in self._patterns for match in one.finditer(block)}
        out = list(given)
        for number in hits:
            assert self._made is not None
            out[number] = self._made.bodies([given[number]])[0]
        return out

    @staticmethod
    def _flagged(pattern: str) -> str:
        """Python wants flags in front of a group of their own."""
        return f"(?i:{pattern[4:]})" if pattern.startswith("(?i)") else pattern


def seconds(work: Callable[[list[bytes]], list[bytes]], given: list[bytes]) -> float:
    """Process time of one round."""
    start = time.process_time()
    work(given)
    return time.process_time() - start


def main() -> None:
    """Print the figures."""
    ours = redact.of(INPUT)
    assert ours is not None
    theirs = Python()
    for name, every in (("clean", 0), ("some", 1000), ("one in ten", 10)):
        given = bodies(every)
        assert ours.bodies(given) == theirs.bodies(given)
        rounds = [(seconds(ours.bodies, given), seconds(theirs.bodies, given)) for _ in range(ROUNDS)]
        mine, other = (statistics.median(column) for column in zip(*rounds, strict=True))
        megabytes = sum(map(len, given)) / 1e6
        print(
            f"{name:<11} {megabytes / mine:7.0f} MB/s {COUNT / mine:11,.0f} documents/s {mine / COUNT * 1e9:7.0f} ns each;"
            f"  re {megabytes / other:6.1f} MB/s {COUNT / other:9,.0f} documents/s;  ratio {other / mine:5.1f}"
        )


if __name__ == "__main__":
    main()
