"""Types of single input features under refinement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.network.design import Design
from hwnas_hls.network.features import FeatureTypes, ends, given_features, on_own_grids
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.feature_bits import (
    HIGH_BIT,
    LOW_BIT,
    NARROWER,
    UNREAD,
    changed,
    digit_price,
)
from hwnas_hls_plugins.estimators.refinement.laws import MILLI, SHARED_LUT_PER_BIT

if TYPE_CHECKING:
    from numpy.typing import NDArray


class InputFeatures:
    """The types of a design's input features, and what its rows would be with fewer bits.

    Args:
        design: under refinement.
        values: standardised features (rows, n_in) of the rows on which it is refined; ``None``: types stay.

    Attributes:
        priced: whether a feature's digits have a price of their own.
        alternatives: int32 (2, n_in, rows) on the input grid: without the lowest, without the highest bit.
        versions: int64 (n_in,), how often each has changed.
    """

    def __init__(self, design: Design, values: NDArray[np.float64] | None) -> None:
        architecture = design.architecture
        self._whole, self._n_in = architecture.input, architecture.n_in
        self.priced = architecture.allows_feature_types
        self.types: list[FixedType | None] = list(given_features(design.features, self._whole, self._n_in))
        self.moves = self.priced and values is not None
        self._values = values if self.moves else None
        rows = 0 if self._values is None else len(self._values)
        self.alternatives = np.zeros((len(NARROWER), self._n_in, rows), np.int32)
        self.versions = np.zeros(self._n_in, np.int64)
        for number in range(self._n_in):
            self._work_out(number)

    def ends(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The smallest and the largest value of each feature, (n_in,)."""
        return ends(tuple(self.types), self._whole, self._n_in)

    def prices(self) -> NDArray[np.int64]:
        """Thousandths of a LUT of one digit of each feature's weights, (n_in,)."""
        bits = [digit_price(kind, self._whole) for kind in self.types]
        return np.rint(MILLI * SHARED_LUT_PER_BIT * np.array(bits)).astype(np.int64)

    def savings(self, digits: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Thousandths of a LUT that every change of every feature that is read saves.

        Args:
            digits: (n_in,) number of signed digits of all weights that read a feature.

        Returns:
            features and changes, one entry each, and what they save.
        """
        gone = self.prices() * digits
        narrow = [round(MILLI * SHARED_LUT_PER_BIT * bit) for bit in (LOW_BIT, HIGH_BIT)]
        places, saved = [], []
        for number in np.flatnonzero(gone).tolist():
            kind = self.types[number]
            places.append((number, UNREAD))
            saved.append(int(gone[number]))
            if kind is not None and kind.width > 1:
                places += [(number, change) for change in range(len(NARROWER))]
                saved += [one * int(digits[number]) for one in narrow]
        return np.array(places, np.int64).reshape(-1, 2), np.array(saved, np.int64)

    def change(self, number: int, change: int) -> None:
        """Apply a change to the type of a feature."""
        self.types[number] = changed(self.types[number], change)
        self._work_out(number)

    def given(self, read: NDArray[np.bool_]) -> FeatureTypes:
        """The types of a design's features: ``None`` where no neuron reads one; empty without own types.

        Args:
            read: (n_in,) whether any neuron reads the feature.
        """
        if not self.priced:
            return ()
        return tuple(kind if one else None for kind, one in zip(self.types, read, strict=True))

    def _work_out(self, number: int) -> None:
        kind = self.types[number]
        if self._values is None or kind is None:
            return
        for place, narrower in enumerate(NARROWER):
            own = self._values[:, number : number + 1]
            self.alternatives[place, number] = on_own_grids((narrower(kind),), self._whole, own)[:, 0]
