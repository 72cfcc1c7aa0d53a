"""Designs as plain ONNX: from raw features to the outputs of the hardware, in float64.

Every value is an integer below 2**53 times a power of two, so float64 represents it exactly, and no
operator rounds unless the hardware does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.architecture import INPUT, Conv2D, Dense, Merge, Pool2D
from hwnas_hls.network.features import FeatureTypes, Grids
from hwnas_hls.network.layers import LEAKY_SLOPE
from hwnas_hls_plugins.exporters.onnx_export.nodes import Sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design
    from hwnas_hls.network.precision import FixedType

_EXACT_BITS = 53


def exact_model(design: Design) -> Any:
    """The ``ModelProto`` of ``design``: input ``features`` (rows, n_in), output ``outputs`` (rows, n_out).

    Raises:
        Unsupported: an activation that is not emulated, or numbers that float64 cannot represent.
    """
    sheet = Sheet(np.float64)
    architecture = design.architecture
    value = "features"
    if design.preprocessing is not None and not design.preprocessing.changes_nothing:
        value = sheet.node("Sub", value, sheet.constant("mean", design.preprocessing.mean))
        value = sheet.node("Div", value, sheet.constant("scale", design.preprocessing.scale))
    counted, unit = _counted(sheet, value, design)
    value = sheet.node("Mul", counted, unit, name="input_on_grid")

    outputs: dict[int, str] = {INPUT: value}
    types = design.layer_types()
    for number, layer in enumerate(architecture.layers):
        source, accum, result = types[number]
        inputs = [outputs[place] for place in architecture.sources(number)]
        widest = max(accum.width, source.width)
        if isinstance(layer, Dense | Conv2D) and layer.accum is not None:
            # The sum must be exact before it wraps or saturates.
            widest = max(widest, layer.exact_accum(source).width)
        if widest > _EXACT_BITS:
            raise Unsupported(
                f"layer {number} has numbers of {widest} bits, more than float64 represents exactly",
                kind=ErrorKind.INEXACT,
            )
        if isinstance(layer, Dense | Conv2D):
            if accum.fraction < source.fraction + layer.weight.fraction:
                raise Unsupported(
                    f"layer {number}: ONNX has no operator for an accumulator that truncates every product"
                )
            value = _weighted(sheet, design, number, inputs[0])
            value = quantised(sheet, value, accum) if layer.accum is not None else value
        elif isinstance(layer, Merge):
            value = _merged(sheet, layer, number, inputs)
        else:
            value = _pooled(sheet, layer, number, inputs[0])
        if not isinstance(layer, Pool2D):
            value = _activated(sheet, layer.activation, number, value)
        # No rounding if the result has all bits of the sum.
        if isinstance(layer, Pool2D):
            exact = layer.pooling == "max" and result == source
        else:
            exact = result == accum and layer.activation != "leaky_relu" and not design.own_results(number)
        outputs[number] = value if exact else quantised(sheet, value, result, design.own_results(number))
    about = (
        f"{architecture.shape}, design {design.digest()}: raw features in, the fixed-point outputs of the "
        "hardware out, bit for bit"
    )
    return sheet.model(
        "features", architecture.n_in, sheet.name_last("outputs"), architecture.n_out, about, checked=True
    )


def quantised(sheet: Sheet, value: str, kind: FixedType, own: FeatureTypes = ()) -> str:
    """``value`` with the rounding and overflow of ``kind``, or of its values' own types."""
    grids = Grids(own, kind, len(own) or 1)

    def number(values: NDArray[np.float64]) -> str:
        """One number for all values, or one for each."""
        if (values == values[0]).all():
            return sheet.number(float(values[0]))
        return sheet.constant(f"numbers_{values.tobytes().hex()}", values)

    y = sheet.node("Mul", value, number(grids.scale))
    if kind.rounding == "TRN":
        y = sheet.node("Floor", y)
    elif kind.rounding == "RND":
        y = sheet.node("Floor", sheet.node("Add", y, sheet.number(0.5)))
    elif kind.rounding == "RND_MIN_INF":
        y = sheet.node("Ceil", sheet.node("Sub", y, sheet.number(0.5)))
    elif kind.rounding == "RND_CONV":
        y = sheet.node("Round", y)
    else:  # symmetric about zero: round the magnitude, then restore the sign
        size = sheet.node("Abs", y)
        if kind.rounding == "TRN_ZERO":
            size = sheet.node("Floor", size)
        elif kind.rounding == "RND_INF":
            size = sheet.node("Floor", sheet.node("Add", size, sheet.number(0.5)))
        else:
            size = sheet.node("Ceil", sheet.node("Sub", size, sheet.number(0.5)))
        y = sheet.node("Mul", sheet.node("Sign", y), size)
    if kind.overflow == "WRAP":
        span = grids.high - grids.low + 1.0
        turns = sheet.node("Sub", y, number(grids.low))
        turns = sheet.node("Floor", sheet.node("Mul", turns, number(1.0 / span)))
        y = sheet.node("Sub", y, sheet.node("Mul", turns, number(span)))
    else:
        low = -grids.high if kind.overflow == "SAT_SYM" and kind.signed else grids.low
        limited = sheet.node("Min", sheet.node("Max", y, number(low)), number(grids.high))
        if kind.overflow == "SAT_ZERO":
            limited = sheet.node("Where", sheet.node("Equal", y, limited), y, sheet.number(0.0))
        y = limited
    return sheet.node("Mul", y, number(grids.step * 2.0**-kind.fraction))


