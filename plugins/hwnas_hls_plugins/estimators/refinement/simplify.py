"""Exact simplifications: less hardware with the same outputs for every input."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.features import FeatureTypes, ends, given_features, requantised
from hwnas_hls.network.layers import Dense
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Wider types are not simplified, because their bounds exceed 64-bit integers.
_MOST_BITS = 60


def simplify(design: Design) -> Design:
    """A design with bit-identical outputs for every input, but less hardware.

    In a chain of dense layers, neurons that are not read or whose value is constant are removed (a
    constant is added to the next biases, if it is on their grid); a saturating result wraps if no sum
    exceeds its type; a rounding result truncates, with the rounding offset in the bias. Unused inputs
    remain, because the host provides them. Other graphs are returned unchanged.

    Args:
        design: a trained design.
    """
    if not design.architecture.is_chain:
        return design
    before = None
    # A removal in one layer may allow others; every round except the last removes something.
    while before is not design:
        before = design
        for number in range(len(design.architecture.layers) - 1):
            design = _without_idle_neurons(design, number)
        for number in range(len(design.architecture.layers)):
            design = _with_cheaper_result(design, number)
    return design


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Reach:
    """The smallest and largest value of each output of a layer, before and after its result type.

    Each on its own grid, int64 (n_out,).
    """

    rectified: tuple[NDArray[np.int64], NDArray[np.int64]]
    values: tuple[NDArray[np.int64], NDArray[np.int64]]


def _reaches(design: Design) -> list[_Reach]:
    """Of every layer, as far as its types can be followed; interval analysis with the real weights."""
    low, high = ends(design.features, design.architecture.input, design.architecture.n_in)
    found = []
    layers = design.architecture.chain
    for number, (layer, (source, accum, result)) in enumerate(zip(layers, design.layer_types(), strict=True)):
        weight, bias = design.weights[number], design.biases[number]
        shift = accum.fraction - source.fraction - layer.weight.fraction
        widest = max(accum.width, result.width)
        if weight is None or shift < 0 or widest > _MOST_BITS or layer.activation not in ("relu", "linear"):
            break
        up, down = np.maximum(weight, 0), np.minimum(weight, 0)
        least, most = ((low @ up + high @ down) << shift), ((high @ up + low @ down) << shift)
        if bias is not None and layer.bias is not None:
            offset = accum.requantise(bias, layer.bias.fraction)
            least, most = least + offset, most + offset
        if layer.accum is not None and (least.min() < accum.lowest or most.max() > accum.highest):
            break
        if layer.activation == "relu":
            least, most = np.maximum(least, 0), np.maximum(most, 0)
        rectified = (least, most)
        low, high = _limited(design, number, rectified)
        found.append(_Reach(rectified, (low, high)))
    return found


def bounds_of_results(design: Design) -> list[tuple[int, int]]:
    """The smallest and largest possible value of each layer of a chain, rounded but not limited.

    In units of the layer's result type; as many layers as can be followed.
    """
    found = []
    for number, reach in enumerate(_reaches(design)):
        least, most = _rounded(design, number, reach.rectified)
        found.append((int(least.min()), int(most.max())))
    return found


def _rounded(
    design: Design, number: int, ends: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bounds of a layer's results, rounded but not limited, in units of its result type."""
    _, accum, result = design.layer_types()[number]
    wide = tuple(None if one is None else _wide(one) for one in design.own_results(number))
    low, high = (requantised(wide, _wide(result), end[None], accum.fraction)[0] for end in ends)
    return low, high


def _wide(kind: FixedType) -> FixedType:
    return dataclasses.replace(kind, width=62, integer=62 - kind.fraction, signed=True)


