"""`stddev_over_time`, `stdvar_over_time`, `quantile_over_time`, `mad_over_time`: how the samples of a window are spread."""

from __future__ import annotations

import numpy as np

from tidegate.metrics.promql import stacks, sums
from tidegate.metrics.promql.panels import Windows
from tidegate.metrics.promql.stacks import Stack
from tidegate.metrics.promql.values import Flags, Floats


def _result(windows: Windows) -> Floats:
    return np.zeros((len(windows.lo), windows.panel.values.shape[1]))


def variance(windows: Windows) -> tuple[Floats, Flags]:
    """`stdvar_over_time`."""
    result = _result(windows)
    for stack in stacks.stacked(windows):
        result[stack.steps] = _variance(stack).T
    return result, windows.at_least(1)


def deviation(windows: Windows) -> tuple[Floats, Flags]:
    """`stddev_over_time`."""
    result, present = variance(windows)
    return np.sqrt(result), present


def _variance(stack: Stack) -> Floats:
    shifted = stack.values
    shifted -= stack.first[:, :, None].copy()
    if stack.mask is not None:
        shifted *= stack.mask
        shifted[np.isnan(shifted) & ~stack.mask] = 0.0
    counts = stack.counts.astype(np.float64)
    mean = shifted.sum(axis=2) / counts
    centred = shifted - mean[:, :, None]
    if stack.mask is not None:
        centred = np.where(stack.mask, centred, 0.0)
    result: Floats = np.einsum("csn,csn->cs", centred, centred) / counts
    wrong = ~np.isfinite(result)
    if bool(wrong.any()):
        mask = None if stack.mask is None else np.broadcast_to(stack.mask, shifted.shape)[wrong]
        result[wrong] = _careful(shifted[wrong], mask, np.broadcast_to(counts, wrong.shape)[wrong])
    return result


def _careful(shifted: Floats, mask: Flags | None, counts: Floats) -> Floats:
    """The variance of rows of samples whose sum is too large for plain addition, or that are not finite."""
    rows, shape = shifted.T, sums.over_rows(shifted.shape[1])
    centred = rows - sums.mean(rows, shape, counts)
    if mask is not None:
        centred = np.where(mask.T, centred, 0.0)
    return sums.total(centred * centred, shape) / counts


def quantile(windows: Windows, levels: Floats) -> tuple[Floats, Flags]:
    """`quantile_over_time`; `levels` [steps]. NaN samples count as smaller than all others."""
    result = _result(windows)
    for stack in stacks.stacked(windows):
        result[stack.steps] = _quantiles(stack.kept(np.inf), stack, levels[stack.steps]).T
    return result, windows.at_least(1)


def median_deviation(windows: Windows) -> tuple[Floats, Flags]:
    """`mad_over_time`: the median distance from the median; NaN as soon as one sample is."""
    result = _result(windows)
    for stack in stacks.stacked(windows):
        half = np.full(stack.values.shape[1], 0.5)
        values = stack.kept(np.inf)
        median = _quantiles(values.copy(), stack, half)
        apart = np.abs(values - median[:, :, None])
        if stack.mask is not None:
            apart = np.where(stack.mask, apart, np.inf)
        broken = np.isnan(values).any(axis=2)
        result[stack.steps] = np.where(broken, np.nan, _quantiles(apart, stack, half)).T
    return result, windows.at_least(1)


def _quantiles(values: Floats, stack: Stack, levels: Floats) -> Floats:
    """[columns, steps]: quantiles of the last axis, by Prometheus' interpolation. Orders `values`."""
    usable = np.where((levels >= 0) & (levels <= 1), levels, 0.0)
    last = np.maximum(stack.counts - 1, 0)
    rank = usable * last
    lower = np.floor(rank)
    upper = np.minimum(last, lower + 1)
    weight = rank - lower
    nans = np.isnan(values).sum(axis=2) if bool(np.isnan(values.sum())) else None
    values.sort(axis=2)
    low, high = _ranked(values, lower, nans), _ranked(values, upper, nans)
    found = np.where(weight == 0, low, low * (1 - weight) + high * weight)
    found = np.where(levels < 0, -np.inf, np.where(levels > 1, np.inf, found))
    return np.where(np.isnan(levels), np.nan, found)


def _ranked(ordered: Floats, rank: Floats, nans: Floats | None) -> Floats:
    """The samples of these ranks; NaN stands last in the rows, though it ranks first."""
    if nans is not None:
        rank = rank - nans
    index = np.broadcast_to(np.maximum(rank, 0).astype(np.int64), ordered.shape[:2])
    found = np.take_along_axis(ordered, index[:, :, None], axis=2)[:, :, 0]
    return found if nans is None else np.where(rank < 0, np.nan, found)
