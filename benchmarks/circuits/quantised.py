"""A network of dense layers with a type for every single number: what HGQ trains, as integers.

Its emulation in NumPy is exact: every value is a dyadic number of far fewer than 53 bits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Kind:
    """Types of a vector: ``sign + integer + fraction`` bits each; no bits means the value is 0.

    Args:
        sign, integer, fraction: int64 (n,); integer bits without the sign, fractions may be negative.
    """

    sign: Integers
    integer: Integers
    fraction: Integers

    @property
    def bits(self) -> Integers:
        return np.maximum(0, self.sign + self.integer + self.fraction)

    def round(self, x: NDArray[np.float64], *, saturate: bool) -> NDArray[np.float64]:
        """Round half up, then saturate or wrap."""
        step = 2.0**-self.fraction
        grid = np.floor(x / step + 0.5)
        low = -self.sign * 2.0 ** (self.integer + self.fraction)
        high = 2.0 ** (self.integer + self.fraction) - 1
        grid = np.clip(grid, low, high) if saturate else np.mod(grid - low, high - low + 1) + low
        return np.where(self.bits > 0, grid * step, 0.0)


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """``relu(inputs @ weights + bias)``, without relu in the last layer.

    Args:
        inputs: types that the layer rounds its inputs to.
        weights: int64 (n_in, n_out) in units of ``2**-weight_fraction``.
        bias: int64 (n_out,) in units of ``2**-bias_fraction``.
    """

    inputs: Kind
    weights: Integers
    weight_fraction: int
    bias: Integers
    bias_fraction: int

    @property
    def matrix(self) -> NDArray[np.float64]:
        return self.weights * 2.0**-self.weight_fraction

    @property
    def offset(self) -> NDArray[np.float64]:
        return self.bias * 2.0**-self.bias_fraction


@dataclass(frozen=True, eq=False)
class QuantisedNetwork:
    """Dense layers; the host rounds and saturates the inputs, everything behind them is the circuit."""

    layers: tuple[DenseLayer, ...]

    def grid_inputs(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardised features (rows, n_in) as they enter the circuit."""
        return self.layers[0].inputs.round(x, saturate=True)

    def outputs(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Exact outputs (rows, n_out) for standardised features."""
        values = self.grid_inputs(x)
        for number, layer in enumerate(self.layers):
            if number:
                values = layer.inputs.round(np.maximum(values, 0.0), saturate=False)
            values = values @ layer.matrix + layer.offset
        return values

    def live(self) -> list[NDArray[np.bool_]]:
        """Of each layer, which inputs have bits and reach an output of the network."""
        wanted = np.ones(self.layers[-1].weights.shape[1], bool)
        found = []
        for layer in reversed(self.layers):
            wanted = (layer.inputs.bits > 0) & (layer.weights[:, wanted] != 0).any(axis=1)
            found.append(wanted)
        return found[::-1]

    def facts(self) -> dict[str, Any]:
        """Where its bits are: live inputs and neurons, their bits, connections between them."""
        live = self.live()
        ends = [*live[1:], np.ones(self.layers[-1].weights.shape[1], bool)]
        parts = [
            layer.weights[start][:, end] for layer, start, end in zip(self.layers, live, ends, strict=True)
        ]
        digits = [int(signed_digits(part).sum()) for part in parts]
        connections = [int((part != 0).sum()) for part in parts]
        return {
            "live": [int(part.sum()) for part in live],
            "bits": [
                np.bincount(layer.inputs.bits[part], minlength=1)[1:].tolist()
                for layer, part in zip(self.layers, live, strict=True)
            ],
            "connections": connections,
            "digits": digits,
        }

    def save(self, path: Path) -> None:
        layers = []
        for layer in self.layers:
            kind = layer.inputs
            layers.append(
                {
                    "inputs": [kind.sign.tolist(), kind.integer.tolist(), kind.fraction.tolist()],
                    "weights": layer.weights.tolist(),
                    "weight_fraction": layer.weight_fraction,
                    "bias": layer.bias.tolist(),
                    "bias_fraction": layer.bias_fraction,
                }
            )
        path.write_text(json.dumps({"layers": layers}, separators=(",", ":")) + "\n")

    @classmethod
    def load(cls, path: Path) -> QuantisedNetwork:
        return cls(tuple(_layer(item) for item in json.loads(path.read_text())["layers"]))


def _layer(item: dict[str, Any]) -> DenseLayer:
    kind = Kind(*(np.array(values, np.int64) for values in item["inputs"]))
    weights, bias = (np.array(item[name], np.int64) for name in ("weights", "bias"))
    return DenseLayer(kind, weights, item["weight_fraction"], bias, item["bias_fraction"])


def signed_digits(weights: Integers) -> Integers:
    """Non-zero digits of each integer's canonical signed form: its adders, and one."""
    rest = np.abs(weights)
    count = np.zeros_like(rest)
    while rest.any():
        odd = rest & 1 == 1
        count += odd
        # ...011 is 4 - 1: the digit is -1 where the next bit is set, too.
        rest = np.where(odd, np.where(rest & 3 == 3, rest + 1, rest - 1), rest) >> 1
    return count


def on_grid(values: NDArray[np.floating[Any]]) -> tuple[Integers, int]:
    """Dyadic numbers as integers and the fraction bits of their common unit."""
    exact = np.asarray(values, np.float64)
    for fraction in range(-24, 49):
        scaled = exact * 2.0**fraction
        if np.array_equal(scaled, np.rint(scaled)):
            return scaled.astype(np.int64), fraction
    raise ValueError("a number is no multiple of 2**-48")


def holding(values: NDArray[np.float64], fraction: Integers, most: int = 23) -> Kind:
    """The smallest types with the given fractions that hold all rows of ``values`` (rows, n)."""
    step = 2.0**-fraction
    grid = np.floor(values / step + 0.5)
    high, low = grid.max(axis=0), grid.min(axis=0)
    positive = np.ceil(np.log2(np.maximum(high, 0) + 1))
    negative = np.where(low < 0, np.ceil(np.log2(np.maximum(-low, 1))), 0)
    width = np.maximum(positive, negative).astype(np.int64)
    dead = (high <= 0) & (low >= 0)
    integer = np.minimum(width - fraction, most)
    sign = (low < 0).astype(np.int64)
    return Kind(np.where(dead, 0, sign), np.where(dead, -fraction, integer), fraction)


def score(outputs: NDArray[np.float64], y: NDArray[Any], classes: int) -> float:
    """Accuracy, or r2 where there are no classes (targets standardised as the outputs are)."""
    if classes:
        return float(np.mean(outputs.argmax(axis=1) == y))
    rest = float(((outputs[:, 0] - y) ** 2).sum())
    return 1.0 - rest / float(((y - y.mean()) ** 2).sum())


def non_dominated(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of (score, cost) pairs that no other beats in both, cheapest first."""
    order = sorted(range(len(points)), key=lambda place: (points[place][1], -points[place][0]))
    kept, best = [], -np.inf
    for place in order:
        if points[place][0] > best:
            kept.append(place)
            best = points[place][0]
    return kept
