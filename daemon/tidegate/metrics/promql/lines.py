"""`deriv`, `predict_linear` and `double_exponential_smoothing`: sums of a window's samples with weights.

The weights of a least-squares line depend on the samples' times only, those of smoothing on their number only, so they
are worked out once for all series that share them. Windows with infinite samples are gone through as Prometheus does.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tidegate.metrics.promql import stacks
from tidegate.metrics.promql.panels import Windows
from tidegate.metrics.promql.stacks import Stack
from tidegate.metrics.promql.values import Flags, Floats, Times


def slope(windows: Windows) -> tuple[Floats, Flags]:
    """`deriv`: the slope of the least-squares line, per second."""
    return _lines(windows, windows.ends, None), windows.at_least(2)


def predict(windows: Windows, steps: Times, ahead: Floats) -> tuple[Floats, Flags]:
    """`predict_linear`: the least-squares line `ahead` seconds after each step; both [steps], `steps` in milliseconds."""
    return _lines(windows, steps, ahead), windows.at_least(2)


def _lines(windows: Windows, origins: Times, ahead: Floats | None) -> Floats:
    result = np.zeros((len(windows.lo), windows.panel.values.shape[1]))
    for stack in stacks.stacked(windows):
        clock = (stacks.times(windows, stack) - origins[stack.steps, None]) / 1000.0
        at = None if ahead is None else ahead[stack.steps]
        result[stack.steps] = _fitted(windows, stack, clock, at).T
    return result


@dataclasses.dataclass(frozen=True, slots=True)
class _Weights:
    """What makes a slope out of samples, and where their times' middle is."""

    weights: Floats
    """[columns or 1, steps, samples]."""
    middle: Floats
    """[columns or 1, steps]: seconds from the origin."""


def _weights(windows: Windows, stack: Stack, clock: Floats) -> _Weights:
    if stack.mask is None:
        middle = clock.sum(axis=2) / stack.size
        away = clock - middle[:, :, None]
    else:
        clock = np.where(stack.mask, stacks.per_column(windows, clock), 0.0)
        middle = clock.sum(axis=2) / stack.counts
        away = np.where(stack.mask, clock - middle[:, :, None], 0.0)
    weights = away / np.einsum("csn,csn->cs", away, away)[:, :, None]
    if stack.mask is None:
        weights, middle = stacks.per_column(windows, weights), stacks.per_column(windows, middle)
    return _Weights(weights, middle)


def _fitted(windows: Windows, stack: Stack, clock: Floats, at: Floats | None) -> Floats:
    made = _weights(windows, stack, clock)
    start = stack.first.copy()
    shifted = stack.values
    shifted -= start[:, :, None]
    if stack.mask is not None:
        shifted[~np.broadcast_to(stack.mask, shifted.shape)] = 0.0
    weights = np.broadcast_to(made.weights, shifted.shape)
    gradient: Floats = np.einsum("csn,csn->cs", shifted, weights)
    constant = ~shifted.any(axis=2)
    gradient[constant] = 0.0
    result = gradient
    if at is not None:
        mean = start + shifted.sum(axis=2) / stack.counts
        result = np.where(constant, start + 0.0 * at, mean + gradient * (at - made.middle))
    wrong = ~np.isfinite(gradient)
    if bool(wrong.any()):
        result[wrong] = _raw(windows, stack, clock, at, wrong)
    return result


