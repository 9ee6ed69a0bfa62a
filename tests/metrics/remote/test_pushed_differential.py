"""Random pushes to a real Prometheus and to us: the same samples are kept, however senders interleave their series."""

from __future__ import annotations

import pathlib
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.metrics.remote import pushes
from tests.services import prometheus
from tests.support import samples
from tidegate.kit import clock, telemetry
from tidegate.metrics import store as store_
from tidegate.metrics.remote import lanes, post, receive

SPAN = 12
"""Times that the samples of a message have, a second apart."""
Sent = dict[tuple[tuple[str, str], ...], list[tuple[float, int]]]


@pytest.fixture(scope="module")
def peer(prometheus_binary: pathlib.Path) -> Iterator[prometheus.Server]:
    assert prometheus_binary
    with prometheus.running(flags=("--web.enable-remote-write-receiver",)) as server:
        yield server


def drawn(rng: random.Random, run: int, start_ms: int) -> Sent:
    """A message: some series, each with samples in order of time."""
    found: Sent = {}
    for _ in range(rng.randint(1, 4)):
        labels = {
            "__name__": f"m{rng.randint(0, 3)}",
            "run": str(run),
            "job": rng.choice(["a", "a", "b"]),
            "instance": rng.choice(["i", ""]),
        }
        name = tuple(sorted((key, value) for key, value in labels.items() if value))
        times = sorted(rng.sample(range(SPAN), rng.randint(1, 3)))
        found[name] = [(float(rng.randint(0, 2)), start_ms + 1000 * at) for at in times]
    return found


def pushed(url: str, body: bytes) -> int:
    """How many samples the server says it wrote."""
    headers = {
        "content-type": f"application/x-protobuf;proto={post.V2}",
        "content-encoding": "snappy",
        "x-prometheus-remote-write-version": "2.0.0",
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/write", body, headers)) as answer:
            return int(answer.headers[post.WRITTEN])
    except urllib.error.HTTPError as error:
        return int(error.headers[post.WRITTEN])


@pytest.mark.parametrize("run", range(12))
def test_the_same_samples_are_kept(
    peer: prometheus.Server, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, run: int
) -> None:
    rng = random.Random(run)
    monkeypatch.setattr(lanes, "LIMIT", 1 + run % 4)
    registry = telemetry.Registry()
    store = store_.Store(tmp_path, clock.SystemClock(), registry)
    receiver = receive.Receiver(store, clock.SystemClock(), registry)
    start_ms = round(time.time()) * 1000 - 1_000_000
    for number in range(60):
        found = drawn(rng, run, start_ms + 1000 * (number // 2))
        body = pushes.packed(pushes.request_2(found))
        assert receiver.write(body, receive.V2).samples == pushed(peer.url, body), (number, found)
    kept = peer.get("/api/v1/query", query=f'{{run="{run}"}}[1h]')["result"]
    theirs = {
        pushes.text(one["metric"]): [(round(float(at) * 1000), float(value)) for at, value in one["values"]]
        for one in kept
    }
    assert samples.read(store) == theirs
