"""The plan of training one network, computed before any tensor is created.

A layer's weights, its biases and a constant are one matrix: the biases are the last column
(its input is always 1), and in every layer but the last an extra row computes that 1 for
the next layer. One matrix product is then the whole layer, its gradient included.

Numbers are counted in least significant bits: inputs of a layer on the grid of its input
type, its sums on the grid of its *result* type (so that rounding is a plain ``floor``). All
factors between grids are powers of two and so cost no accuracy in floating point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.values.candidate import digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Supported activations, by position.
HIDDEN = ("relu", "linear")
LAST = ("relu", "linear", "softmax")


def serves(architecture: Architecture) -> bool:
    """Whether a network is a chain with supported activations; all others are trained as graphs."""
    if not architecture.is_chain:
        return False
    *hidden, last = architecture.chain
    return last.activation in LAST and all(layer.activation in HIDDEN for layer in hidden)


@dataclass(frozen=True, slots=True, eq=False)
class LayerPlan:
    """One layer as a matrix of ``rows`` x ``cols``.

    Args:
        layer: the layer of the architecture.
        last: whether it is the network's output.
        out_fraction: fractional bits of its counted sums.
        product_fraction: fractional bits of input times weight.
        scale: initial root mean square of its outputs (before the activation).
        spread: initial standard deviation of its weights, the unit of its latents.
    """

    layer: Dense
    last: bool
    out_fraction: int
    product_fraction: int
    scale: float
    spread: float

    @property
    def rows(self) -> int:
        return self.layer.n_out + (not self.last)

    @property
    def cols(self) -> int:
        return self.layer.n_in + 1

    @property
    def rectified(self) -> bool:
        return self.layer.activation == "relu"

    @property
    def normalised(self) -> bool:
        return self.layer.normalisation == "batch"

    @property
    def fast(self) -> bool:
        """Whether clamping and one ``floor`` are its exact arithmetic."""
        return self.layer.accum is None and clamps(self.layer.result)

    @property
    def dropout(self) -> float:
        return self.layer.dropout

    @property
    def limits(self) -> tuple[float, float]:
        """Range of the sums before ``floor``, activation included, of a fast layer."""
        return clamp_limits(self.layer.result, rectified=self.rectified)

    @property
    def bias_unit(self) -> float:
        return 0.5 * self.scale

    @property
    def cancelling_bias(self) -> int:
        """The bias, in least significant bits, that cancels the offset of half a bit by which its results are
        rounded: with it, a neuron adds no constant. 0 if there is no such offset or no such bias."""
        bias, result = self.layer.bias, self.layer.result
        if not self.fast or bias is None or result is None or result.rounding != "RND":
            return 0
        half = -1 << max(bias.fraction - self.out_fraction - 1, 0)
        return half if bias.fraction > self.out_fraction and bias.lowest <= half else 0

    def block(self, latent: NDArray[np.float64], *, fast: bool) -> dict[str, NDArray[np.float64]]:
        """The constants that convert latents to the operands of the layer's products.

        ``clip(floor(latent * unit + 0.5), low, high) * factor + offset``, all (rows, cols).
        ``fast`` says that sums are rounded by ``floor`` alone: half a bit is added beforehand.
        """
        layer, width = self.layer, self.layer.n_out
        shape = (self.rows, self.cols)
        unit, low, high, factor, offset = (np.zeros(shape) for _ in range(5))
        body = (slice(width), slice(layer.n_in))
        unit[body] = self.spread * 2.0**layer.weight.fraction
        low[body], high[body] = layer.weight.lowest, layer.weight.highest
        factor[body] = 2.0 ** (self.out_fraction - self.product_fraction)
        if layer.bias is not None:
            column = (slice(width), layer.n_in)
            # Folded normalisation computes its own biases.
            unit[column] = 0.0 if self.normalised else self.bias_unit * 2.0**layer.bias.fraction
            low[column], high[column] = layer.bias.lowest, layer.bias.highest
            factor[column] = 2.0 ** (self.out_fraction - layer.bias.fraction)
        if fast and layer.result is not None and layer.result.rounding == "RND":
            offset[:width, layer.n_in] = 0.5
        offset[width:, layer.n_in] = 1.0
        # A latent beyond its grid would have to return to it before its weight changed.
        with np.errstate(divide="ignore", invalid="ignore"):
            floor = np.where(unit > 0, (low - 0.49) / unit, 0.0)
            ceiling = np.where(unit > 0, (high + 0.49) / unit, 0.0)
        if self.normalised:
            floor[body], ceiling[body] = -math.inf, math.inf
        return {
            "latent": np.clip(latent, floor, ceiling),
            "unit": unit,
            "low": low,
            "high": high,
            "factor": factor,
            "offset": offset,
            "floor": floor,
            "ceiling": ceiling,
        }


class AnyLayerPlan(Protocol):
    """One layer, of a chain or of a graph."""

    @property
    def out_fraction(self) -> int: ...
    @property
    def fast(self) -> bool: ...
    @property
    def normalised(self) -> bool: ...
    @property
    def dropout(self) -> float: ...


@dataclass(frozen=True, slots=True, eq=False)
class AnyPlan:
    """One network to be trained, a chain or a graph.

    Args:
        architecture: the architecture of the network.
        layers: from input to output.
        seed: 63 bits from the run's seed and the candidate's key; independent of the rest of the batch.
        temperature: initial scale of an output's least significant bit in the loss.
    """

    architecture: Architecture
    layers: tuple[AnyLayerPlan, ...]
    seed: int
    temperature: float

    @property
    def fast(self) -> bool:
        return all(layer.fast for layer in self.layers)

    @property
    def normalised(self) -> bool:
        return any(layer.normalised for layer in self.layers)

    @property
    def dropped(self) -> bool:
        return any(layer.dropout > 0 for layer in self.layers)

    @property
    def n_features(self) -> int:
        """Number of values per row, the measure of a group's size."""
        raise NotImplementedError

    @property
    def order(self) -> tuple[object, ...]:
        """Sort key that puts networks that can share calls next to each other."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False)
class Plan(AnyPlan):
    """One chain to be trained."""

    layers: tuple[LayerPlan, ...]

    @property
    def n_features(self) -> int:
        """Activations of one row."""
        return sum(layer.rows for layer in self.layers)

    @property
    def order(self) -> tuple[object, ...]:
        """Sort key: depth, then the widths from the output."""
        widths = [layer.layer.n_in for layer in self.layers]
        return (-len(self.layers), widths[::-1], str(self.architecture.input), self.seed)

    def latents(self) -> list[NDArray[np.float64]]:
        """Initial values, one (rows, cols) array per layer, in units of ``spread``."""
        rng = np.random.default_rng(self.seed)
        out = []
        for layer in self.layers:
            latent = np.zeros((layer.rows, layer.cols))
            shape = (layer.layer.n_out, layer.layer.n_in)
            latent[: shape[0], : shape[1]] = np.clip(rng.standard_normal(shape), -2.5, 2.5)
            out.append(latent)
        return out


def plan(architecture: Architecture, key: str, seed: int, *, regression: bool = False) -> Plan:
    """Plan the training of ``architecture``; ``key`` is that of the candidate."""
    layers: list[LayerPlan] = []
    scale = 1.0  # standardised inputs
    for number, (source, layer) in enumerate(architecture.layer_inputs()):
        last = number == len(architecture.chain) - 1
        product = source.fraction + layer.weight.fraction
        sink = layer.output_type(source)
        wanted = suited_scale(layer.result)
        gain = 2.0 if layer.activation == "relu" else 1.0
        fan_in = math.sqrt(layer.n_in / gain) * scale
        spread = fitted_spread(wanted / fan_in, layer.weight)
        wanted = min(spread * fan_in, reach(layer.result))
        if layer.normalisation == "batch":
            spread = 1.0 / fan_in  # the normalisation determines the divisor
        layers.append(LayerPlan(layer, last, sink.fraction, product, wanted, spread))
        scale = wanted
    end = layers[-1]
    temperature = start_temperature(end.scale, end.layer.result, end.out_fraction, regression=regression)
    return Plan(architecture, tuple(layers), seed_of(seed, key), temperature)


def seed_of(seed: int, key: str) -> int:
    """63 bits from the run's seed and the candidate's key."""
    return int(digest([seed, key]), 16) >> 1


def start_temperature(scale: float, result: FixedType | None, fraction: int, *, regression: bool) -> float:
    """The initial scale of an output's least significant bit in the loss.

    Args:
        scale: initial root mean square of the outputs.
        result, fraction: type and fractional bits of the outputs.
    """
    # Only the order of logits matters, so a narrow output type may represent large ones. Standardised
    # targets reach about four; a type that does not gets a power of two as its unit.
    unit = 1.0 / max(scale, 1e-6)
    if regression:
        unit = 2.0 ** max(0, math.ceil(math.log2(4.0 / max(reach(result), 1e-6))))
    return unit * 2.0**-fraction


def clamps(result: FixedType | None) -> bool:
    """Whether clamping and one ``floor`` are the exact arithmetic of a result type."""
    return result is None or (result.rounding in ("TRN", "RND") and result.overflow == "SAT")


def clamp_limits(result: FixedType | None, *, rectified: bool) -> tuple[float, float]:
    """The range of sums before ``floor`` for a result type that clamps."""
    low, high = (-math.inf, math.inf) if result is None else (float(result.lowest), result.highest + 0.5)
    return (max(low, 0.0) if rectified else low), high


def reach(result: FixedType | None) -> float:
    """The largest value of a type."""
    return 2.0**30 if result is None else max(result.highest, 1) * 2.0**-result.fraction


def suited_scale(result: FixedType | None) -> float:
    """Root mean square that suits a result type: few outputs saturate, and many bits are used."""
    if result is None:
        return 1.0
    step = 2.0**-result.fraction
    return min(max(1.0, 2.0 * step), max(reach(result), step) / 2.0)


def fitted_spread(spread: float, weight: FixedType) -> float:
    """The spread nearest to the given one at which the weight type neither clips nor rounds all to zero."""
    step = 2.0**-weight.fraction
    return min(max(spread, 0.4 * step), 0.7 * max(weight.highest, 1) * step)
