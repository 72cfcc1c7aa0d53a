"""The slice of the supernet of each network, and the constants of its types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.architecture import Architecture
from hwnas_hls_plugins.estimators.training.plan import LayerPlan, Plan, plan

#: For a layer without a result type: a very fine grid without bounds.
_EXACT_STEPS = 2.0**16
_UNBOUNDED = 2.0**60


@dataclass(frozen=True, slots=True)
class Layout:
    """The size of a supernet.

    Args:
        n_in, n_out: inputs and outputs of every network.
        widths: largest width of each hidden layer, from the input.
    """

    n_in: int
    n_out: int
    widths: tuple[int, ...]

    @classmethod
    def of(cls, architectures: Sequence[Architecture]) -> Layout:
        """The smallest layout for all these chains."""
        depth = max(len(architecture.chain) for architecture in architectures) - 1
        widths = [
            max(a.chain[number].n_out for a in architectures if len(a.chain) > number + 1)
            for number in range(depth)
        ]
        first = architectures[0]
        return cls(first.n_in, first.n_out, tuple(widths))

    def holds(self, architecture: Architecture) -> bool:
        hidden = [layer.n_out for layer in architecture.chain[:-1]]
        ends = (architecture.n_in, architecture.n_out) == (self.n_in, self.n_out)
        fits = all(width <= most for width, most in zip(hidden, self.widths, strict=False))
        return ends and len(hidden) <= len(self.widths) and fits


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """One layer of several networks: their shapes and types as numbers, each array (networks,).

    Args:
        n_in, n_out: the slice.
        unit: a latent of 1 in least significant bits of the weight.
        low, high, bit: of the weights' type: smallest and largest in bits, and a bit's worth.
        bias_unit, bias_low, bias_high, bias_bit: the same of the biases; all 0 without any.
        steps, least, most, half: of the result: bits in one unit, smallest (0 under a ReLU) and
            largest in bits, and what is added before rounding down.
        normalised: 1 if weights are normalised per neuron, like batch normalisation.
        zeros: share of the weights that are pruned.
    """

    n_in: NDArray[np.float64]
    n_out: NDArray[np.float64]
    unit: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    bit: NDArray[np.float64]
    bias_unit: NDArray[np.float64]
    bias_low: NDArray[np.float64]
    bias_high: NDArray[np.float64]
    bias_bit: NDArray[np.float64]
    steps: NDArray[np.float64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]
    half: NDArray[np.float64]
    normalised: NDArray[np.float64]
    zeros: NDArray[np.float64]

    @classmethod
    def of(cls, layers: Sequence[LayerPlan]) -> Slices:
        rows = [_constants(layer) for layer in layers]
        return cls(**{field.name: np.array([row[field.name] for row in rows]) for field in fields(cls)})


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """Several networks as slices of one supernet, the deepest first.

    Args:
        order: original index of each network.
        depths: number of hidden layers of each network.
        layers: per hidden layer, the networks that have it.
        heads: the output layers.
        input_steps, input_least, input_most: of the inputs' types, (networks,).
        temperature: scale of a network's outputs in the loss, (networks,).
    """

    order: NDArray[np.int64]
    depths: NDArray[np.int64]
    layers: tuple[Slices, ...]
    heads: Slices
    input_steps: NDArray[np.float64]
    input_least: NDArray[np.float64]
    input_most: NDArray[np.float64]
    temperature: NDArray[np.float64]

    @classmethod
    def of(cls, plans: Sequence[Plan]) -> Paths:
        depths = np.array([len(item.layers) - 1 for item in plans])
        order = np.argsort(-depths, kind="stable")
        ordered = [plans[place] for place in order]
        layers = tuple(
            Slices.of([item.layers[number] for item in ordered if len(item.layers) - 1 > number])
            for number in range(int(depths.max()))
        )
        kinds = [item.architecture.input for item in ordered]
        return cls(
            order,
            depths[order],
            layers,
            Slices.of([item.layers[-1] for item in ordered]),
            np.array([2.0**kind.fraction for kind in kinds]),
            np.array([float(kind.lowest) for kind in kinds]),
            np.array([float(kind.highest) for kind in kinds]),
            np.array([item.temperature * 2.0 ** item.layers[-1].out_fraction for item in ordered]),
        )


def planned(architecture: Architecture, *, regression: bool) -> Plan:
    """The initial scales of a network; they depend only on its shape and types."""
    return plan(architecture, "supernet", 0, regression=regression)


def _constants(layer: LayerPlan) -> dict[str, float]:
    dense = layer.layer
    weight, bias, result = dense.weight, dense.bias, dense.result
    spread = layer.spread * (layer.scale if layer.normalised else 1.0)
    steps, least, most, half = _EXACT_STEPS, -_UNBOUNDED, _UNBOUNDED, 0.5
    if result is not None:
        steps, least, most = 2.0**result.fraction, float(result.lowest), float(result.highest)
        half = 0.0 if result.rounding in ("TRN", "TRN_ZERO") else 0.5
    return {
        "n_in": dense.n_in,
        "n_out": dense.n_out,
        "unit": spread * 2.0**weight.fraction,
        "low": weight.lowest,
        "high": weight.highest,
        "bit": 2.0**-weight.fraction,
        "bias_unit": 0.0 if bias is None else 0.5 * layer.scale * 2.0**bias.fraction,
        "bias_low": 0.0 if bias is None else bias.lowest,
        "bias_high": 0.0 if bias is None else bias.highest,
        "bias_bit": 0.0 if bias is None else 2.0**-bias.fraction,
        "steps": steps,
        "least": max(least, 0.0) if dense.activation == "relu" else least,
        "most": most,
        "half": half,
        "normalised": float(layer.normalised),
        "zeros": dense.sparsity,
    }