def _counted(sheet: Sheet, value: str, design: Design) -> tuple[str, str]:
    """Features as whole numbers on their grids, rounded half up and limited; and what a unit is worth."""
    kind = design.architecture.input
    if not design.features:
        counted = _clipped(sheet, _halves_up(sheet, value, kind), kind.lowest, kind.highest)
        return counted, sheet.number(2.0**-kind.fraction)
    grids = Grids(design.features, kind, design.architecture.n_in)
    scaled = sheet.node("Mul", value, sheet.constant("input_scale", grids.scale))
    counted = sheet.node("Floor", sheet.node("Add", scaled, sheet.number(0.5)))
    counted = sheet.node("Max", counted, sheet.constant("input_low", grids.low))
    counted = sheet.node("Min", counted, sheet.constant("input_high", grids.high))
    return counted, sheet.constant("input_unit", grids.step * 2.0**-kind.fraction)


def _halves_up(sheet: Sheet, value: str, kind: FixedType) -> str:
    scaled = sheet.node("Mul", value, sheet.number(2.0**kind.fraction))
    return sheet.node("Floor", sheet.node("Add", scaled, sheet.number(0.5)))


def _clipped(sheet: Sheet, value: str, low: int, high: int) -> str:
    return sheet.node("Clip", value, sheet.number(float(low)), sheet.number(float(high)))


