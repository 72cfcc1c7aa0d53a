"""Bit-exact integer emulation of a design, with the same outputs as hls4ml's C simulation and RTL."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.architecture import INPUT
from hwnas_hls.network.features import FeatureTypes, cast, on_own_grids, requantised
from hwnas_hls.network.layers import LEAKY_SLOPE, Conv2D, Dense, Layer, Merge, Pool2D, Weighted
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design

# Below this bound, integer products are exact in float64 and can use BLAS.
_FLOAT64_EXACT_BITS = 53
_LEAKY_SHIFT = round(-math.log2(LEAKY_SLOPE))


def input_integers(design: Design, features: NDArray[np.floating]) -> NDArray[np.int64]:
    """Raw features (rows, n_in) -> integers on the input grid, as the host must compute them.

    The host rounds half up and saturates, a feature with a type of its own onto its own grid: a plain
    ``ap_fixed`` input would truncate and wrap.
    """
    if design.preprocessing is not None:
        features = design.preprocessing(features)
    kind = design.architecture.input
    values = np.asarray(features, np.float64)
    if design.features:
        return on_own_grids(design.features, kind, values)
    scaled = np.floor(values * 2.0**kind.fraction + 0.5)
    return np.clip(scaled, kind.lowest, kind.highest).astype(np.int64)


def emulate(design: Design, inputs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Run integers (rows, n_in) on the input grid through the network.

    Returns:
        int64 (rows, n_out) on the grid ``2**-output_fraction(design)``.

    Raises:
        Unsupported: an activation whose table arithmetic is not emulated.
    """
    architecture, types = design.architecture, design.layer_types()
    kinds = {INPUT: architecture.input} | {number: result for number, (_, _, result) in enumerate(types)}
    last_use = {source: number for number in range(len(types)) for source in architecture.sources(number)}
    held = {INPUT: cast(design.features, architecture.input, inputs)}
    for number, (layer, (_, accum, result)) in enumerate(zip(architecture.layers, types, strict=True)):
        sources = architecture.sources(number)
        given = [(held[source], kinds[source]) for source in sources]
        if isinstance(layer, Merge):
            values = _merged(layer, given, accum)
        elif isinstance(layer, Pool2D):
            values = _pooled(layer, given[0][0])
        else:
            values = _accumulate(design, number, *given[0], accum)
        held[number] = _activated(number, layer, values, accum, result, design.own_results(number))
        for source in sources:
            if last_use[source] == number:
                held.pop(source, None)
    return held[len(types) - 1]


def output_fraction(design: Design) -> int:
    """The fractional bits of the outputs: an integer ``y`` means ``y * 2**-fraction``."""
    return design.layer_types()[-1][2].fraction


