"""``ap_fixed`` rounding and overflow on torch tensors, with straight-through gradients.

The same semantics as :class:`hwnas_hls.network.precision.FixedType`, to the bit. This module imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from hwnas_hls.network.precision import FixedType

#: Strength of the push on sums beyond a type that wraps, relative to the mean gradient.
_PUSH = 4.0


def rounded(counted: Tensor, rounding: str) -> Tensor:
    """Round numbers in least significant bits to integers, by one of ``ROUNDINGS``."""
    if rounding == "TRN_ZERO":
        return torch.trunc(counted)
    if rounding == "RND_CONV":
        return torch.round(counted)
    if rounding in ("RND_INF", "RND_ZERO"):
        size = counted.abs()
        return torch.copysign(_nearest(size, up=rounding == "RND_INF"), counted)
    if rounding == "TRN":
        return torch.floor(counted)
    return _nearest(counted, up=rounding == "RND")


def _nearest(counted: Tensor, *, up: bool) -> Tensor:
    """The nearest integer, with halves up or down.

    Adding 0.5 would itself round, for numbers just below 0.5 and for the largest ones.
    """
    floor = torch.floor(counted)
    rest = counted - floor
    return floor + (rest >= 0.5 if up else rest > 0.5).to(counted.dtype)


def limited(whole: Tensor, kind: FixedType) -> Tensor:
    """Limit integers to the range of ``kind``, by its overflow mode."""
    low, high = float(kind.lowest), float(kind.highest)
    if kind.overflow == "WRAP":
        span = 2.0**kind.width
        return whole - span * torch.floor((whole - low) / span)
    if kind.overflow == "SAT_ZERO":
        return torch.where((whole < low) | (whole > high), torch.zeros_like(whole), whole)
    if kind.overflow == "SAT_SYM" and kind.signed:
        low = -high
    return torch.clamp(whole, low, high)


def on_grid(counted: Tensor, kind: FixedType) -> Tensor:
    """Round and limit numbers in least significant bits of ``kind``."""
    return limited(rounded(counted, kind.rounding), kind)


def lossy_sum(weights: Tensor, values: Tensor, bias: Tensor, step: float, accum: FixedType) -> Tensor:
    """The sum of products, each cast to an accumulator with fewer fractional bits.

    Args:
        weights: (n_out, n_in); values: (n_in, rows); bias: (n_out,), on the accumulator's grid.
        step: value of the accumulator's least significant bit in the unit of the sum.
        accum: the accumulator.

    Returns:
        (n_out, rows), not yet limited to the accumulator's range.
    """
    total = (bias[:, None] / step).expand(-1, values.shape[1]).clone()
    for column in range(weights.shape[1]):
        total += on_grid(weights[:, column, None] * values[column] / step, accum)
    return total * step


def push_back(gradient: Tensor, push: Tensor, layers: Iterable[slice]) -> None:
    """A gradient that drives wrapped sums back into the range of their type.

    Args:
        gradient: gradient of the sums, (features, rows), changed in place.
        push: distance of each sum from the range.
        layers: the features of each layer.
    """
    for here in layers:
        size = gradient[here].abs().mean()
        gradient[here] += push[here] * (_PUSH * size)
