"""Signed digits of weights, the cost of a constant multiplication with adders. Requires torch.

An integer is a sum of signed powers of two. Its canonical signed digit form has the fewest terms, called
digits; a multiplication by the integer takes one adder fewer than it has digits.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

#: The value that means no limit on digits.
UNLIMITED = 255.0


def nearest_power(whole: Tensor) -> Tensor:
    """The nearest power of two, with the number's sign; of two equally near ones, the larger; for 0, 0."""
    mantissa, exponent = torch.frexp(whole.abs())
    power = torch.ldexp(torch.ones_like(whole), exponent - (mantissa < 0.75).to(exponent.dtype))
    return torch.where(whole == 0, whole, torch.copysign(power, whole))


def keep_digits(whole: Tensor, digits: Tensor, most: int) -> None:
    """Reduce integers to their most significant signed digits, in place.

    Args:
        digits: maximum number of digits of each.
        most: the largest of these that is below :data:`UNLIMITED`.
    """
    rest = whole.clone()
    for place in range(most):
        rest -= torch.where(digits > place, nearest_power(rest), 0.0)
    whole -= torch.where(digits <= most, rest, 0.0)


def largest_power(whole: Tensor) -> Tensor:
    """The largest power of two up to a number; 0 for numbers below 1."""
    exponent = torch.frexp(whole.clamp_min(0.0)).exponent - 1
    return torch.where(whole >= 1, torch.ldexp(torch.ones_like(whole), exponent), 0.0)


def count_digits(whole: Tensor) -> Tensor:
    """The number of non-zero digits in canonical signed digit form (no two of them adjacent).

    Args:
        whole: integers below 2**46 in size.
    """
    size = whole.to(torch.int64).abs()
    # The bits in which a number and its triple differ are the places of its digits.
    places = size ^ (3 * size)
    count = _ones()[places & 0xFFFF]
    while bool((places := places >> 16).any()):
        count = count + _ones()[places & 0xFFFF]
    return count


@functools.cache
def _ones() -> Tensor:
    """The number of ones of each 16-bit number, int64."""
    numbers = torch.arange(2**16)
    return torch.stack([numbers >> place & 1 for place in range(16)]).sum(0)
