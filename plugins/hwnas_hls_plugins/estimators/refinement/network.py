"""A design as matrices of sums and values over rows, for trials of single changes."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.design import Design
from hwnas_hls.network.features import FeatureTypes, given_features
from hwnas_hls.network.layers import INPUT, LEAKY_SLOPE, Dense, Layer, Merge
from hwnas_hls.network.precision import ROUNDINGS, FixedType
from hwnas_hls_plugins.estimators.refinement.features import InputFeatures

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOBODY = -2
HAND_ON = -1
NO_LIMIT, WRAP, SATURATE, ZERO = -1, 0, 1, 2
LINEAR, RELU, LEAKY = 0, 1, 2
_LEAK = round(-math.log2(LEAKY_SLOPE))
_RECTIFIED = {"linear": LINEAR, "relu": RELU, "leaky_relu": LEAKY}
_OVERFLOWS = {"WRAP": WRAP, "SAT": SATURATE, "SAT_SYM": SATURATE, "SAT_ZERO": ZERO}
#: Maximum width of numbers in the compiled kernels, including the sign.
NATIVE_BITS = 31


@dataclass(slots=True, eq=False)
class LayerState:
    """One layer of the network. Matrices are (features, rows); the other fields are as in ``trials.c``.

    Args:
        merge: 0 dense, 1 add, 2 concatenate.
        n_in, n_out: for a merge, ``n_in`` is the width of its first input.
        source, other: numbers of layers; -1: the inputs, -2: none.
        shift, other_shift: left shifts to the grid of the sums.
        rectified, leak: the activation.
        sum_limit, limit: (overflow, low, high) of sums and of values.
        rounding, result_shift: rounding mode and dropped bits of the result; rounding -1 keeps the sums.
        weight: (n_in, n_out).
        bias: (n_out,) on the grid of the sums; zeros without biases.
        bias_step: value of the bias's least significant bit there; 0: it cannot change.
        bias_range: range of biases, on the grid of the sums.
        sums, values: of the current network.
        bits: width of the results if every neuron may have a type of its own, else 0.
        lacking: uint8 (2, n_out), low and high bits of the result that each neuron's own type lacks.
    """

    merge: int
    n_in: int
    n_out: int
    source: int
    other: int
    shift: int
    other_shift: int
    rectified: int
    leak: int
    sum_limit: tuple[int, int, int]
    rounding: int
    result_shift: int
    limit: tuple[int, int, int]
    weight: NDArray[np.int64]
    bias: NDArray[np.int64]
    bias_step: int
    bias_range: tuple[int, int]
    sums: NDArray[np.int64]
    values: NDArray[np.int64]
    most_bits: int
    bits: int
    lacking: NDArray[np.uint8]


def layer_states(design: Design, rows: int) -> list[LayerState]:
    """All layers of a design, without sums and values.

    Raises:
        Unsupported: a convolution, a pooling, a lookup table, or an accumulator that truncates products.
    """
    architecture, types = design.architecture, design.layer_types()
    kinds = {INPUT: architecture.input} | {number: result for number, (_, _, result) in enumerate(types)}
    states = []
    for number, (layer, (_, accum, result)) in enumerate(zip(architecture.layers, types, strict=True)):
        given = tuple((source, kinds[source]) for source in architecture.sources(number))
        states.append(_state(design, number, layer, given, accum, result, rows))
    return states


def _state(
    design: Design,
    number: int,
    layer: Layer,
    given: tuple[tuple[int, FixedType], ...],
    accum: FixedType,
    result: FixedType,
    rows: int,
) -> LayerState:
    if not isinstance(layer, Dense | Merge):
        raise Unsupported(
            f"layer {number}: a {layer.kind} layer cannot be refined; only dense layers and merges can"
        )
    if layer.activation not in _RECTIFIED:
        raise Unsupported(
            f"layer {number}: {layer.activation} uses a lookup table and cannot be refined",
            kind=ErrorKind.INEXACT,
        )
    rectified = _RECTIFIED[layer.activation]
    fraction = accum.fraction + (_LEAK if rectified == LEAKY else 0)
    lacking = _lacking(design, number, result)
    handed_on = (result, fraction) == (accum, accum.fraction) and not lacking.any()
    leak = _LEAK if rectified == LEAKY else 0
    # Additional bits of the largest number between sums and values.
    room = leak + max(0, result.fraction - fraction) + 1
    empty = np.zeros((layer.n_out, rows), np.int64)
    (source, kind), *rest = given
    common: dict[str, Any] = {
        "n_out": layer.n_out,
        "source": source,
        "other": rest[0][0] if rest else NOBODY,
        "rectified": rectified,
        "leak": leak,
        "rounding": HAND_ON if handed_on else ROUNDINGS.index(result.rounding),
        "result_shift": fraction - result.fraction,
        "limit": (NO_LIMIT, 0, 0) if handed_on else _limit(result),
        "sums": empty,
        "values": empty.copy(),
        "bits": 0 if handed_on or not narrows(design, number) else result.width,
        "lacking": lacking,
    }
    if isinstance(layer, Merge):
        return LayerState(
            merge=1 if layer.merge == "add" else 2,
            n_in=layer.input_widths[0],
            shift=accum.fraction - kind.fraction,
            other_shift=accum.fraction - rest[0][1].fraction,
            sum_limit=(NO_LIMIT, 0, 0),
            weight=np.zeros((0, 0), np.int64),
            bias=np.zeros(layer.n_out, np.int64),
            bias_step=0,
            bias_range=(0, 0),
            most_bits=accum.width + room,
            **common,
        )
    weight, bias = design.weights[number], design.biases[number]
    if weight is None:
        raise Unsupported(f"layer {number} has no weights")
    shift = accum.fraction - kind.fraction - layer.weight.fraction
    if shift < 0:
        raise Unsupported(
            f"layer {number}: accumulator {accum} truncates every product", kind=ErrorKind.INEXACT
        )
    step, ends = 0, (0, 0)
    if bias is not None and layer.bias is not None and accum.fraction >= layer.bias.fraction:
        step = 1 << (accum.fraction - layer.bias.fraction)
        ends = (layer.bias.lowest * step, layer.bias.highest * step)
    on_sums = np.zeros(layer.n_out, np.int64)
    if bias is not None and layer.bias is not None:
        on_sums = accum.requantise(bias, layer.bias.fraction)
    # For any weights of their type.
    reach = layer.n_in * max(kind.highest, -kind.lowest) * max(layer.weight.highest, -layer.weight.lowest)
    width = ((reach << shift) + max(-ends[0], ends[1], int(np.abs(on_sums).max(initial=0)))).bit_length() + 1
    limits = layer.accum is not None
    return LayerState(
        merge=0,
        n_in=layer.n_in,
        shift=shift,
        other_shift=0,
        sum_limit=_limit(accum) if limits else (NO_LIMIT, 0, 0),
        weight=weight.astype(np.int64),
        bias=on_sums,
        # A bias that is limited by its accumulator does not change in whole steps.
        bias_step=0 if limits and step and not _holds(accum, ends) else step,
        bias_range=ends,
        most_bits=max(width + room, fraction - result.fraction + int(lacking[0].max(initial=0)) + 2),
        **common,
    )


def narrows(design: Design, number: int) -> bool:
    """Whether neurons of a layer may have types of their own: hidden ones with a result type."""
    architecture = design.architecture
    if not architecture.allows_feature_types or number == len(architecture.layers) - 1:
        return False
    return architecture.chain[number].result is not None


def _lacking(design: Design, number: int, result: FixedType) -> NDArray[np.uint8]:
    """See :class:`LayerState`."""
    count = design.architecture.layers[number].n_out
    found = []
    for own in given_features(design.own_results(number), result, count):
        if own is None or own.signed != result.signed:
            raise Unsupported(
                f"layer {number}: a neuron without bits, or without the sign of its layer, cannot be refined"
            )
        found.append((result.fraction - own.fraction, result.integer - own.integer))
    return np.ascontiguousarray(np.array(found, np.uint8).T)


def _holds(kind: FixedType, ends: tuple[int, int]) -> bool:
    return kind.lowest <= ends[0] and ends[1] <= kind.highest


def _limit(kind: FixedType) -> tuple[int, int, int]:
    low = -kind.highest if kind.overflow == "SAT_SYM" and kind.signed else kind.lowest
    return _OVERFLOWS[kind.overflow], low, kind.highest


def designed(design: Design, states: list[LayerState], features: InputFeatures) -> Design:
    """The design with its refined weights, biases and types of features and neurons."""
    weights, biases = list(design.weights), list(design.biases)
    for number, (layer, state) in enumerate(zip(design.architecture.layers, states, strict=True)):
        if not isinstance(layer, Dense):
            continue
        weights[number] = state.weight.astype(np.int64)
        if state.bias_step:
            biases[number] = state.bias.astype(np.int64) // state.bias_step
    read = np.zeros(design.architecture.n_in, bool)
    for state in states:
        if state.source == INPUT and not state.merge:
            read |= (state.weight != 0).any(axis=1)
    neurons = tuple(
        _own_types(state, result)
        for state, (_, _, result) in zip(states[:-1], design.layer_types(), strict=False)
    )
    return dataclasses.replace(
        design,
        weights=tuple(weights),
        biases=tuple(biases),
        features=features.given(read) or design.features,
        neurons=neurons if any(neurons) else (),
    )


def _own_types(state: LayerState, result: FixedType) -> FeatureTypes:
    """The types of a layer's results; empty where all have the layer's."""
    if not state.lacking.any():
        return ()
    kinds = []
    for low, high in state.lacking.T.tolist():
        kinds.append(FixedType(result.width - low - high, result.integer - high, result.signed))
    return tuple(kinds)
