"""What one weight costs in LUTs, by the way its layer is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.errors import Unsupported
from hwnas_hls.network.layers import Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.hls_model.constants import csd_weight

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Costs are whole thousandths of a LUT, so that sums of them are exact.
MILLI = 1000
#: LUTs that a bit of an adder takes once da4ml has shared what digits have in common; see
#: ``benchmarks/refinement``.
_SHARED_LUT_PER_BIT = 0.8
#: Latency strategy after logic synthesis: coefficients of the predictor (``hls_model``).
_TREE_LUT_PER_BIT = 0.75
_SHIFT_ADDER_LUT_PER_BIT = 0.3
_MULTIPLIER_LUT_PER_BIT2 = 0.5
#: Inputs from this width on are multiplied in DSP blocks, whose LUTs are few: the block itself is priced.
_DSP_INPUT_BITS = 12
_LUT_PER_DSP = 100.0
#: ReLU, rounding and saturation of a neuron, a bit of its result.
_ACTIVATION_LUT_PER_BIT = 1.0


def lut_of_weights(layer: Dense, source: FixedType, weights: NDArray[np.int64]) -> NDArray[np.int64]:
    """Thousandths of a LUT that each weight takes, any shape.

    Distributed arithmetic: one adder as wide as the inputs a digit. ``Latency`` (and ``Resource`` at
    reuse factor 1, which unrolls alike): a term of the sum; two digits are one more adder, three or more a
    multiplier; a power of two is a wire.

    Raises:
        Unsupported: products that are shared in time: no single weight has a cost there.
    """
    digits = csd_weight(weights)
    if layer.strategy == "distributed_arithmetic":
        shared: NDArray[np.int64] = digits * round(MILLI * _SHARED_LUT_PER_BIT * (source.width + 1))
        return shared
    if layer.reuse_factor > 1:
        raise Unsupported(
            f"{layer.strategy} with reuse factor {layer.reuse_factor}: its multipliers are shared in time "
            "and take any weight; there is nothing to refine"
        )
    odd = _odd_bits(weights)
    wide = source.width >= _DSP_INPUT_BITS
    multiplier = _LUT_PER_DSP if wide else _MULTIPLIER_LUT_PER_BIT2 * source.width * odd
    lut = np.where(digits > 0, _TREE_LUT_PER_BIT * (source.width + 2.0), 0.0)
    lut = lut + np.where(digits == 2, _SHIFT_ADDER_LUT_PER_BIT * (source.width + odd), 0.0)
    lut = lut + np.where(digits > 2, multiplier, 0.0)
    rounded: NDArray[np.int64] = np.rint(MILLI * lut).astype(np.int64)
    return rounded


def lut_of_activation(result: FixedType) -> int:
    """Thousandths of a LUT of what stands behind one neuron's sum."""
    return round(MILLI * _ACTIVATION_LUT_PER_BIT * result.width)


def _odd_bits(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of a constant without its trailing zeros."""
    magnitude = np.abs(values)
    bits = np.frexp(magnitude.astype(np.float64))[1]
    trailing = np.frexp((magnitude & -magnitude).astype(np.float64))[1]
    odd: NDArray[np.int64] = np.where(magnitude > 0, bits - trailing + 1, 0).astype(np.int64)
    return odd
