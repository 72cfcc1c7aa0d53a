"""Types of input features with fewer bits, and the adder bits that these save in distributed arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hwnas_hls.network.precision import FixedType

#: Bits that the adder of a digit loses with the least significant bit of its feature, and with the most
#: significant bit. An adder spans from the last bit of its coarser operand to the first bit of its wider one.
LOW_BIT = 0.5
HIGH_BIT = 0.125


def digit_price(kind: FixedType | None, whole: FixedType) -> float:
    """Bits of the adder for one digit of a weight, by the type of the weight's feature.

    Args:
        kind: type of the feature, within ``whole``, the network's input type; ``None``: it is not read.
    """
    if kind is None:
        return 0.0
    low, high = whole.fraction - kind.fraction, whole.integer - kind.integer
    return whole.width + 1.0 - LOW_BIT * low - HIGH_BIT * high


def without_low_bit(kind: FixedType | None) -> FixedType | None:
    """The type without its least significant bit; ``None`` if that is its only bit."""
    return None if kind is None or kind.width == 1 else replace(kind, width=kind.width - 1)


def without_high_bit(kind: FixedType | None) -> FixedType | None:
    """The type without its most significant bit (it saturates earlier); ``None`` if that is its only bit."""
    if kind is None or kind.width == 1:
        return None
    return replace(kind, width=kind.width - 1, integer=kind.integer - 1)


#: Changes of a feature's type, apart from leaving it unread.
NARROWER: tuple[Callable[[FixedType | None], FixedType | None], ...] = (without_low_bit, without_high_bit)
#: Number of the change that leaves a feature unread.
UNREAD = len(NARROWER)


def changed(kind: FixedType | None, change: int) -> FixedType | None:
    """The type after the change with this number."""
    return None if change == UNREAD else NARROWER[change](kind)