def _limited(
    design: Design, number: int, rectified: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bounds of the result; the whole range of a type if it may wrap."""
    _, accum, result = design.layer_types()[number]
    own = design.own_results(number)
    if result == accum and not own:
        return rectified
    if result.overflow in ("SAT", "SAT_SYM"):
        least, most = (requantised(own, result, end[None], accum.fraction)[0] for end in rectified)
        return least, most
    # Rounding is monotonic, so a type that represents the rounded bounds represents all values between.
    low, high = _rounded(design, number, rectified)
    lowest, highest = ends(own, result, len(low))
    inside = (low >= lowest) & (high <= highest)
    return np.where(inside, low, lowest), np.where(inside, high, highest)


def _without_idle_neurons(design: Design, number: int) -> Design:
    layers, types = design.architecture.chain, design.layer_types()
    weight, following = design.weights[number], design.weights[number + 1]
    if weight is None or following is None:
        return design
    reaches = _reaches(design)
    idle = ~(following != 0).any(axis=1)
    bias = design.biases[number + 1]
    after = layers[number + 1]
    if len(reaches) > number:
        low, high = reaches[number].values
        for neuron in np.flatnonzero((low == high) & ~idle):
            moved = _moved(low[neuron] * following[neuron], types[number + 1], after, bias)
            if moved is not None:
                bias, idle[neuron] = moved, True
    if idle.all():
        idle[0] = False  # a layer needs at least one output
        if weight[:, 0].any():
            weight = weight.copy()
            weight[:, 0] = 0
    if not idle.any() and weight is design.weights[number]:
        return design
    kept = ~idle
    changed = list(layers)
    changed[number] = dataclasses.replace(layers[number], n_out=int(kept.sum()))
    changed[number + 1] = dataclasses.replace(after, n_in=int(kept.sum()))
    own = design.biases[number]
    weights, biases = list(design.weights), list(design.biases)
    weights[number], weights[number + 1] = weight[:, kept], following[kept]
    biases[number] = None if own is None else own[kept]
    biases[number + 1] = bias
    neurons = list(design.neurons)
    if design.own_results(number):
        neurons[number] = tuple(itertools.compress(neurons[number], kept.tolist()))
    return _replaced(design, changed, weights, biases, tuple(neurons))


def _moved(
    products: NDArray[np.int64],
    types: tuple[FixedType, FixedType, FixedType],
    layer: Dense,
    bias: NDArray[np.int64] | None,
) -> NDArray[np.int64] | None:
    """The biases plus constant products; ``None`` if these are not on the grid of the biases."""
    source = types[0]
    if not products.any():
        return bias
    if bias is None or layer.bias is None or layer.accum is not None:
        return None
    coarser = source.fraction + layer.weight.fraction - layer.bias.fraction
    if coarser > 0 and (products & ((1 << coarser) - 1)).any():
        return None
    moved = bias + (products >> coarser if coarser >= 0 else products << -coarser)
    inside = layer.bias.lowest <= moved.min() and moved.max() <= layer.bias.highest
    return moved if inside else None


def _with_cheaper_result(design: Design, number: int) -> Design:
    layer, (_, accum, result) = design.architecture.chain[number], design.layer_types()[number]
    if layer.result is None or result == accum or layer.activation not in ("relu", "linear"):
        return design
    own, reaches = design.own_results(number), _reaches(design)
    fractions = np.array([(one or result).fraction for one in given_features(own, result, layer.n_out)])
    dropped = accum.fraction - int(fractions.min())
    if result.overflow != "WRAP" and len(reaches) > number:
        low, high = _rounded(design, number, reaches[number].rectified)
        lowest, highest = ends(own, result, layer.n_out)
        if result.overflow == "SAT_SYM" and result.signed:
            lowest = np.maximum(lowest, -highest)
        if (lowest <= low).all() and (high <= highest).all():
            result = dataclasses.replace(result, overflow="WRAP")
    bias_type, bias = layer.bias, design.biases[number]
    if result.rounding != "TRN" and dropped <= 0:
        result = dataclasses.replace(result, rounding="TRN")
    elif result.rounding == "RND" and layer.accum is None and accum.width < _MOST_BITS:
        # floor(x + 1/2) after a ReLU: at or below zero, the offset of 1/2 never reaches one.
        fraction = max(result.fraction + 1, layer.bias.fraction if layer.bias else -_MOST_BITS)
        old = np.zeros(layer.n_out, np.int64) if bias is None else bias
        finer = fraction - (layer.bias.fraction if layer.bias else fraction)
        bias = (old << finer) + (1 << (fraction - fractions - 1))
        bits = max(int(bias.max()), -int(bias.min()) - 1).bit_length() + 1
        width = max(bits, layer.bias.width + finer if layer.bias else 1)
        bias_type = FixedType(width, width - fraction)
        result = dataclasses.replace(result, rounding="TRN")
    if result == layer.result:
        return design
    layers, biases = list(design.architecture.chain), list(design.biases)
    layers[number] = dataclasses.replace(layer, result=result, bias=bias_type)
    biases[number] = bias
    return _replaced(design, layers, list(design.weights), biases, design.neurons)


def _replaced(
    design: Design,
    layers: list[Dense],
    weights: list[NDArray[np.int64] | None],
    biases: list[NDArray[np.int64] | None],
    neurons: tuple[FeatureTypes, ...],
) -> Design:
    before = design.architecture
    architecture = Architecture(before.input, tuple(layers), before.clock_ns, before.io_type)
    return dataclasses.replace(
        design, architecture=architecture, weights=tuple(weights), biases=tuple(biases), neurons=neurons
    )
