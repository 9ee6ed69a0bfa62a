"""Two hundred log metrics over one stream: `python -m benchmarks.bench_matcher`.

Documents are ECS documents of twelve services as the agent writes them, as bytes. Measured is the CPU time from the bytes of
a batch to counted lines, through `LogCounters` as in production. The peer judges the same conditions rule by rule on the
parsed document, by compiled `re` patterns and look-ups written out: what one writes without an engine. A part of the documents
goes through it, and both must count the same.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from tidegate.kit import clock, telemetry
from tidegate.logs.count import counters
from tidegate.logs.ship import output
from tidegate.model import labels as labels_
from tidegate.model import rules

LINES, BATCH, RULES, PEER_LINES, ROUNDS = 60_000, 2_000, 200, 3_000, 3
SERVICES = (
    "cart",
    "checkout",
    "payment",
    "search",
    "catalog",
    "user",
    "mail",
    "stock",
    "price",
    "ship",
    "auth",
    "edge",
)
LEVELS = ("info",) * 85 + ("debug",) * 5 + ("warn",) * 6 + ("error",) * 4
STATUSES = (200,) * 46 + (404,) * 3 + (503,)
SUBJECTS = ("order", "user", "session", "request", "payment", "item", "token", "queue", "cache", "row")
QUIET = (
    "{0} {1} accepted in {2} ms", "GET /api/v1/{0}s/{1} 200 {2}", "{0} {1} loaded from cache",
    "processed {2} {0}s of batch {1}", "handled {0} {1} for tenant {2}", "published event for {0} {1}",
)  # fmt: skip
LOUD = (
    "connection refused by 10.0.0.{2} while saving {0} {1}", "timeout after {2} ms waiting for {0}", "{0} {1} declined by bank",
    "java.lang.NullPointerException at {0}Service", "deadlock found on {0} {1}", "disk full: cannot write {0} {1}",
    "certificate of {0} gateway expired", "circuit breaker open for {0}",
)  # fmt: skip
WORDS = (
    "refused", "timeout", "declined", "deadlock", "expired", "breaker", "full", "gateway", "oom", "panic",
    "segfault", "throttled", "unavailable", "corrupt", "denied", "overflow", "leak", "stale", "rejected", "aborted",
)  # fmt: skip
Check = Callable[[Mapping[str, Any]], bool]


def document(rng: random.Random, number: int) -> bytes:
    """One line as the agent encodes it."""
    level, service = rng.choice(LEVELS), rng.choice(SERVICES)
    texts = LOUD if level in ("error", "warn") else QUIET
    message = rng.choice(texts).format(rng.choice(SUBJECTS), number, rng.randint(1, 254))
    return orjson.dumps(
        {
            "@timestamp": f"2024-05-01T10:{number // 60 % 60:02}:{number % 60:02}.000Z",
            "message": message,
            "log": {"offset": number * 300, "level": level, "file": {"path": f"/var/log/containers/{service}.log"}},
            "service": {"name": service, "version": f"1.{number % 3}.0", "environment": "production"},
            "labels": {"status": str(rng.choice(STATUSES)), "tenant": f"t{number % 40}"},
            "event": {"dataset": "app", "created": "2024-05-01T10:00:00.000Z"},
            "host": {"name": "node-1"},
            "data_stream": {"type": "logs", "dataset": "app", "namespace": "default"},
            "ecs": {"version": "8.17.0"},
            "container": {"name": service, "id": "f" * 64},
            "kubernetes": {
                "pod": {"name": f"{service}-7d9f-{number % 5}"},
                "namespace": "shop",
                "container": {"name": service},
            },
        }
    )


def rule(number: int) -> tuple[str, Check]:
    """A query as people write them, and the same as a plain function."""
    word, service = WORDS[number % len(WORDS)], SERVICES[number % len(SERVICES)]
    other = WORDS[(number * 7 + 3) % len(WORDS)]
    has, has_other = _word(word), _word(other)
    match number % 10:
        case 0 | 1:
            return f"service:{service} and level:error", lambda one: _name(one) == service and _level(one) == "error"
        case 2 | 3:
            return (
                f"message:{word} and level:(error or warn)",
                lambda one: has(one) and _level(one) in ("error", "warn"),
            )
        case 4:
            return f"message:{word}", has
        case 5:
            return f'service:{service} and (message:{word} or message:"{other} by")', _phrased(
                service, word, f"{other} by"
            )
        case 6:
            return f"message:{word[:4]}* and not level:debug", _begins(word[:4])
        case 7:
            status = (503, 404)[number // 10 % 2]
            return (
                f"labels.status:{status} and service:{service[:3]}*",
                lambda one: one["labels"]["status"] == str(status) and _name(one).startswith(service[:3]),
            )
        case 8:
            return (
                f"log.offset > 100 and message:({word} or {other})",
                lambda one: one["log"]["offset"] > 100 and (has(one) or has_other(one)),
            )
    tenant = f"t{number % 40}"
    return (
        f"tenant:{tenant} and not service:{service} and level:error",
        lambda one: one["labels"]["tenant"] == tenant and _name(one) != service and _level(one) == "error",
    )


def _name(one: Mapping[str, Any]) -> str:
    return str(one["service"]["name"])


def _level(one: Mapping[str, Any]) -> str:
    return str(one["log"]["level"])


def _word(word: str) -> Check:
    pattern = re.compile(rf"(?<![\w.]){word}(?![\w.]\w)", re.IGNORECASE)
    return lambda one: pattern.search(one["message"]) is not None


def _phrased(service: str, word: str, phrase: str) -> Check:
    first, second = _word(word), _word(phrase)
    return lambda one: _name(one) == service and (first(one) or second(one))


def _begins(start: str) -> Check:
    pattern = re.compile(rf"(?<![\w.]){start}", re.IGNORECASE)
    return lambda one: pattern.search(one["message"]) is not None and _level(one) != "debug"


def counted(bodies: Sequence[bytes]) -> tuple[dict[str, float], float]:
    """What two hundred metrics count, and the CPU seconds."""
    book = counters.LogCounters(None, None, clock.SystemClock(), telemetry.Registry())  # type: ignore[arg-type]  # no schedule
    by = (("service", "service"),)
    book.set_metrics([rules.LogMetric(f"m{number}", rule(number)[0], by=by) for number in range(RULES)])
    began = time.process_time()
    for start in range(0, len(bodies), BATCH):
        some = bodies[start : start + BATCH]
        book.observe(output.Batch([""] * len(some), [""] * len(some), some))
    took = time.process_time() - began
    found: dict[str, float] = {}
    for labels, count in book.series().items():
        name = labels_.get(labels, labels_.NAME)
        found[name] = found.get(name, 0.0) + count
    return found, took


def plain(bodies: Sequence[bytes]) -> tuple[dict[str, float], float]:
    """The same rule by rule."""
    checks = [(f"m{number}", rule(number)[1]) for number in range(RULES)]
    found: dict[str, float] = {}
    began = time.process_time()
    for body in bodies:
        one = orjson.loads(body)
        for name, check in checks:
            if check(one):
                found[name] = found.get(name, 0.0) + 1
    return found, time.process_time() - began


def main() -> None:
    """Measure and print."""
    rng = random.Random(1)
    bodies = [document(rng, number) for number in range(LINES)]
    ours, theirs = counted(bodies[:PEER_LINES])[0], plain(bodies[:PEER_LINES])
    if ours != theirs[0]:
        raise SystemExit(f"both should count the same: {set(ours.items()) ^ set(theirs[0].items())}")
    peer = PEER_LINES / theirs[1]
    size = sum(map(len, bodies)) / LINES
    print(
        f"{RULES} log metrics, {LINES} lines of {size:.0f} bytes, {sum(ours.values()) / PEER_LINES:.2f} matches a line"
    )
    for _ in range(ROUNDS):
        speed = LINES / counted(bodies)[1]
        print(f"tidegate {speed:,.0f} lines per CPU-second; rule by rule {peer:,.0f}; ratio {speed / peer:.1f}")


if __name__ == "__main__":
    main()
