"""Handwritten digits: ``digits16`` (the default task, 16 inputs) and ``digits`` (64 inputs).

Data: "Optical Recognition of Handwritten Digits" (UCI, E. Alpaydin and C. Kaynak, 1998), of
which scikit-learn contains the 1,797 rows of the UCI test part: 8x8 counts from 0 to 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hwnas_hls.errors import UserError
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIDE = 8


@dataclass(frozen=True)
class DigitsConfig:
    """Settings of both digits tasks.

    Args:
        split_seed: seed of the stratified split into 60 % training, 20 % validation, 20 % test.
    """

    split_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.split_seed < 2**32:
            raise UserError("split_seed must be between 0 and 2**32 - 1", where="task", found=self.split_seed)


class DigitsTask(Task):
    """Ten digits from 64 pixels."""

    name: ClassVar[str] = "digits"
    Config: ClassVar[type[DigitsConfig]] = DigitsConfig
    config: DigitsConfig
    #: Size of the squares of pixels that are averaged.
    _pool: ClassVar[int] = 1

    def load(self) -> Dataset:
        """The data in three splits, the same at every call."""
        from sklearn.datasets import load_digits

        from hwnas_hls_plugins.tasks.split import stratified

        pixels, y = load_digits(return_X_y=True)
        x, y = self._pooled(pixels.astype("float64")), y.astype("int64")
        labels = tuple(str(digit) for digit in range(10))
        train, validation, test = (
            Split(x[rows], y[rows]) for rows in stratified(y, labels, self.config.split_seed, self.name)
        )
        side = _SIDE // self._pool
        pooled = f", {self._pool}x{self._pool} pooled by mean" if self._pool > 1 else ""
        return Dataset(
            train,
            validation,
            test,
            CLASSIFICATION,
            labels,
            tuple(f"pixel_{row}_{column}" for row in range(side) for column in range(side)),
            f"scikit-learn load_digits (UCI optical digits, {len(y)} rows){pooled}; stratified 60/20/20 "
            f"split, seed {self.config.split_seed}",
            input_shape=(side, side, 1),
        )

    def _pooled(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """(rows, 64) -> (rows, (8 / pool)**2), the mean of each square of pixels."""
        side = _SIDE // self._pool
        squares = pixels.reshape(-1, side, self._pool, side, self._pool)
        pooled: NDArray[np.float64] = squares.mean(axis=(2, 4))
        return pooled.reshape(-1, side * side)


class Digits16Task(DigitsTask):
    """Ten digits from 16 inputs: the 8x8 image, 2x2 pooled by mean."""

    name: ClassVar[str] = "digits16"
    _pool: ClassVar[int] = 2