def real_weights(design: Design, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Weights and biases of layer ``number`` as real numbers."""
    layer = design.architecture.layers[number]
    weight, bias = design.weights[number], design.biases[number]
    if weight is None or not isinstance(layer, Dense | Conv2D):
        raise Unsupported(f"layer {number} has no weights")
    biases = (
        None if bias is None or layer.bias is None else bias.astype(np.float64) * 2.0**-layer.bias.fraction
    )
    return weight.astype(np.float64) * 2.0**-layer.weight.fraction, biases


def _weighted(sheet: Sheet, design: Design, number: int, value: str) -> str:
    layer = design.architecture.layers[number]
    weights, biases = real_weights(design, number)
    if isinstance(layer, Conv2D):
        value = _windows(sheet, layer, number, value)
        weights = _as_matrix(layer, weights)
    value = sheet.node("MatMul", value, sheet.constant(f"weights_{number}", weights))
    if biases is not None:
        value = sheet.node("Add", value, sheet.constant(f"biases_{number}", biases))
    return _flat(sheet, value) if isinstance(layer, Conv2D) else value


def _as_matrix(layer: Conv2D, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(values of a window, filters); a depthwise filter has zeros for other channels."""
    if layer.depthwise:
        spread = np.zeros((*weights.shape[:2], layer.in_channels, layer.filters))
        channels = np.arange(layer.filters)
        spread[:, :, channels, channels] = weights[:, :, 0, :]
        weights = spread
    return weights.reshape(-1, layer.filters)


def _windows(sheet: Sheet, layer: Conv2D, number: int, value: str) -> str:
    """(rows, n_in) -> (rows, positions, values of a window). A zero is appended to the image and gathered
    where a window extends beyond it."""
    n_in = layer.input_widths[0]
    image = np.arange(n_in).reshape(layer.in_height, layer.in_width, layer.in_channels)
    high, wide = (
        ((layer.kernel_height - 1) // 2, (layer.kernel_width - 1) // 2) if layer.padding == "same" else (0, 0)
    )
    padded = np.pad(image, ((high, high), (wide, wide), (0, 0)), constant_values=n_in)
    view = np.lib.stride_tricks.sliding_window_view(
        padded, (layer.kernel_height, layer.kernel_width), axis=(0, 1)
    )
    # (out rows, out columns, channels, kernel rows, kernel columns) -> window in the weights' order.
    places = view.transpose(0, 1, 3, 4, 2).reshape(layer.out_height * layer.out_width, -1)
    behind = sheet.constant("one_zero_behind", [0, 0, 0, 1], np.int64)
    longer = sheet.node("Pad", value, behind)
    return sheet.node("Gather", longer, sheet.constant(f"windows_{number}", places, np.int64), axis=1)


def _pooled(sheet: Sheet, layer: Pool2D, number: int, value: str) -> str:
    image = np.arange(layer.input_widths[0]).reshape(layer.in_height, layer.in_width, layer.in_channels)
    used = image[: layer.out_height * layer.pool_height, : layer.out_width * layer.pool_width]
    blocks = used.reshape(
        layer.out_height, layer.pool_height, layer.out_width, layer.pool_width, layer.in_channels
    )
    places = blocks.transpose(0, 2, 4, 1, 3).reshape(layer.n_out, layer.window)
    gathered = sheet.node("Gather", value, sheet.constant(f"windows_{number}", places, np.int64), axis=1)
    kind = "ReduceMax" if layer.pooling == "max" else "ReduceMean"
    return sheet.node(kind, gathered, axes=[2], keepdims=0)


def _merged(sheet: Sheet, layer: Merge, number: int, inputs: list[str]) -> str:
    if layer.merge == "add":
        return sheet.node("Add", *inputs)
    if layer.channels is None:
        return sheet.node("Concat", *inputs, axis=1)
    # Images are concatenated along their channels, the fastest index.
    images = [
        sheet.node(
            "Reshape",
            value,
            sheet.constant(f"image_{number}_{place}", [0, width // channels, channels], np.int64),
        )
        for place, (value, width, channels) in enumerate(
            zip(inputs, layer.input_widths, layer.channels, strict=True)
        )
    ]
    return _flat(sheet, sheet.node("Concat", *images, axis=2))


def _flat(sheet: Sheet, value: str) -> str:
    return sheet.node("Reshape", value, sheet.constant("flat", [0, -1], np.int64))


def _activated(sheet: Sheet, activation: str, number: int, value: str) -> str:
    if activation == "linear":
        return value
    if activation == "relu":
        return sheet.node("Relu", value)
    if activation == "leaky_relu":
        return sheet.node("Max", value, sheet.node("Mul", value, sheet.number(LEAKY_SLOPE)))
    raise Unsupported(
        f"layer {number}: {activation} uses a lookup table, which is not emulated", kind=ErrorKind.INEXACT
    )
