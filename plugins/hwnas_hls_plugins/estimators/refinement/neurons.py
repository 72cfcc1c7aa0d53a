"""Types of single hidden neurons under refinement: what their bits cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.da_law import SATURATED
from hwnas_hls_plugins.estimators.feature_bits import NEURON_HIGH_BIT, NEURON_LOW_BIT
from hwnas_hls_plugins.estimators.refinement.laws import MILLI, SHARED_LUT_PER_BIT
from hwnas_hls_plugins.estimators.refinement.network import HAND_ON, LINEAR, SATURATE, LayerState

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Maximum number of bits below a result: sums and the half that rounds them must fit the kernels' integers.
_MOST_DROPPED = 24


def digit_prices(state: LayerState, result: FixedType) -> NDArray[np.int64]:
    """Thousandths of a LUT of one digit of a weight that reads a neuron, (n_out,).

    Args:
        state, result: the neurons' layer and its result type.
    """
    low, high = state.lacking.astype(np.float64)
    bits = result.width + 1.0 - NEURON_LOW_BIT * low - NEURON_HIGH_BIT * high
    prices: NDArray[np.int64] = np.rint(MILLI * SHARED_LUT_PER_BIT * bits).astype(np.int64)
    return prices


def spare_bits(
    states: Sequence[LayerState], low: NDArray[np.int64], high: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """For each layer of a chain, (n_out,): how many high bits of a neuron's type no sum needs.

    Below 0 where a sum may exceed the type; by interval analysis.

    Args:
        low, high: the ends of the inputs, (n_in,).
    """
    found = []
    for state in states:
        weight = state.weight.astype(np.int64)
        up, down, bias = np.maximum(weight, 0), np.minimum(weight, 0), state.bias.astype(np.int64)
        least = ((low @ up + high @ down) << state.shift) + bias
        most = ((high @ up + low @ down) << state.shift) + bias
        if state.rectified != LINEAR:
            least, most = np.maximum(least, 0), np.maximum(most, 0) << state.leak
        if state.rounding == HAND_ON:
            low, high = least, most
            found.append(np.zeros(state.n_out, np.int64))
            continue
        low_bits, high_bits = state.lacking.astype(np.int64)
        step = np.exp2(state.result_shift + low_bits)
        lowest, highest = (end >> (low_bits + high_bits) for end in state.limit[1:])
        # Half a step of rounding at most.
        least, most = np.floor(least / step), np.floor(most / step + 0.5)
        signed = int(state.limit[1] < 0)
        needed = np.frexp(np.maximum(np.maximum(most, -least - 1), 0))[1] + signed
        found.append(state.bits - low_bits - high_bits - needed)
        low, high = (np.clip(end, lowest, highest).astype(np.int64) << low_bits for end in (least, most))
    return found


def savings(
    state: LayerState, digits: NDArray[np.int64], spare: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Thousandths of a LUT that the lowest and the highest bit of each result save, (n_out,).

    0 where a bit cannot go. Besides the adders that read a result, its saturation has fewer bits; a neuron
    that saturates only without its highest bit needs comparisons. A highest bit that no sum needs is no
    hardware.

    Args:
        state: the neurons' layer.
        digits: (n_out,) signed digits of all weights that read a neuron.
        spare: (n_out,) of :func:`spare_bits`.
    """
    width = state.bits - state.lacking.sum(axis=0, dtype=np.int64)
    own = SATURATED * (spare < 0)
    low = SHARED_LUT_PER_BIT * NEURON_LOW_BIT * digits + own
    high = SHARED_LUT_PER_BIT * NEURON_HIGH_BIT * digits + own - SATURATED * (width - 1) * (spare == 0)
    # A signed type of one bit cannot saturate symmetrically.
    symmetric = state.limit[1] < 0 and state.limit[1] == -state.limit[2]
    narrows = (digits > 0) & (width > 1 + symmetric)
    drops = narrows & (state.result_shift + state.lacking[0].astype(np.int64) < _MOST_DROPPED)
    saturates = narrows & (spare <= 0) & (state.limit[0] == SATURATE)
    low, high = (np.rint(MILLI * gone).astype(np.int64) for gone in (low, high))
    return low * drops, np.maximum(high, 0) * saturates