def _raw(windows: Windows, stack: Stack, clock: Floats, at: Floats | None, wrong: Flags) -> Floats:
    """The textbook's sums, for windows whose samples are not finite: some lines have a value all the same."""
    shape = stack.values.shape
    mask = np.ones(shape, np.bool_) if stack.mask is None else np.broadcast_to(stack.mask, shape)
    x = np.broadcast_to(stacks.per_column(windows, clock), shape)[wrong]
    column, step = np.nonzero(wrong)
    place = np.broadcast_to(stack.rows, shape[:2])[wrong][:, None] + np.arange(shape[2])
    y = windows.panel.values[np.minimum(place, len(windows.panel.values) - 1), column[:, None]]
    x, y = np.where(mask[wrong], x, 0.0), np.where(mask[wrong], y, 0.0)
    if at is None:
        x = np.where(mask[wrong], x - x[:, :1], 0.0)
    counts = mask[wrong].sum(axis=1)
    x_sum, y_sum = x.sum(axis=1), y.sum(axis=1)
    gradient = ((x * y).sum(axis=1) - x_sum * y_sum / counts) / ((x * x).sum(axis=1) - x_sum * x_sum / counts)
    found = gradient if at is None else gradient * at[step] + (y_sum / counts - gradient * x_sum / counts)
    same = ((y == y[:, :1]) | ~mask[wrong]).all(axis=1)
    return np.where(same, np.nan, found)


# --- smoothing ---------------------------------------------------------------------------------------------------


def smoothed(windows: Windows, factors: Floats, trends: Floats) -> tuple[Floats, Flags]:
    """`double_exponential_smoothing`; both factors [steps], between 0 and 1."""
    result = np.zeros((len(windows.lo), windows.panel.values.shape[1]))
    known: dict[tuple[int, float, float], Floats] = {}
    for stack in stacks.stacked(windows):
        factor, trend = factors[stack.steps], trends[stack.steps]
        sizes = np.unique(
            np.stack([stack.counts, *np.broadcast_arrays(stack.counts, factor, trend)[1:]]).reshape(3, -1), axis=1
        )
        for count, one, other in sizes.T.tolist():
            if count < 2:
                continue
            key = (int(count), one, other)
            weights = known.get(key)
            if weights is None:
                weights = known[key] = _smoothing(*key)
            chosen = (stack.counts == count) & (factor == one) & (trend == other)
            part = result[stack.steps]
            found = (stack.values[:, :, : int(count)] @ weights).T
            part[:] = np.where(chosen.T, found, part)
        _repair(stack, result, factor, trend)
    return result, windows.at_least(2)


def _kinds(stack: Stack, factor: Floats, trend: Floats) -> list[tuple[int, float, float]]:
    """The different lengths and factors that windows have, of those that have a result."""
    found = np.stack([np.broadcast_to(each, stack.counts.shape) for each in (stack.counts, factor, trend)])
    return [
        (int(count), one, other)
        for count, one, other in np.unique(found.reshape(3, -1), axis=1).T.tolist()
        if count > 1
    ]


def _smoothing(count: int, factor: float, trend: float) -> Floats:
    """What each of so many samples adds to the smoothed level: the recursion run backwards."""
    weights = np.zeros(count)
    before, level, slope_ = 0.0, 1.0, 0.0
    for place in range(count - 1, 1, -1):
        weights[place] = level * factor
        rise = slope_ + level * (1 - factor)
        before, level, slope_ = -trend * rise, before + level * (1 - factor) + trend * rise, (1 - trend) * rise
    weights[1] = level + slope_
    weights[0] = before - slope_
    return weights


def _repair(stack: Stack, result: Floats, factors: Floats, trends: Floats) -> None:
    """Run the recursion itself where samples are not finite."""
    found = result[stack.steps]
    counts = np.broadcast_to(stack.counts, (found.shape[1], found.shape[0]))
    for step, column in np.argwhere(~np.isfinite(found)).tolist():
        values = stack.values[column, step, : counts[column, step]]
        found[step, column] = _recursion(values.tolist(), float(factors[step]), float(trends[step]))


def _recursion(values: list[float], factor: float, trend: float) -> float:
    before, level, slope_ = 0.0, values[0], values[1] - values[0]
    for place, value in enumerate(values[1:]):
        if place:
            slope_ = trend * (level - before) + (1 - trend) * slope_
        before, level = level, factor * value + (1 - factor) * (level + slope_)
    return level
