"""The plan of training one graph, computed before any tensor is created.

Numbers are counted in least significant bits: a layer's sums on the grid of its *output* type, so
that rounding is a plain ``floor``. All factors between grids are powers of two and cost no accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.network.architecture import INPUT, Architecture, Conv2D, Dense, Layer, Merge, Pool2D
from hwnas_hls.network.layers import LEAKY_SLOPE
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.training.plan import (
    AnyPlan,
    clamp_limits,
    clamps,
    fitted_spread,
    reach,
    seed_of,
    start_temperature,
    suited_scale,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Supported activations, by position.
HIDDEN = ("relu", "leaky_relu", "linear")
LAST = (*HIDDEN, "softmax")


def refusal(architecture: Architecture) -> str:
    """Why ``architecture`` cannot be trained bit-exactly; empty if it can."""
    last = len(architecture.layers) - 1
    for number, layer in enumerate(architecture.layers):
        if isinstance(layer, Pool2D):
            continue
        allowed = LAST if number == last else HIDDEN
        if layer.activation not in allowed:
            return (
                f"layer {number}: {layer.activation} goes through a table in hls4ml and is not trained "
                f"bit-exactly here; {', '.join(allowed)} are"
            )
        if isinstance(layer, Merge):
            continue
        if not 0 <= layer.sparsity < 1 or not 0 <= layer.dropout < 1:
            return f"layer {number}: sparsity and dropout lie in [0, 1)"
    return ""


@dataclass(frozen=True, slots=True, eq=False)
class NodePlan:
    """One layer of a graph.

    Args:
        layer: the layer of the architecture.
        sources: numbers of the layers that are its inputs, or ``INPUT``.
        given: output types of the sources.
        kind: its own output type.
        depth: the longest path from the input, 0 for a layer that reads only the input.
        scale: initial root mean square of its outputs.
        spread: initial standard deviation of its weights, the unit of its latents.
    """

    layer: Layer
    sources: tuple[int, ...]
    given: tuple[FixedType, ...]
    kind: FixedType
    depth: int
    scale: float
    spread: float

    @property
    def out_fraction(self) -> int:
        return self.kind.fraction

    @property
    def product_fraction(self) -> int:
        """Fractional bits of the products of a layer with weights."""
        weight = self.weighted.weight
        return self.given[0].fraction + weight.fraction

    @property
    def weighted(self) -> Dense | Conv2D:
        if isinstance(self.layer, Dense | Conv2D):
            return self.layer
        raise TypeError(f"a {self.layer.kind} layer has no weights")

    @property
    def has_weights(self) -> bool:
        return isinstance(self.layer, Dense | Conv2D)

    @property
    def matrix(self) -> tuple[int, int]:
        """Its weights as a matrix: (outputs of one position, products of one output)."""
        shape = self.weighted.weight_shape
        return shape[-1], math.prod(shape[:-1])

    @property
    def positions(self) -> int:
        """The number of positions to which the matrix is applied."""
        return self.layer.n_out // self.matrix[0]

    @property
    def activation(self) -> str:
        return "linear" if isinstance(self.layer, Pool2D) else self.layer.activation

    @property
    def slope(self) -> float:
        """The slope of the activation below zero; 1 for ``relu``, whose limits do the rest."""
        return LEAKY_SLOPE if self.activation == "leaky_relu" else 1.0

    @property
    def normalised(self) -> bool:
        return self.has_weights and self.weighted.normalisation == "batch"

    @property
    def accum(self) -> FixedType | None:
        return self.weighted.accum if self.has_weights else None

    @property
    def result(self) -> FixedType | None:
        """The type that outputs are rounded to; ``None`` if no bit is lost."""
        return self.layer.result

    @property
    def dropout(self) -> float:
        return self.weighted.dropout if self.has_weights else 0.0

    @property
    def sparsity(self) -> float:
        return self.weighted.sparsity if self.has_weights else 0.0

    @property
    def fast(self) -> bool:
        """Whether clamping and one ``floor`` are its exact arithmetic."""
        return self.accum is None and clamps(self.result)

    @property
    def limits(self) -> tuple[float, float]:
        """The range of the sums before ``floor``, for a fast layer."""
        return clamp_limits(self.result, rectified=self.activation == "relu")

    @property
    def offset(self) -> float:
        """The offset that makes ``floor`` its rounding."""
        return 0.5 if self.result is not None and self.result.rounding == "RND" else 0.0

    def constants(self) -> dict[str, NDArray[np.float64]]:
        """The constants that convert latents to operands of the products, weights first, then biases.

        ``clip(floor(latent * unit + 0.5), low, high) * factor``; latents stay in [floor, ceiling].
        """
        layer, (rows, cols) = self.weighted, self.matrix
        sizes, bias = (rows * cols, rows), layer.bias

        def both(weight: float, of_bias: float) -> NDArray[np.float64]:
            return np.repeat([weight, of_bias], sizes)

        fraction = 0 if bias is None else bias.fraction
        bias_unit = 0.0 if bias is None or self.normalised else 0.5 * self.scale * 2.0**fraction
        unit = both(self.spread * 2.0**layer.weight.fraction, bias_unit)
        low = both(layer.weight.lowest, 0.0 if bias is None else bias.lowest)
        high = both(layer.weight.highest, 0.0 if bias is None else bias.highest)
        factor = both(
            2.0 ** (self.out_fraction - self.product_fraction),
            0.0 if bias is None else 2.0 ** (self.out_fraction - fraction),
        )
        # A latent beyond its grid would have to return to it before its weight changed.
        with np.errstate(divide="ignore", invalid="ignore"):
            floor = np.where(unit > 0, (low - 0.49) / unit, 0.0)
            ceiling = np.where(unit > 0, (high + 0.49) / unit, 0.0)
        if self.normalised:
            floor[: rows * cols], ceiling[: rows * cols] = -math.inf, math.inf
        return {"unit": unit, "low": low, "high": high, "factor": factor, "floor": floor, "ceiling": ceiling}


@dataclass(frozen=True, slots=True, eq=False)
class GraphPlan(AnyPlan):
    """One graph to be trained."""

    layers: tuple[NodePlan, ...]

    @property
    def n_features(self) -> int:
        """The activations per row, and the windows of its convolutions with their gradients."""
        windows = sum(
            layer.positions * layer.layer.kernel_height * layer.layer.kernel_width * layer.layer.in_channels
            for layer in self.layers
            if isinstance(layer.layer, Conv2D)
        )
        return sum(layer.layer.n_out for layer in self.layers) + 2 * windows

    @property
    def order(self) -> tuple[object, ...]:
        """Sort key that puts graphs of similar depth next to each other."""
        depth = max(layer.depth for layer in self.layers)
        widths = [layer.layer.n_out for layer in self.layers]
        return (-depth, widths[::-1], str(self.architecture.input), self.seed)

    def latents(self) -> list[NDArray[np.float64]]:
        """Initial weights, one (rows, cols) array per layer with weights, in units of ``spread``."""
        rng = np.random.default_rng(self.seed)
        return [
            np.clip(rng.standard_normal(layer.matrix), -2.5, 2.5)
            for layer in self.layers
            if layer.has_weights
        ]


def graph_plan(architecture: Architecture, key: str, seed: int, *, regression: bool = False) -> GraphPlan:
    """Plan the training of ``architecture``; ``key`` names the candidate."""
    types = architecture.output_types()
    layers: list[NodePlan] = []
    for number, layer in enumerate(architecture.layers):
        sources = architecture.sources(number)
        given = tuple(architecture.input if source == INPUT else types[source] for source in sources)
        depth = max((layers[source].depth + 1 for source in sources if source != INPUT), default=0)
        # Standardised inputs have a root mean square of 1.
        scales = [1.0 if source == INPUT else layers[source].scale for source in sources]
        scale, spread = _start(layer, scales, types[number])
        layers.append(NodePlan(layer, sources, given, types[number], depth, scale, spread))
    last = layers[-1]
    temperature = start_temperature(last.scale, last.result, last.out_fraction, regression=regression)
    return GraphPlan(architecture, tuple(layers), seed_of(seed, key), temperature)


def _start(layer: Layer, scales: Sequence[float], kind: FixedType) -> tuple[float, float]:
    """(root mean square of the outputs, spread of the weights) at the start of the training."""
    if isinstance(layer, Pool2D):
        return scales[0], 0.0
    halved = 2.0 if layer.activation in ("relu", "leaky_relu") else 1.0
    if isinstance(layer, Merge):
        shares = [1.0, 1.0]
        if layer.merge == "concatenate":
            shares = [width / layer.n_out for width in layer.input_widths]
        square = sum(share * scale**2 for share, scale in zip(shares, scales, strict=True))
        return min(math.sqrt(square / halved), reach(layer.result)), 0.0
    wanted = suited_scale(layer.result)
    fan_in = math.sqrt(math.prod(layer.weight_shape[:-1]) / halved) * scales[0]
    spread = fitted_spread(wanted / fan_in, layer.weight)
    scale = min(spread * fan_in, reach(layer.result))
    # The normalisation determines the divisor of normalised weights.
    return scale, 1.0 / fan_in if layer.normalisation == "batch" else spread
