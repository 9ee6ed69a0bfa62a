"""Binary operators on numbers, and the nodes where at least one side is a scalar. Matching of vectors is in `matching`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from tidegate.metrics.promql.values import Context, Flags, Floats, ScalarNode, Vec, VectorNode, unnamed

Arithmetic: TypeAlias = Callable[[Floats, Floats], Floats]
Comparison: TypeAlias = Callable[[Floats, Floats], Flags]


ARITHMETIC: Mapping[str, Arithmetic] = MappingProxyType(
    {
        "+": np.add,
        "-": np.subtract,
        "*": np.multiply,
        "/": np.divide,
        "%": np.fmod,
        "^": np.power,
        "atan2": np.arctan2,
    }
)
COMPARISON: Mapping[str, Comparison] = MappingProxyType(
    {
        "==": np.equal,
        "!=": np.not_equal,
        ">": np.greater,
        "<": np.less,
        ">=": np.greater_equal,
        "<=": np.less_equal,
    }
)


class ScalarScalar(ScalarNode):
    """`1 + 2`, `1 > bool 2`."""

    def __init__(self, op: str, left: ScalarNode, right: ScalarNode) -> None:
        self.op = op
        self.left = left
        self.right = right
        self.children = (left, right)

    def scalar(self, ctx: Context) -> Floats:
        left, right = self.left.scalar(ctx), self.right.scalar(ctx)
        if self.op in COMPARISON:
            return COMPARISON[self.op](left, right).astype(np.float64)
        return ARITHMETIC[self.op](left, right)


class VectorScalar(VectorNode):
    """`x * 2`, `2 > x`, `x == bool 1`. A comparison without `bool` keeps the vector's values where it holds."""

    def __init__(self, op: str, vector: VectorNode, scalar: ScalarNode, *, swapped: bool, as_bool: bool) -> None:
        self.op = op
        self.operand = vector
        self.number = scalar
        self.swapped = swapped
        self.as_bool = as_bool
        self.children = (vector, scalar)

    def vector(self, ctx: Context) -> Vec:
        vec, number = self.operand.vector(ctx), self.number.scalar(ctx)[:, None]
        left, right = (number, vec.values) if self.swapped else (vec.values, number)
        if self.op in ARITHMETIC:
            return unnamed(ctx, dataclasses.replace(vec, values=ARITHMETIC[self.op](left, right)))
        holds = COMPARISON[self.op](left, right)
        if self.as_bool:
            return unnamed(ctx, dataclasses.replace(vec, values=holds.astype(np.float64)))
        return dataclasses.replace(vec, present=holds if vec.present is None else holds & vec.present)


class Negative(VectorNode):
    """`-x`."""

    def __init__(self, operand: VectorNode) -> None:
        self.operand = operand
        self.children = (operand,)

    def vector(self, ctx: Context) -> Vec:
        vec = self.operand.vector(ctx)
        return unnamed(ctx, dataclasses.replace(vec, values=-vec.values))


class NegativeScalar(ScalarNode):
    """`-scalar(x)`."""

    def __init__(self, operand: ScalarNode) -> None:
        self.operand = operand
        self.children = (operand,)

    def scalar(self, ctx: Context) -> Floats:
        return -self.operand.scalar(ctx)
