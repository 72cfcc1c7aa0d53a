"""Features of a network for predicting its accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.layers import Conv2D, Dense, Layer, Pool2D

#: The names of the features, in order.
NAMES = (
    "layers",
    "log_products",
    "log_weights",
    "log_bit_operations",
    "narrowest",
    "mean_width",
    "widest",
    "least_weight_bits",
    "mean_weight_bits",
    "first_weight_bits",
    "last_weight_bits",
    "mean_weight_integer",
    "least_result_bits",
    "mean_result_bits",
    "mean_result_integer",
    "least_state_bits",
    "mean_state_bits",
    "input_bits",
    "input_integer",
    "mean_sparsity",
    "largest_sparsity",
    "normalised",
    "biased",
    "linear",
    "dropout",
)
#: Used as the width of a result without a type.
_EXACT_BITS = 16.0


def describe(architecture: Architecture) -> NDArray[np.float64]:
    """float64 (len(NAMES),): size, widths and precisions of a network of any kinds of layers."""
    weighted = [layer for layer in architecture.layers if isinstance(layer, Dense | Conv2D)]
    hidden = architecture.layers[:-1]
    products = [max(1.0, float(layer.n_products)) for layer in weighted]
    kept = [count * (1 - layer.sparsity) for count, layer in zip(products, weighted, strict=True)]
    bits = [float(layer.weight.width) for layer in weighted]
    results = [_bits(layer) for layer in hidden]
    # Capacity of a layer: neurons times bits.
    states = [math.log2(layer.n_out * _bits(layer)) for layer in hidden]
    widths = [math.log2(layer.n_out) for layer in hidden]
    values = (
        float(len(architecture.layers)),
        math.log(sum(products)),
        math.log(max(1.0, sum(kept))),
        math.log(max(1.0, sum(k * b for k, b in zip(kept, bits, strict=True)))),
        min(widths, default=math.log2(architecture.n_out)),
        _mean(widths),
        max(widths, default=math.log2(architecture.n_out)),
        min(bits, default=0.0),
        _mean(bits),
        bits[0] if bits else 0.0,
        bits[-1] if bits else 0.0,
        _mean([float(layer.weight.integer) for layer in weighted]),
        min(results, default=_EXACT_BITS),
        _mean(results, _EXACT_BITS),
        _mean([float(layer.result.integer) for layer in hidden if layer.result is not None]),
        min(states, default=math.log2(architecture.n_in * architecture.input.width)),
        _mean(states),
        float(architecture.input.width),
        float(architecture.input.integer),
        _mean([layer.sparsity for layer in weighted]),
        max((layer.sparsity for layer in weighted), default=0.0),
        _mean([float(layer.normalisation == "batch") for layer in weighted[:-1]]),
        _mean([float(layer.bias is not None) for layer in weighted]),
        _mean([float(layer.activation == "linear" and not isinstance(layer, Pool2D)) for layer in hidden]),
        _mean([layer.dropout for layer in weighted]),
    )
    return np.array(values)


def _bits(layer: Layer) -> float:
    return _EXACT_BITS if layer.result is None else float(layer.result.width)


def _mean(values: Sequence[float], empty: float = 0.0) -> float:
    return sum(values) / len(values) if values else empty
