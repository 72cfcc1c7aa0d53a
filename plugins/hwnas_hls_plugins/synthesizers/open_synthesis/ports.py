"""The packing of integers in the wide input and output ports of the generated RTL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ErrorKind, HwnasError

WORD_BITS = 32


@dataclass(frozen=True, slots=True)
class Element:
    """One number inside a port: ``sign + integer + fraction`` bits, least significant first.

    Args:
        sign: 1 for two's complement, else 0.
        integer: integer bits, the sign not counted; may be negative.
        fraction: fractional bits; may be negative.
    """

    sign: int
    integer: int
    fraction: int

    @property
    def width(self) -> int:
        return max(0, self.sign + self.integer + self.fraction)


@dataclass(frozen=True, slots=True)
class Port:
    """A packed port without gaps; element 0 is in the least significant bits."""

    elements: tuple[Element, ...]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Port:
        """From rows of (sign, integer, fraction)."""
        return cls(tuple(Element(*(int(value) for value in row)) for row in rows))

    @property
    def width(self) -> int:
        return sum(element.width for element in self.elements)

    def bits(self, values: NDArray[np.int64], fraction: int) -> NDArray[np.uint8]:
        """Integers (rows, elements) on the grid ``2**-fraction`` -> bits (rows, width).

        Bits below an element's grid or above its width are dropped, as on wires.
        """
        columns = []
        for place, element in enumerate(self.elements):
            column = values[:, place]
            shift = fraction - element.fraction
            column = column >> shift if shift >= 0 else column << -shift
            columns.append((column[:, None] >> np.arange(element.width)) & 1)
        return (
            np.concatenate(columns, axis=1).astype(np.uint8)
            if columns
            else np.zeros((len(values), 0), np.uint8)
        )

    def values(self, bits: NDArray[np.uint8], fraction: int) -> NDArray[np.int64]:
        """Bits (..., width) -> integers (..., elements) on the grid ``2**-fraction``."""
        out = np.zeros((*bits.shape[:-1], len(self.elements)), np.int64)
        start = 0
        for place, element in enumerate(self.elements):
            width = element.width
            if not width:
                continue
            if width > 62:
                raise HwnasError(
                    f"output {place} has {width} bits; at most 62 can be compared", kind=ErrorKind.TOO_LARGE
                )
            field = bits[..., start : start + width].astype(np.int64)
            start += width
            value = (field << np.arange(width)).sum(axis=-1)
            if element.sign:
                value -= field[..., -1] << width
            shift = fraction - element.fraction
            if shift < 0:
                raise HwnasError(
                    f"output {place} has a finer grid than the design says", kind=ErrorKind.MISMATCH
                )
            out[..., place] = value << shift
        return out


def to_words(bits: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Bits (rows, width) -> words (rows, ceil(width / 32)), least significant first."""
    rows, width = bits.shape
    count = max(1, -(-width // WORD_BITS))
    padded = np.zeros((rows, count * WORD_BITS), np.uint8)
    padded[:, :width] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u4")


def from_words(words: NDArray[np.uint32], width: int) -> NDArray[np.uint8]:
    """The inverse of :func:`to_words`."""
    raw = np.ascontiguousarray(words, "<u4").view(np.uint8)
    return np.unpackbits(raw, axis=1, bitorder="little")[:, :width]
