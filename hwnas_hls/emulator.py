"""Bit-exact emulation of a design in integers: the same bits as hls4ml's C simulation and RTL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.design import Design
from hwnas_hls.errors import Unsupported
from hwnas_hls.precision import FixedType

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Products of integers stay exact in float64 (and so may use BLAS) below this bound.
_FLOAT64_EXACT_BITS = 53


def input_integers(design: Design, features: NDArray[np.floating]) -> NDArray[np.int64]:
    """Raw features (rows, n_in) -> integers on the input grid, as the host must feed them.

    The host rounds half up and saturates: a plain ``ap_fixed`` input would truncate and wrap.
    """
    if design.preprocessing is not None:
        features = design.preprocessing(features)
    kind = design.architecture.input
    scaled = np.floor(np.asarray(features, np.float64) * 2.0**kind.fraction + 0.5)
    return np.clip(scaled, kind.lowest, kind.highest).astype(np.int64)


def emulate(design: Design, inputs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Run integers (rows, n_in) on the input grid through the network.

    Returns:
        int64 (rows, n_out) on the grid ``2**-output_fraction(design)``.

    Raises:
        Unsupported: an activation whose table arithmetic is not emulated.
    """
    values = inputs
    for number, (layer, (source, accum, result)) in enumerate(
        zip(design.architecture.chain, design.layer_types(), strict=True)
    ):
        values = _accumulate(design, number, values, source.fraction, accum)
        if layer.activation == "relu":
            values = np.maximum(values, 0)
        elif layer.activation != "linear":
            raise Unsupported(f"layer {number}: {layer.activation} goes through a table and is not emulated")
        if result != accum:
            values = result.requantise(values, accum.fraction)
    return values


def output_fraction(design: Design) -> int:
    """Fractional bits of the outputs: a result ``y`` stands for ``y * 2**-fraction``."""
    return design.layer_types()[-1][2].fraction


def outputs(design: Design, features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Raw features (rows, n_in) -> real-valued outputs (rows, n_out), exact."""
    integers = emulate(design, input_integers(design, features))
    return np.asarray(integers * 2.0 ** -output_fraction(design), np.float64)


def _accumulate(
    design: Design, number: int, values: NDArray[np.int64], fraction: int, accum: FixedType
) -> NDArray[np.int64]:
    """Sum of products plus bias, on the accumulator's grid.

    hls4ml casts every product and the bias to the accumulator type before it sums, so an
    accumulator with too few fractional bits loses bits of each product, not of the sum.
    """
    layer, weight, bias = design.architecture.chain[number], design.weights[number], design.biases[number]
    product_fraction = fraction + layer.weight.fraction
    if accum.fraction >= product_fraction:
        total = _matmul(values, weight) << (accum.fraction - product_fraction)
    else:
        total = np.zeros((len(values), layer.n_out), np.int64)
        for row in range(layer.n_in):
            total += accum.requantise(values[:, row, None] * weight[row], product_fraction)
    if bias is not None and layer.bias is not None:
        total = total + accum.requantise(bias, layer.bias.fraction)
    return accum.requantise(total, accum.fraction)


def _matmul(values: NDArray[np.int64], weight: NDArray[np.int64]) -> NDArray[np.int64]:
    # Bounded by the data rather than by the types: an accumulator that may wrap says nothing
    # of how large the exact sum is.
    largest = int(np.abs(values).max(initial=0)) * int(np.abs(weight).sum(axis=0).max(initial=0))
    if largest.bit_length() < _FLOAT64_EXACT_BITS:
        return (values.astype(np.float64) @ weight.astype(np.float64)).astype(np.int64)
    return values @ weight
