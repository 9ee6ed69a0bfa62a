"""Where `tidegate replay` reads samples: a server's API, a file of samples, or a data directory of Tidegate's own.

A data directory may belong to a server that runs: its sample files are copied first, and only the copy is opened.
"""

from __future__ import annotations

import array
import functools
import itertools
import math
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import click
import numpy as np
import orjson

from tidegate.cli import client
from tidegate.kit import clock, matchers, telemetry
from tidegate.metrics import store as store_
from tidegate.model import labels as labels_
from tidegate.model import problems, series
from tidegate.rules import replay, unitfiles

SAMPLES = "samples"
TRIES = 5
"""Copies of one table: another is made when its labels changed meanwhile."""
Opened: TypeAlias = tuple[replay.Source, Callable[[], None]]
"""A source, and how to clean up after it."""


def source(data: str, token: str) -> Opened:
    """What `--data` names. Raises `UsageError`."""
    if data.startswith(("http://", "https://")):
        return functools.partial(_asked, data, token), _nothing
    path = pathlib.Path(data)
    if path.is_dir():
        return _directory(path)
    if not path.is_file():
        raise click.UsageError(f"--data: {data!r} is neither a URL, nor a file, nor a directory")
    return _File(path).samples, _nothing


def _nothing() -> None:
    """Nothing to clean up."""


def _asked(url: str, token: str, selectors: Sequence[str], start: float, end: float) -> Iterator[series.Series]:
    """Raw samples over the HTTP API: a range selector gives them as they were scraped. A series is taken once."""
    seen: set[labels_.Labels] = set()
    for each in selectors:
        expr = f"{each}[{math.ceil((end - start) * 1000)}ms]"
        response = client.request("POST", url, "/api/v1/query", params={"query": expr, "time": end}, token=token)
        body = client.parse(response)
        if not response.is_success or not isinstance(body, dict):
            raise problems.QueryError(f"{url} answered: {client.detail(response)}")
        for item in body["data"]["result"]:
            labels = labels_.make(item["metric"])
            if labels not in seen:
                seen.add(labels)
                pairs = item.get("values", ())
                times = np.array([round(at * 1000) for at, _ in pairs], np.int64)
                yield series.Series(labels, times, np.array([float(value) for _, value in pairs], np.float64))


class _File:
    """`series value unix-seconds` lines, as OpenMetrics writes them, read once; every series is taken."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._series: dict[str, tuple[labels_.Labels, array.array[int], array.array[float]]] | None = None

    def samples(self, selectors: Sequence[str], start: float, end: float) -> Iterator[series.Series]:
        """A `replay.Source`. Raises `QueryError` for a line that is none."""
        del selectors
        if self._series is None:
            self._series = self._read()
        for labels, times, values in self._series.values():
            at = np.frombuffer(times, np.int64)
            there = (at > start * 1000) & (at <= end * 1000)
            yield series.Series(labels, at[there], np.frombuffer(values, np.float64)[there])

    def _read(self) -> dict[str, tuple[labels_.Labels, array.array[int], array.array[float]]]:
        found: dict[str, tuple[labels_.Labels, array.array[int], array.array[float]]] = {}
        with self._path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip() or line.startswith("#"):
                    continue
                try:
                    name, value, at = line.rsplit(maxsplit=2)
                    if name not in found:
                        found[name] = (unitfiles.series_labels(name), array.array("q"), array.array("d"))
                    found[name][1].append(round(float(at) * 1000))
                    found[name][2].append(float(value))
                except ValueError:
                    raise problems.QueryError(
                        f"{self._path}:{number}: expected `series value unix-seconds`, got {line.strip()!r}"
                    ) from None
        return found


def _directory(path: pathlib.Path) -> Opened:
    """A copy of the samples of a data directory. Raises `UsageError` where there are none."""
    samples = path / SAMPLES if (path / SAMPLES).is_dir() else path
    if not any(samples.glob("*/ring")):
        raise click.UsageError(f"--data: {path} is no data directory: it holds no samples")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-replay-"))
    for table in sorted(samples.iterdir()):
        if table.is_dir() and ".bad-" not in table.name:
            _copy(table, folder / table.name)
    store = store_.Store(folder, clock.SystemClock(), telemetry.Registry())
    return functools.partial(_stored, store), lambda: shutil.rmtree(folder)


def _copy(table: pathlib.Path, to: pathlib.Path) -> None:
    """Copy one table. Rows that are written meanwhile do no harm; with other labels it is begun again."""
    to.mkdir()
    for _ in range(TRIES):
        try:
            labels = (table / "labels").read_bytes()
            shutil.copyfile(table / "ring", to / "ring")
            (to / "labels").write_bytes(labels)
            if labels == (table / "labels").read_bytes():
                return
        except FileNotFoundError:  # the table is gone, or is being made
            break
    shutil.rmtree(to)


def _stored(store: store_.Store, selectors: Sequence[str], start: float, end: float) -> Iterator[series.Series]:
    """Samples and stale markers, a series once."""
    seen: set[labels_.Labels] = set()
    for each in selectors:
        found = store.select(matchers.parse_all(each), round(start * 1000), round(end * 1000))
        row = itertools.count()
        for block in found.blocks:
            cells = np.ascontiguousarray(block.values).view(np.int64)
            for column in range(block.values.shape[1]):
                labels = found.labels.labels(next(row))
                if labels in seen:
                    continue
                seen.add(labels)
                there = cells[:, column] != series.ABSENT_BITS
                yield series.Series(labels, block.times[there], block.values[there, column])


def selector(conditions: Sequence[tuple[str, str, str]]) -> str:
    """A selector as text, from (name, operator, value)."""
    return "{" + ",".join(f"{name}{op}{orjson.dumps(value).decode()}" for name, op, value in conditions) + "}"
