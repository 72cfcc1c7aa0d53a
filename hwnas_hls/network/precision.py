"""Fixed-point types of Vitis HLS: ``ap_fixed<W,I,Q,O>``.

``W`` is the total number of bits and ``I`` the number of integer bits including the sign, so the
least significant bit has the value ``2**-(W-I)``. The modes follow AMD UG1399, "Arbitrary Precision
Fixed-Point Data Types".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROUNDINGS = ("TRN", "TRN_ZERO", "RND", "RND_ZERO", "RND_INF", "RND_MIN_INF", "RND_CONV")
OVERFLOWS = ("WRAP", "SAT", "SAT_ZERO", "SAT_SYM")
MAX_WIDTH = 256
_PATTERN = re.compile(r"\s*(?:ap_)?(u?)fixed\s*<\s*(\d+)\s*,\s*(-?\d+)\s*((?:,\s*\w+\s*)*)>\s*")
_INTEGER = re.compile(r"\s*(?:ap_)?(u?)int\s*<\s*(\d+)\s*>\s*")


@dataclass(frozen=True, slots=True)
class FixedType:
    """A fixed-point type.

    Args:
        width: total number of bits, at least 1.
        integer: integer bits, including the sign; may be negative or above ``width``.
        signed: two's complement if true.
        rounding: one of :data:`ROUNDINGS`; ``TRN`` (floor) is Vitis' default.
        overflow: one of :data:`OVERFLOWS`; ``WRAP`` is Vitis' default.
    """

    width: int
    integer: int
    signed: bool = True
    rounding: str = "TRN"
    overflow: str = "WRAP"

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise UserError(f"a fixed-point width must be between 1 and {MAX_WIDTH}", found=self.width)
        if self.rounding not in ROUNDINGS:
            raise UserError("unknown rounding mode", found=self.rounding, choices=ROUNDINGS)
        if self.overflow not in OVERFLOWS:
            raise UserError("unknown overflow mode", found=self.overflow, choices=OVERFLOWS)
        if self.width == 1 and self.signed and self.overflow == "SAT_SYM":
            # Vendor tools and symmetry disagree: the only range around zero is zero, but they saturate to -1.
            raise UserError(
                "a signed type of one bit cannot saturate symmetrically",
                found=str(self),
                remedy="take AP_SAT, or more bits",
            )

    @classmethod
    def parse(cls, text: str) -> FixedType:
        """Read a type such as ``ap_fixed<8,3>``, ``ufixed<6,0,RND,SAT>`` or ``ap_int<8>``.

        Raises:
            UserError: not a fixed-point type.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            whole = _INTEGER.fullmatch(text)
            if whole is None:
                raise UserError(
                    "not a fixed-point type",
                    found=text,
                    remedy="write ap_fixed<W,I>, for example ap_fixed<8,3> or ap_ufixed<6,2,AP_RND,AP_SAT>",
                )
            width = int(whole[2])
            return cls(width, width, signed=not whole[1])
        modes = [mode.strip().removeprefix("AP_") for mode in match[4].split(",") if mode.strip()]
        rounding = modes[0] if modes else "TRN"
        overflow = modes[1] if len(modes) > 1 else "WRAP"
        return cls(int(match[2]), int(match[3]), not match[1], rounding, overflow)

    def __str__(self) -> str:
        text = f"ap_{'' if self.signed else 'u'}fixed<{self.width},{self.integer}"
        if (self.rounding, self.overflow) != ("TRN", "WRAP"):
            text += f",AP_{self.rounding},AP_{self.overflow}"
        return text + ">"

    @property
    def fraction(self) -> int:
        """Fractional bits: the grid is ``2**-fraction``."""
        return self.width - self.integer

    @property
    def plain(self) -> FixedType:
        """The same grid and range with Vitis' default modes."""
        return FixedType(self.width, self.integer, self.signed)

    @property
    def lowest(self) -> int:
        """The smallest value, counted in least significant bits."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The largest value, counted in least significant bits."""
        return (1 << (self.width - self.signed)) - 1

    def holds(self, other: FixedType) -> bool:
        """Whether every value of another type is one of this, so that a cast changes nothing."""
        if self.fraction < other.fraction or (other.signed and not self.signed):
            return False
        return self.integer - self.signed >= other.integer - other.signed

    def integers(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        """Real values -> integers on this grid, with the type's rounding and overflow modes.

        Args:
            values: any shape, finite.

        Returns:
            int64 of the same shape; ``result * 2**-fraction`` is the represented value.
            Exact for widths up to 53 bits.
        """
        import numpy as np

        scaled = np.asarray(values, np.float64) * 2.0**self.fraction
        rounded = _rounders()[self.rounding](scaled)
        if self.overflow == "WRAP" and self.width <= 62:
            rounded = np.fmod(rounded, 2.0**self.width)  # exact, and representable in int64
        # Floats beyond 2**62 do not fit int64; they are outside every type, so clip them first.
        rounded = np.clip(rounded, -(2.0**62), 2.0**62)
        return self._limit(rounded.astype(np.int64))

    def requantise(self, values: NDArray[np.int64], fraction: int) -> NDArray[np.int64]:
        """Integers on the grid ``2**-fraction`` -> integers on this type's grid.

        Integer arithmetic (shifts) only, like the hardware; if this grid is finer, ``values`` must not
        overflow 64 bits when shifted left.
        """
        import numpy as np

        shift = fraction - self.fraction
        if shift <= 0:
            return self._limit(values << -shift)
        if shift > 62:
            raise UserError("a shift of more than 62 bits cannot be emulated in 64-bit integers", found=shift)
        half = np.int64(1) << np.int64(shift - 1)
        floor = values >> shift
        rest = values - (floor << shift)
        if self.rounding == "TRN":
            rounded = floor
        elif self.rounding == "TRN_ZERO":
            rounded = floor + ((values < 0) & (rest != 0))
        elif self.rounding == "RND":
            rounded = floor + (rest >= half)
        elif self.rounding == "RND_MIN_INF":
            rounded = floor + (rest > half)
        elif self.rounding == "RND_INF":
            rounded = floor + ((rest > half) | ((rest == half) & (values >= 0)))
        elif self.rounding == "RND_ZERO":
            rounded = floor + ((rest > half) | ((rest == half) & (values < 0)))
        else:  # RND_CONV: ties to even
            rounded = floor + ((rest > half) | ((rest == half) & ((floor & 1) == 1)))
        return self._limit(rounded)

    def _limit(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        import numpy as np

        if self.width > 62:
            return values
        low, high = self.lowest, self.highest
        if self.overflow == "WRAP":
            return ((values - low) & np.int64((1 << self.width) - 1)) + low
        if self.overflow == "SAT_ZERO":
            return np.where((values < low) | (values > high), 0, values)
        if self.overflow == "SAT_SYM" and self.signed:
            low = -high
        return np.clip(values, low, high)


#: :class:`FixedType`, with one object for equal arguments: a search needs few types, but each very often.
shared_type = functools.lru_cache(maxsize=65536)(FixedType)


def exact_sum(
    source: FixedType, weight: FixedType, bias: FixedType | None, count: int, *, widest: int | None = None
) -> FixedType:
    """The narrowest type that represents every partial sum of a neuron for any weights.

    Args:
        source, weight: types of the two factors of each product.
        bias: type of the bias, or ``None``.
        count: number of products, at least 1.
        widest: maximum width; a wider type is reduced to it instead of rejected.

    Raises:
        UserError: the type is wider than :data:`MAX_WIDTH` and ``widest`` is not given.
    """
    integer = source.integer + weight.integer
    fraction = source.width + weight.width - integer
    integer += (count - 1).bit_length()
    if bias is not None:
        fraction = max(fraction, bias.width - bias.integer)
        integer = max(integer, bias.integer) + 1
    width = integer + fraction
    return shared_type(width if widest is None else min(widest, max(1, width)), integer)


@functools.cache
def _rounders() -> dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    import numpy as np

    # Adding 0.5 would round just below a half and beyond 2**52; this difference is exact.
    def half_up(values: NDArray[np.float64]) -> NDArray[np.float64]:
        floor = np.floor(values)
        return np.where(values - floor >= 0.5, floor + 1.0, floor)

    def half_down(values: NDArray[np.float64]) -> NDArray[np.float64]:
        floor = np.floor(values)
        return np.where(values - floor > 0.5, floor + 1.0, floor)

    return {
        "TRN": np.floor,
        "TRN_ZERO": np.trunc,
        "RND": half_up,
        "RND_MIN_INF": half_down,
        "RND_INF": lambda values: np.copysign(half_up(np.abs(values)), values),
        "RND_ZERO": lambda values: np.copysign(half_down(np.abs(values)), values),
        "RND_CONV": np.rint,
    }