def outputs(design: Design, features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Raw features (rows, n_in) -> real-valued outputs (rows, n_out), exact."""
    integers = emulate(design, input_integers(design, features))
    return np.asarray(integers * 2.0 ** -output_fraction(design), np.float64)


def margins(outputs: NDArray[Any], number: int) -> NDArray[Any]:
    """The score of a class: its output minus the largest of the others, (rows,).

    Exact in fixed point; positive where the class has the largest output.

    Args:
        outputs: (rows, classes).
        number: the class.
    """
    others = np.delete(outputs, number, axis=1).max(axis=1)
    found: NDArray[Any] = outputs[:, number] - others
    return found


def _activated(
    number: int,
    layer: Layer,
    values: NDArray[np.int64],
    accum: FixedType,
    result: FixedType,
    own: FeatureTypes,
) -> NDArray[np.int64]:
    activation = "linear" if isinstance(layer, Pool2D) else layer.activation
    fraction = accum.fraction
    if activation == "relu":
        values = np.maximum(values, 0)
    elif activation == "leaky_relu":
        # hls4ml multiplies by the slope in full precision and then casts.
        values, fraction = np.where(values > 0, values << _LEAKY_SHIFT, values), fraction + _LEAKY_SHIFT
    elif activation != "linear":
        raise Unsupported(
            f"layer {number}: {activation} uses a lookup table, which is not emulated", kind=ErrorKind.INEXACT
        )
    if (result, fraction) == (accum, accum.fraction) and not own:
        return values
    return requantised(own, result, values, fraction)


def _merged(
    layer: Merge, given: Sequence[tuple[NDArray[np.int64], FixedType]], accum: FixedType
) -> NDArray[np.int64]:
    first, second = (accum.requantise(values, kind.fraction) for values, kind in given)
    if layer.merge == "add":
        return first + second
    if layer.channels is None:
        return np.concatenate([first, second], axis=1)
    images = [
        values.reshape(len(values), -1, channels)
        for values, channels in zip((first, second), layer.channels, strict=True)
    ]
    return np.concatenate(images, axis=2).reshape(len(first), -1)


def _pooled(layer: Pool2D, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The largest value of each window, or its sum, which is the average on a finer grid."""
    image = values.reshape(-1, layer.in_height, layer.in_width, layer.in_channels)
    height, width = layer.out_height, layer.out_width
    image = image[:, : height * layer.pool_height, : width * layer.pool_width]
    windows = image.reshape(-1, height, layer.pool_height, width, layer.pool_width, layer.in_channels)
    pooled: NDArray[np.int64] = (
        windows.max(axis=(2, 4)) if layer.pooling == "max" else windows.sum(axis=(2, 4))
    )
    return pooled.reshape(len(values), -1)


def _accumulate(
    design: Design, number: int, values: NDArray[np.int64], source: FixedType, accum: FixedType
) -> NDArray[np.int64]:
    """The sum of products plus bias, on the accumulator's grid.

    hls4ml casts every product and the bias to the accumulator type before summation, so an
    accumulator with too few fractional bits truncates each product, not the sum.
    """
    layer, weight, bias = design.architecture.layers[number], design.weights[number], design.biases[number]
    if weight is None or not isinstance(layer, Weighted):
        raise Unsupported(f"layer {number}: a {layer.kind} layer is not emulated")
    product_fraction = source.fraction + layer.weight.fraction
    shift = accum.fraction - product_fraction
    total = np.zeros((), np.int64)
    # Bounded by the data, not by the types: the type of an accumulator that may wrap does not
    # bound the exact sum.
    each = tuple(range(weight.ndim - 1))
    largest = int(np.abs(values).max(initial=0)) * int(np.abs(weight).sum(axis=each).max(initial=0))
    exact_in_float = largest.bit_length() < _FLOAT64_EXACT_BITS
    for part, factors in _products(layer, values, weight):
        if factors.ndim == 1:
            product = part * factors
            total = total + (product if shift >= 0 else accum.requantise(product, product_fraction))
        elif shift < 0:
            for row in range(len(factors)):
                total = total + accum.requantise(part[..., row, None] * factors[row], product_fraction)
        elif exact_in_float:
            total = total + (part.astype(np.float64) @ factors.astype(np.float64)).astype(np.int64)
        else:
            total = total + part @ factors
    if shift > 0:
        total = total << shift
    if bias is not None and layer.bias is not None:
        total = total + accum.requantise(bias, layer.bias.fraction)
    return accum.requantise(total, accum.fraction).reshape(len(values), -1)


def _products(
    layer: Dense | Conv2D, values: NDArray[np.int64], weight: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The pairs of operands of a layer: values (..., n) and weights (n, outputs).

    A convolution gives one pair per position in its window, for all positions of the window at once;
    a depthwise one gives weights (n,) for multiplication by channel.
    """
    if isinstance(layer, Dense):
        yield values, weight
        return
    image = values.reshape(-1, layer.in_height, layer.in_width, layer.in_channels)
    above, left = layer.margins
    if above or left:
        image = np.pad(image, ((0, 0), (above, above), (left, left), (0, 0)))
    height, width = layer.out_height, layer.out_width
    for row in range(layer.kernel_height):
        for column in range(layer.kernel_width):
            factors = weight[row, column]
            part = image[:, row : row + height, column : column + width]
            yield part, factors[0] if layer.depthwise else factors
