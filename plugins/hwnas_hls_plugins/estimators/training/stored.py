"""The weights of a group that removal has left, stored without the removed ones. Requires torch.

Late in a removal most weights are gone for good. The compiled kernels then read lists of those that are
left, and their time falls with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls_plugins.estimators.training.layout import Layout

#: Share of the weights up to which lists are quicker than whole matrices.
WORTHWHILE = 0.5
_WEIGHTS = (
    *("unit", "low", "high", "offset", "kept_factor", "digits", "integers", "weights"),
    *("latent", "mean", "square", "gradient", "floor", "ceiling"),
)
_TRAINED = ("latent", "mean", "square", "integers", "weights")


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """The stored weights of one matrix, int64.

    Args:
        starts: place of each row's first weight, and the end, (rows + 1,).
        columns: column of each weight, row by row, the bias last.
        column_starts, column_rows, column_places: the same by columns, without the biases: place of each
            column's first weight, and the end, (cols,); row of each weight, and its place in ``columns``.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    column_starts: NDArray[np.int64]
    column_rows: NDArray[np.int64]
    column_places: NDArray[np.int64]

    @classmethod
    def of(cls, stored: NDArray[np.bool_]) -> Lists:
        """The lists of a matrix; ``stored``: (rows, cols), with the biases."""
        places = np.cumsum(stored.ravel()).reshape(stored.shape) - 1
        turned = stored[:, :-1].T
        column, row = np.nonzero(turned)
        return cls(
            starts=_starts(stored.sum(1)),
            # What nonzero returns are columns of one array, which the kernels cannot read.
            columns=np.ascontiguousarray(np.nonzero(stored)[1]),
            column_starts=_starts(turned.sum(1)),
            column_rows=np.ascontiguousarray(row),
            column_places=places[row, column],
        )


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


class StoredWeights:
    """The state of the weights of a group that are not removed.

    Args:
        layout: the group; its other parameters stay there.
        stored: bool, one per weight and bias of the group, with all biases.

    Attributes:
        buffers: as the layout's, of the stored weights alone.
        lists: (member, level) -> the lists of its matrix.
        places: (member, level) -> place of its first weight in the buffers.
    """

    def __init__(self, layout: Layout, stored: Tensor) -> None:
        self._layout, self._index = layout, torch.nonzero(stored).flatten()
        self.buffers = {name: getattr(layout, name)[self._index] for name in _WEIGHTS}
        self.buffers["gradient"].zero_()
        flags = stored.numpy()
        before = _starts(flags)
        self.lists: dict[tuple[int, int], Lists] = {}
        self.places: dict[tuple[int, int], int] = {}
        for k in range(layout.depth):
            for j, plan in enumerate(layout.layers(k)):
                start, stop = layout.places[j, k]
                self.lists[j, k] = Lists.of(flags[start:stop].reshape(plan.rows, plan.cols))
                self.places[j, k] = int(before[start])

    def __len__(self) -> int:
        return len(self._index)

    def write_back(self) -> None:
        """Copy the state to the layout."""
        for name in _TRAINED:
            getattr(self._layout, name)[self._index] = self.buffers[name]
