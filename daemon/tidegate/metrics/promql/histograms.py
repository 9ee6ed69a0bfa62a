"""Classic histograms put together from series with an `le` label: arrays [steps, histograms, buckets].

What is worked out of them is in `buckets`.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from tidegate.metrics.promql import frames
from tidegate.metrics.promql.values import Context, Flags, Floats, Vec
from tidegate.model import labels as labels_

_LE = "le"
_FLOAT = re.compile(r"[+-]?(inf|infinity|nan|0x[0-9a-f.]+p[+-]?\d+|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)", re.IGNORECASE)


def bound(text: str) -> float | None:
    """The upper bound that an `le` label says; None when it is not a number."""
    if not _FLOAT.fullmatch(text):
        return None
    return float.fromhex(text) if "0x" in text.lower() else float(text)


@dataclasses.dataclass(frozen=True, slots=True)
class Histograms:
    """Classic histograms: H of them, with up to B buckets each, ascending and moved to the front."""

    series: Vec
    """Label sets without `le`; the values mean nothing."""
    bounds: Floats
    """[steps or 1, H, B]: upper bounds; +Inf behind the last bucket."""
    counts: Floats
    """[steps, H, B]: cumulative counts; the last one goes on behind the last bucket."""
    used: frames.Ids
    """[steps or 1, H]: how many buckets there are."""

    def at(self, cells: Floats, bucket: frames.Ids) -> Floats:
        """[steps, H]: one cell of each histogram; `cells` are like the bounds or the counts."""
        steps, count, width = cells.shape
        base = np.arange(count) * width + (np.arange(steps) * (count * width))[:, None]
        found: Floats = np.ascontiguousarray(cells).reshape(-1).take(base + np.maximum(bucket, 0))
        return found

    def top(self, cells: Floats) -> Floats:
        """[steps or 1, H]: the cell of each histogram's last bucket."""
        return self.at(cells, self.used - 1)

    def there(self) -> Flags:
        """[steps, H]: which histograms have a bucket."""
        return np.broadcast_to(self.used > 0, self.series.values.shape)


def collect(ctx: Context, vec: Vec) -> Histograms | None:
    """Put the buckets of a vector together. Series without a usable `le` are left out, as in Prometheus."""
    codes = frames.column(vec.labels, _LE)
    distinct, inverse = np.unique(codes, return_inverse=True)
    parsed = [bound(ctx.texts.text(code)) for code in distinct.tolist()]
    upper = np.array([np.nan if each is None else each for each in parsed])[inverse] if len(codes) else np.zeros(0)
    usable = np.flatnonzero(~np.isnan(upper))
    if len(usable) < len(vec):
        _note_bounds(ctx, vec, np.isnan(upper))
    if not len(usable):
        return None
    if len(usable) < len(vec):
        vec, upper = vec.take(usable), upper[usable]
    keys = frames.drop(vec.labels, (_LE,))
    ids, count = frames.group_rows(keys.codes)
    first = frames.first_rows(ids, count)
    order = np.lexsort((upper, ids))
    ids, upper = ids[order], upper[order]
    fresh = np.concatenate([[True], (ids[1:] != ids[:-1]) | (upper[1:] != upper[:-1])])
    starts = np.flatnonzero(fresh)
    values, there = vec.values.take(order, axis=1), None if vec.present is None else vec.present.take(order, axis=1)
    if there is not None:
        values = np.where(there, values, 0.0)
    if len(starts) < len(order):
        values = np.add.reduceat(values, starts, axis=1)
        there = None if there is None else np.logical_or.reduceat(there, starts, axis=1)
    ids, upper = ids[starts], upper[starts]
    series = Vec(
        frames.take(keys, first), np.zeros((ctx.steps, count)), None, None if vec.drop is None else vec.drop[first]
    )
    return _arrange(series, ids, upper, values, there)


def _note_bounds(ctx: Context, vec: Vec, bad: Flags) -> None:
    bad = bad if vec.present is None else bad & vec.present.any(axis=0)
    rows = frames.project(vec.labels, (_LE, labels_.NAME))[bad]
    for bound_code, name_code in np.unique(rows, axis=0).tolist():
        text = f'bucket label "le" is missing or has a malformed value of "{ctx.texts.text(bound_code)}"'
        ctx.notes.warn(text + for_metric(ctx, name_code))


def for_metric(ctx: Context, code: int) -> str:
    """What a note says of its metric, while names are still known."""
    return f' for metric name "{ctx.texts.text(code)}"' if code and ctx.delayed else ""


def _arrange(series: Vec, ids: frames.Ids, upper: Floats, values: Floats, there: Flags | None) -> Histograms:
    steps, count = series.values.shape
    sizes = np.bincount(ids, minlength=count)
    if there is None and bool((sizes == sizes[0]).all()):
        width = int(sizes[0])
        return Histograms(series, upper.reshape(1, count, width), values.reshape(steps, count, width), sizes[None])
    position = np.arange(len(ids)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    shape = (steps, count, int(sizes.max()))
    bounds, counts, exists = np.full(shape, np.inf), np.zeros(shape), np.zeros(shape, np.bool_)
    bounds[:, ids, position] = upper
    counts[:, ids, position] = values
    exists[:, ids, position] = True if there is None else there
    used = exists.sum(axis=2)
    if there is not None:
        front = np.argsort(~exists, axis=2, kind="stable")
        bounds, counts = np.take_along_axis(bounds, front, axis=2), np.take_along_axis(counts, front, axis=2)
    behind = np.arange(shape[2]) >= used[:, :, None]
    last = np.take_along_axis(counts, np.maximum(used - 1, 0)[:, :, None], axis=2)
    return Histograms(series, np.where(behind, np.inf, bounds), np.where(behind, last, counts), used)
