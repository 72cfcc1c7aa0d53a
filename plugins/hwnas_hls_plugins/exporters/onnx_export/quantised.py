"""Designs as QONNX: float32 operators with a ``Quant`` node for every fixed-point type.

QONNX: Pappalardo et al., "QONNX: Representing Arbitrary-Precision Quantized Neural Networks",
arXiv 2206.07527. Its ``Quant`` always saturates and has fewer rounding modes, so it cannot represent
every design; such designs are rejected, not approximated. ``RND`` is written as the addition of half a
step (to the biases, if any) followed by ``FLOOR``, because hls4ml reads only QONNX's ``FLOOR`` and
``ROUND``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.architecture import INPUT, Dense, Merge
from hwnas_hls.network.features import FeatureTypes, with_modes
from hwnas_hls.network.layers import LEAKY_SLOPE
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.exporters.onnx_export.exact import real_weights
from hwnas_hls_plugins.exporters.onnx_export.nodes import QONNX_DOMAIN, Sheet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design

_FLOAT32_EXACT_BITS = 24
_ROUNDINGS = {
    "TRN": "FLOOR",
    "TRN_ZERO": "DOWN",
    "RND": "FLOOR",
    "RND_CONV": "ROUND",
    "RND_INF": "HALF_UP",
    "RND_ZERO": "HALF_DOWN",
}


def quantised_model(design: Design) -> Any:
    """The ``ModelProto`` of ``design``: input ``global_in`` (rows, n_in) on the input's grid, output
    ``global_out`` (rows, n_out).

    Raises:
        Unsupported: ``Quant`` cannot represent the design exactly, or a layer is neither dense nor a merge.
    """
    sheet = Sheet(np.float32)
    architecture = design.architecture
    outputs = {INPUT: _quant(sheet, "global_in", "input", architecture.input, "ROUND")}
    types = design.layer_types()
    for number, layer in enumerate(architecture.layers):
        _, accum, result = types[number]
        inputs = [outputs[place] for place in architecture.sources(number)]
        if accum.width >= _FLOAT32_EXACT_BITS:
            raise Unsupported(
                f"layer {number} has sums of {accum.width} bits, more than float32 represents exactly",
                kind=ErrorKind.INEXACT,
            )
        if not isinstance(layer, Dense | Merge):
            raise Unsupported(f"layer {number}: {layer.kind} is not supported in QONNX; use model.onnx")
        own = design.own_results(number)
        exact = result == accum and layer.activation != "leaky_relu" and not own
        steps = np.exp2([-(kind or result).fraction for kind in own or (result,)], dtype=np.float64)
        half = np.zeros(1) if exact or result.rounding != "RND" else 0.5 * steps
        if isinstance(layer, Dense):
            if layer.accum is not None:
                raise Unsupported(f"layer {number}: QONNX cannot represent the type of an accumulator")
            folded = 0.0 * half if layer.activation == "leaky_relu" else half
            value = _dense(sheet, design, number, layer, inputs[0], folded)
            half = half - folded
        else:
            value = (
                sheet.node("Add", *inputs) if layer.merge == "add" else sheet.node("Concat", *inputs, axis=1)
            )
        if layer.activation == "relu":
            value = sheet.node("Relu", value)
        elif layer.activation == "leaky_relu":
            value = sheet.node("LeakyRelu", value, alpha=LEAKY_SLOPE)
        elif layer.activation != "linear":
            raise Unsupported(
                f"layer {number}: {layer.activation} uses a lookup table, which is not emulated",
                kind=ErrorKind.INEXACT,
            )
        if half.any():
            value = sheet.node("Add", value, sheet.number(float(half[0])))
        outputs[number] = value if exact else _result(sheet, number, value, layer, accum, result, own)
    about = (
        f"{architecture.shape}, design {design.digest()}: QONNX, inputs on the grid of {architecture.input}"
    )
    return sheet.model(
        "global_in",
        architecture.n_in,
        sheet.name_last("global_out"),
        architecture.n_out,
        about,
        checked=False,
    )


def _result(
    sheet: Sheet,
    number: int,
    value: str,
    layer: Dense | Merge,
    accum: FixedType,
    result: FixedType,
    own: FeatureTypes,
) -> str:
    if None in own or len({one.signed for one in own if one is not None}) > 1:
        raise Unsupported(f"layer {number}: QONNX's Quant has one sign for all values, and at least one bit")
    kinds = [with_modes(one, result) for one in own] or [result]
    if any(kind.width == 1 and kind.signed for kind in kinds):
        raise Unsupported(f"layer {number}: QONNX interprets one signed bit as -1 and 1")
    if result.rounding not in _ROUNDINGS:
        raise Unsupported(f"layer {number}: QONNX has no rounding {result.rounding}")
    saturates = result.overflow in ("SAT", "SAT_SYM")
    if not saturates and not all(_holds(kind, accum, rectified=layer.activation == "relu") for kind in kinds):
        raise Unsupported(f"layer {number}: {result} does not saturate, but QONNX's Quant does")
    return _quant(sheet, value, f"result_{number}", result, _ROUNDINGS[result.rounding], own)


def _dense(
    sheet: Sheet, design: Design, number: int, layer: Dense, value: str, half: NDArray[np.float64]
) -> str:
    """Products and biases; ``half`` is added to each bias, which has its own grid."""
    weights, biases = real_weights(design, number)
    matrix = sheet.constant(f"weights_{number}", weights)
    value = sheet.node("MatMul", value, _quant(sheet, matrix, f"weight_{number}", layer.weight, "ROUND"))
    if biases is None and not half.any():
        return value
    kind = layer.bias
    biases = np.zeros(layer.n_out) if biases is None else biases
    if kind is None or half.any():
        biases = biases + half
        finest = -round(math.log2(half.min())) if half.any() else 0
        kind = _narrowest(biases, max(kind.fraction if kind else 0, finest))
    vector = sheet.constant(f"biases_{number}", biases)
    return sheet.node("Add", value, _quant(sheet, vector, f"bias_{number}", kind, "ROUND"))


def _narrowest(values: NDArray[np.float64], fraction: int) -> FixedType:
    """The narrowest signed type with ``fraction`` fractional bits for ``values``."""
    counted = values * 2.0**fraction
    width = max(int(counted.max()), -int(counted.min()) - 1, 1).bit_length() + 1
    return FixedType(width, width - fraction)


def _quant(
    sheet: Sheet, value: str, name: str, kind: FixedType, rounding: str, own: FeatureTypes = ()
) -> str:
    """``value`` on the grid of a type, or each of its numbers on that of its own.

    qonnx takes a scale a value but one number of bits, so narrower types are limited before.
    """
    kinds = [with_modes(one, kind) for one in own] or [kind]
    signed, bits = kinds[0].signed, max(one.width for one in kinds)
    narrow = signed and kind.overflow == "SAT_SYM"
    if any(one.width < bits for one in kinds):
        lows = [(-one.highest if narrow else one.lowest) * 2.0**-one.fraction for one in kinds]
        highs = [one.highest * 2.0**-one.fraction for one in kinds]
        value = sheet.node("Max", value, sheet.constant(f"{name}_lows", lows))
        value = sheet.node("Min", value, sheet.constant(f"{name}_highs", highs))
    scales = [2.0**-one.fraction for one in kinds]
    return sheet.node(
        "Quant",
        value,
        sheet.constant(f"{name}_scale", scales if own else scales[0]),
        sheet.constant(f"{name}_zero", 0.0),
        sheet.constant(f"{name}_bits", float(bits)),
        name=f"{name}_quantised",
        domain=QONNX_DOMAIN,
        signed=int(signed),
        narrow=int(narrow),
        rounding_mode=rounding,
    )


def _holds(kind: FixedType, accum: FixedType, *, rectified: bool) -> bool:
    """Whether all rounded values of ``accum`` are in the range of ``kind``."""
    step = 2.0 ** (kind.fraction - accum.fraction)
    high = accum.highest * step + 0.5
    low = 0.0 if rectified else accum.lowest * step - 0.5
    return low >= kind.lowest and high <= kind.highest
