"""Signed digits of weights, the cost of a constant multiplication with adders. Requires torch.

A whole number is a sum of signed powers of two; the fewest that will do are the digits of its
canonical signed digit form, and a product with it takes one adder fewer than that.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: A limit of digits that limits nothing.
UNLIMITED = 255.0


def nearest_power(whole: Tensor) -> Tensor:
    """The nearest power of two with its sign; of two equally near ones the larger, of 0 it is 0."""
    mantissa, exponent = torch.frexp(whole.abs())
    power = torch.ldexp(torch.ones_like(whole), exponent - (mantissa < 0.75).to(exponent.dtype))
    return torch.where(whole == 0, whole, torch.copysign(power, whole))


def keep_digits(whole: Tensor, digits: Tensor, most: int) -> None:
    """Replace whole numbers by the sums of their first signed digits, in place.

    Args:
        digits: how many each may have.
        most: the largest of those that are below :data:`UNLIMITED`.
    """
    rest = whole.clone()
    for place in range(most):
        rest -= torch.where(digits > place, nearest_power(rest), 0.0)
    whole -= torch.where(digits <= most, rest, 0.0)


def largest_power(whole: Tensor) -> Tensor:
    """The largest power of two that is not above a number; 0 for numbers below 1."""
    exponent = torch.frexp(whole.clamp_min(0.0)).exponent - 1
    return torch.where(whole >= 1, torch.ldexp(torch.ones_like(whole), exponent), 0.0)


def count_digits(whole: Tensor) -> Tensor:
    """Non-zero digits of whole numbers in canonical signed digit form (never two in a row)."""
    size = whole.to(torch.int64).abs()
    changed = size ^ (3 * size)
    count = torch.zeros_like(size)
    while bool((changed > 0).any()):
        count += changed & 1
        changed = changed >> 1
    return count
