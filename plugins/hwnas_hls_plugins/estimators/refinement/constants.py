"""What neurons under refinement add to their sums: the bias, and the offset that rounds the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.network.precision import ROUNDINGS
from hwnas_hls_plugins.estimators.refinement.network import LEAKY, NO_LIMIT, LayerState

if TYPE_CHECKING:
    from numpy.typing import NDArray


def constants(state: LayerState) -> NDArray[np.int64]:
    """The constant of each neuron, (n_out,), on the grid of the sums.

    One adder adds both; see :func:`hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl.constants`.
    """
    found = state.bias.astype(np.int64)
    offset = state.rounding >= 0 and ROUNDINGS[state.rounding] == "RND"
    if not offset or state.sum_limit[0] != NO_LIMIT or state.rectified == LEAKY:
        return found
    dropped = state.result_shift + state.lacking[0].astype(np.int64)
    return found + np.where(dropped > 0, 1 << np.maximum(dropped - 1, 0), 0)


def coarse(now: NDArray[np.int64], offset: NDArray[np.int64], state: LayerState) -> NDArray[np.int64]:
    """Changes of constants, rounded to sums of whole halves of a result's bit: fewer bits to add.

    Args:
        now: the constants, any shape.
        offset: the changes wanted, on the grid of the biases.
    """
    grid = 1 << max(state.result_shift - 1, 0)
    if grid <= state.bias_step or grid % state.bias_step:
        return offset
    rounded = (now + offset + (grid >> 1)) // grid * grid - now
    return np.where(rounded % state.bias_step == 0, rounded, offset)


def cheaper(now: NDArray[np.int64], step: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Changes of constants to 0 and to their neighbours on coarser grids, which have fewer bits below.

    Args:
        now: the constants, (n_out,).
        step: of the biases.

    Returns:
        the changes, multiples of ``step``, and the neuron of each.
    """
    changes, places = [], []
    for place, value in enumerate(now.tolist()):
        grid = 2 * step
        found = {-value} if value % step == 0 else set()
        while grid <= 2 * abs(value):
            below = value // grid * grid
            found |= {below - value, below + grid - value}
            grid *= 2
        kept = sorted(change for change in found if change and change % step == 0)
        changes += kept
        places += [place] * len(kept)
    return np.array(changes, np.int64), np.array(places, np.int64)
