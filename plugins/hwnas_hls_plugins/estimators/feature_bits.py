"""What input features may lose, and what their bits are worth in adders of distributed arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hwnas_hls.network.precision import FixedType

#: Adder bits that a digit's adder loses with its feature's least significant bit, and with its most
#: significant one. An adder is as wide as from the coarser operand's last bit to the wider one's first.
LOW_BIT = 0.5
HIGH_BIT = 0.125


def digit_price(kind: FixedType | None, whole: FixedType) -> float:
    """Bits of the adder that one digit of a weight takes, of a feature of its own type.

    Args:
        kind: of the feature, inside ``whole``, the network's input type; ``None``: it is not read.
    """
    if kind is None:
        return 0.0
    low, high = whole.fraction - kind.fraction, whole.integer - kind.integer
    return whole.width + 1.0 - LOW_BIT * low - HIGH_BIT * high


def without_low_bit(kind: FixedType | None) -> FixedType | None:
    """The type without its least significant bit; ``None`` where it has no other."""
    return None if kind is None or kind.width == 1 else replace(kind, width=kind.width - 1)


def without_high_bit(kind: FixedType | None) -> FixedType | None:
    """The type without its most significant bit, saturating earlier; ``None`` where it has no other."""
    if kind is None or kind.width == 1:
        return None
    return replace(kind, width=kind.width - 1, integer=kind.integer - 1)


#: What a feature may become besides unread.
NARROWER: tuple[Callable[[FixedType | None], FixedType | None], ...] = (without_low_bit, without_high_bit)
#: The number of the change that leaves a feature unread, behind those.
UNREAD = len(NARROWER)


def changed(kind: FixedType | None, change: int) -> FixedType | None:
    """The type after a change by its number."""
    return None if change == UNREAD else NARROWER[change](kind)
