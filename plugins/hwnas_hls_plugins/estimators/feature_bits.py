"""Types of single values with fewer bits, and the adder bits that these save in distributed arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hwnas_hls.network.precision import FixedType

#: Bits that the adder of a digit loses with the least significant bit of its feature, and with the most
#: significant bit. An adder spans from the last bit of its coarser operand to the first bit of its wider one.
LOW_BIT = 0.5
HIGH_BIT = 0.125
#: The same for results of neurons: in 15 finished designs of three tables, da4ml's cost without one bit of
#: every, or of every other, result of a layer (63 changes of each kind).
NEURON_LOW_BIT = 0.75
NEURON_HIGH_BIT = 0.5


def digit_price(kind: FixedType | None, whole: FixedType, *, neuron: bool = False) -> float:
    """Bits of the adder for one digit of a weight, by the type of the value that it multiplies.

    Args:
        kind: type of the value, within ``whole``, the layer's input type; ``None``: it is not read.
        neuron: whether it is the result of a neuron, not a feature.
    """
    if kind is None:
        return 0.0
    low, high = whole.fraction - kind.fraction, whole.integer - kind.integer
    per_low, per_high = (NEURON_LOW_BIT, NEURON_HIGH_BIT) if neuron else (LOW_BIT, HIGH_BIT)
    return whole.width + 1.0 - per_low * low - per_high * high


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
