"""Raw inputs of a task: words of fixed-point types, with the offset and scale that the circuit applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Maximum difference of the shifts of two features: the constants must fit the generators of adders.
MAX_SPREAD = 20
#: Maximum width of a word.
MAX_BITS = 32


@dataclass(frozen=True, slots=True)
class InputScaling:
    """Features as words, and what the network takes of each: ``(word - offset) * 2**-shift``.

    Args:
        words: type of each feature as the detector gives it.
        offsets: of each feature, in least significant bits of its word.
        shifts: of each feature.

    Raises:
        UserError: lengths differ, a word is too wide, or shifts differ too much.
    """

    words: tuple[FixedType, ...]
    offsets: tuple[int, ...]
    shifts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.words) == len(self.offsets) == len(self.shifts) > 0:
            raise UserError(
                "each feature has a word, an offset and a shift",
                found=f"{len(self.words)}, {len(self.offsets)}, {len(self.shifts)}",
                kind=ErrorKind.MISMATCH,
            )
        spread = max(self.shifts) - min(self.shifts)
        if spread > MAX_SPREAD:
            raise UserError(
                f"the scales of the features differ by more than a factor of 2^{MAX_SPREAD}",
                where="task: input_words",
                found=f"2^{min(self.shifts)} to 2^{max(self.shifts)}",
                remedy="drop low bits of the widest words, or leave out input_words",
                kind=ErrorKind.TOO_LARGE,
            )

    @property
    def kind(self) -> FixedType:
        """The narrowest type that represents every word."""
        signed = any(word.signed for word in self.words)
        fraction = max(word.fraction for word in self.words)
        integer = max(word.integer + (signed and not word.signed) for word in self.words)
        return FixedType(max(1, integer + fraction), integer, signed)

    @property
    def standardisation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offset and scale of the values of the words, each (n_in,): ``(x - offset) / scale``, exact."""
        import numpy as np

        values = [offset * 2.0**-word.fraction for word, offset in zip(self.words, self.offsets, strict=True)]
        return np.array(values, np.float64), np.exp2(np.array(self.shifts, np.float64))

    def to_json(self) -> dict[str, Any]:
        return {
            "words": [str(word) for word in self.words],
            "offsets": list(self.offsets),
            "shifts": list(self.shifts),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InputScaling:
        return cls(
            tuple(FixedType.parse(word) for word in data["words"]),
            tuple(data["offsets"]),
            tuple(data["shifts"]),
        )


def chosen_scaling(words: tuple[FixedType, ...], rows: NDArray[np.float64]) -> InputScaling:
    """Offset and shift of each feature: its mean on its own grid, and the power of two nearest to its spread.

    Args:
        words: type of each feature.
        rows: training rows (rows, n_in), values of the words.

    Raises:
        UserError: the scales of two features differ too much.
    """
    import numpy as np

    grids = np.exp2(np.array([word.fraction for word in words], np.float64))
    offsets = np.floor(rows.mean(axis=0) * grids + 0.5).astype(np.int64)
    spread = rows.std(axis=0)
    constant = rows.max(axis=0) == rows.min(axis=0)
    shifts = np.floor(np.log2(np.where(constant, 1.0, spread)) + 0.5).astype(np.int64)
    if not constant.all():
        # A constant feature carries nothing: any scale does, and the largest keeps the constants narrow.
        shifts[constant] = shifts[~constant].max()
    return InputScaling(words, tuple(offsets.tolist()), tuple(shifts.tolist()))
