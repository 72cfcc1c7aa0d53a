"""An untrained network and its gradients, in the arithmetic of its fixed-point types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import Unsupported
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.layers import LEAKY_SLOPE, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.training.plan import LayerPlan, plan

Matrix = NDArray[np.float64]

_ACTIVATIONS = ("relu", "leaky_relu", "linear", "tanh", "sigmoid", "softmax")
#: Initial weights are clipped at this many standard deviations.
_REACH = 2.5
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """The forward pass of a network for some rows.

    Args:
        inputs: of each layer, (rows, n_in), on the grids of their types.
        slopes: of each layer, (rows, n_out): derivative of its output by its sum, straight through
            the rounding, 0 where the result type saturates.
        states: of each layer, (rows, n_out) int8: which linear piece each neuron is in (below its
            activation's kink, above it, or saturated).
        logits: (rows, n_out) of the network, scaled to unit size.
    """

    inputs: tuple[Matrix, ...]
    slopes: tuple[Matrix, ...]
    states: tuple[NDArray[np.int8], ...]
    logits: Matrix


class Probe:
    """An untrained chain of dense layers.

    Weights are drawn with the spread that training starts from, pruned by magnitude to the layer's
    sparsity, and rounded onto its weight type; batch normalisation is folded in from the
    statistics of ``rows``, as the hardware has it.

    Args:
        architecture: the chain.
        seed: of the weights.
        rows: standardised features, (rows, n_in).

    Raises:
        Unsupported: it is not a chain of dense layers, or the slope of an activation is unknown.
    """

    def __init__(self, architecture: Architecture, seed: Sequence[int], rows: Matrix) -> None:
        for dense in architecture.chain:
            if dense.activation not in _ACTIVATIONS:
                raise Unsupported(f"the slope of the activation {dense.activation} is unknown")
        self.architecture = architecture
        self.plans: tuple[LayerPlan, ...] = plan(architecture, "probe", 0).layers
        rng = np.random.default_rng(list(seed))
        self.raw = [_drawn(rng, layer) for layer in self.plans]
        self.weights: list[Matrix] = []
        self.biases: list[Matrix] = []
        values = self._on_input_grid(rows)
        for layer, raw in zip(self.plans, self.raw, strict=True):
            weight, bias = raw, np.zeros(layer.layer.n_out)
            if layer.normalised:
                sums = values @ raw
                factor = layer.scale / np.maximum(sums.std(axis=0), _SMALLEST)
                weight, bias = raw * factor, -sums.mean(axis=0) * factor
            self.weights.append(_rounded(weight, layer.layer.weight))
            self.biases.append(bias)
            values, _, _ = _activated(values @ self.weights[-1] + bias, layer.layer)
        #: scale of the last layer's sums in the loss
        self.unit = 1.0 / max(self.plans[-1].scale, _SMALLEST)

    def _on_input_grid(self, rows: Matrix) -> Matrix:
        kind = self.architecture.input
        counted = np.clip(np.floor(rows * 2.0**kind.fraction + 0.5), kind.lowest, kind.highest)
        return np.asarray(counted * 2.0**-kind.fraction, np.float64)

    def forward(self, rows: Matrix) -> Pass:
        """Standardised features (rows, n_in) -> all intermediate results."""
        values = self._on_input_grid(rows)
        inputs, slopes, states = [], [], []
        for layer, weight, bias in zip(self.plans, self.weights, self.biases, strict=True):
            inputs.append(values)
            values, slope, state = _activated(values @ weight + bias, layer.layer)
            slopes.append(slope)
            states.append(state)
        return Pass(tuple(inputs), tuple(slopes), tuple(states), values * self.unit)

    def backward(self, done: Pass, gradient: Matrix) -> list[Matrix]:
        """Gradient at the logits (rows, n_out) -> at the sums of each layer, then at the inputs."""
        found = []
        gradient = gradient * self.unit
        for slope, weight in zip(done.slopes[::-1], self.weights[::-1], strict=True):
            gradient = gradient * slope
            found.append(gradient)
            gradient = gradient @ weight.T
        return [*found[::-1], gradient]


def _drawn(rng: np.random.Generator, layer: LayerPlan) -> Matrix:
    """(n_in, n_out) initial weights, with the smallest pruned to 0."""
    shape = (layer.layer.n_in, layer.layer.n_out)
    weight = np.clip(rng.standard_normal(shape), -_REACH, _REACH) * layer.spread
    zeros = int(layer.layer.sparsity * weight.size)
    if zeros:
        order = np.argsort(np.abs(weight), axis=None, kind="stable")
        weight.flat[order[:zeros]] = 0.0
    return weight


def _rounded(weight: Matrix, kind: FixedType) -> Matrix:
    """The nearest values of a type, saturated, as at the start of training."""
    counted = np.clip(np.floor(weight * 2.0**kind.fraction + 0.5), kind.lowest, kind.highest)
    return np.asarray(counted * 2.0**-kind.fraction, np.float64)


def _activated(sums: Matrix, layer: Dense) -> tuple[Matrix, Matrix, NDArray[np.int8]]:
    """Sums -> values on the result type's grid, slopes, and linear pieces."""
    above = sums > 0
    values, slope = sums, np.ones_like(sums)
    state = np.zeros(sums.shape, np.int8)
    if layer.activation == "relu":
        values, slope, state = np.maximum(sums, 0.0), above.astype(np.float64), above.astype(np.int8)
    elif layer.activation == "leaky_relu":
        slope, state = np.where(above, 1.0, LEAKY_SLOPE), above.astype(np.int8)
        values = sums * slope
    elif layer.activation == "tanh":
        values = np.tanh(sums)
        slope = 1.0 - values**2
    elif layer.activation == "sigmoid":
        values = 1.0 / (1.0 + np.exp(-sums))
        slope = values * (1.0 - values)
    kind = layer.result
    if kind is not None:
        counted = values * 2.0**kind.fraction
        outside = (counted > kind.highest + 0.5) | (counted < kind.lowest - 0.5)
        slope = np.where(outside, 0.0, slope)
        state = np.where(outside, np.int8(2), state).astype(np.int8)
        values = np.asarray(kind.integers(values) * 2.0**-kind.fraction, np.float64)
    return values, slope, state
