"""The LUT cost of one weight, depending on the strategy of its layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.errors import Unsupported
from hwnas_hls.network.layers import Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.hls_model.constants import csd_weight, significant_bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Costs are integers in thousandths of a LUT, so sums are exact.
MILLI = 1000
#: LUTs that a bit of an adder takes once da4ml has shared what digits have in common; see
#: ``benchmarks/refinement``.
SHARED_LUT_PER_BIT = 0.8
#: Latency strategy after logic synthesis: coefficients of the predictor (``hls_model``).
_TREE_LUT_PER_BIT = 0.75
_SHIFT_ADDER_LUT_PER_BIT = 0.3
_MULTIPLIER_LUT_PER_BIT2 = 0.5
#: From this input width on, products use DSPs and few LUTs; the cost is that of the DSP.
_DSP_INPUT_BITS = 12
_LUT_PER_DSP = 100.0
#: ReLU, rounding and saturation of a neuron, per bit of its result.
_ACTIVATION_LUT_PER_BIT = 1.0


def lut_of_weights(layer: Dense, source: FixedType, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cost of each weight in thousandths of a LUT, any shape.

    Distributed arithmetic: one adder of the input width per digit. ``Latency`` (and ``Resource`` with
    reuse factor 1, which unrolls in the same way): one term of the sum; two digits need one more adder,
    three or more a multiplier, and a power of two only wires.

    Raises:
        Unsupported: multipliers are shared in time, so a single weight has no cost.
    """
    digits = csd_weight(weights)
    if layer.strategy == "distributed_arithmetic":
        shared: NDArray[np.int64] = digits * round(MILLI * SHARED_LUT_PER_BIT * (source.width + 1))
        return shared
    if layer.reuse_factor > 1:
        raise Unsupported(
            f"{layer.strategy} with reuse factor {layer.reuse_factor}: its multipliers are shared in time "
            "and independent of the weights; there is nothing to refine"
        )
    # With a sign.
    odd = np.where(digits > 0, significant_bits(weights) + 1, 0)
    wide = source.width >= _DSP_INPUT_BITS
    multiplier = _LUT_PER_DSP if wide else _MULTIPLIER_LUT_PER_BIT2 * source.width * odd
    lut = np.where(digits > 0, _TREE_LUT_PER_BIT * (source.width + 2.0), 0.0)
    lut = lut + np.where(digits == 2, _SHIFT_ADDER_LUT_PER_BIT * (source.width + odd), 0.0)
    lut = lut + np.where(digits > 2, multiplier, 0.0)
    rounded: NDArray[np.int64] = np.rint(MILLI * lut).astype(np.int64)
    return rounded


def lut_of_constants(constants: NDArray[np.int64]) -> NDArray[np.int64]:
    """The cost of adding each constant to a sum of distributed arithmetic, in thousandths of a LUT.

    The bits from its highest to its lowest one that is set, as da4ml counts them; 0 for a constant of 0.
    """
    return MILLI * significant_bits(constants)


def lut_of_activation(result: FixedType) -> int:
    """The cost of the logic after a neuron's sum, in thousandths of a LUT."""
    return round(MILLI * _ACTIVATION_LUT_PER_BIT * result.width)
