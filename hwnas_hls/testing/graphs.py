"""Random graph networks, for tests that the hardware equals the emulator bit for bit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from hwnas_hls.network.architecture import INPUT, Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, output_fraction
from hwnas_hls.network.layers import Conv2D, Dense, Layer, Merge, Pool2D, Weighted
from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS, FixedType
from hwnas_hls.network.reuse import legal_reuse_factors

__all__ = ["random_graph"]

_Shape = tuple[int, ...]
_Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
#: Wider results are reduced: C simulation compares values that a double can represent.
_MAX_WIDTH = 22


def random_graph(
    seed: int,
    *,
    image: bool = False,
    layers: int = 6,
    strategies: Sequence[str] = ("Latency", "Resource"),
    usual: bool = False,
) -> Design:
    """A random graph with random weights, which include the extremes of every type.

    Args:
        seed: determines everything.
        image: use convolutions and poolings on an image before a dense layer; otherwise dense layers
            and merges only.
        layers: number of layers drawn; those that do not reach the output are removed.
        strategies: HLS strategies to draw from, for each layer.
        usual: whether results are rounded to nearest and saturate; otherwise modes are random.
    """
    return _Drawing(np.random.default_rng([int(image), seed]), image, layers, strategies, usual).design()


class _Drawing:
    def __init__(
        self, rng: np.random.Generator, image: bool, layers: int, strategies: Sequence[str], usual: bool
    ) -> None:
        self.rng, self.image, self.strategies, self.usual = rng, image, strategies, usual
        self.input = FixedType(int(rng.integers(4, 9)), int(rng.integers(1, 4)), bool(rng.integers(4)))
        shape: _Shape = (int(rng.choice([5, 8, 9])),)
        if image:
            shape = (int(rng.choice([1, 3, 4])), int(rng.integers(3, 6)), int(rng.integers(1, 4)))
        self.shapes: dict[int, _Shape] = {INPUT: shape}
        self.layers: list[Layer] = []
        self.weights: list[_Integers | None] = []
        self.biases: list[_Integers | None] = []
        self.flattened: set[int] = set()
        for _ in range(layers):
            self._draw()
        if image:
            self._dense(self._latest_image())
        self._dense(len(self.layers) - 1, last=True)

    def design(self) -> Design:
        """The layers drawn so far, with the last one as the output."""
        kept, layers = _reaching(self.layers)
        return Design(
            Architecture(self.input, layers, 5.0),
            tuple(self.weights[number] for number in kept),
            tuple(self.biases[number] for number in kept),
        )

    def _integers(self, kind: FixedType, shape: _Shape) -> _Integers:
        values = self.rng.integers(kind.lowest, kind.highest, shape, np.int64, endpoint=True)
        values.flat[0], values.flat[-1] = kind.lowest, kind.highest
        return values

    def _draw(self) -> None:
        rng, last = self.rng, len(self.layers) - 1
        source = int(rng.integers(max(INPUT, last - 2), last + 1))
        merges = [
            (first, second)
            for first in self.shapes
            for second in self.shapes
            if first != second and self.shapes[first][:-1] == self.shapes[second][:-1]
        ]
        if merges and rng.random() < 0.5:
            equal = [pair for pair in merges if self.shapes[pair[0]] == self.shapes[pair[1]]]
            some = equal if equal and rng.integers(3) else merges
            first, second = some[int(rng.integers(len(some)))]
            self._merge(first, second)
        elif not self.image:
            self._dense(source)
        elif rng.random() < 0.65:
            self._convolution(source)
        else:
            self._pooling(source)

    def _latest_image(self) -> int:
        return next(number for number in reversed(self.shapes) if len(self.shapes[number]) == 3)

    def _add(self, layer: Layer, shape: _Shape, *sources: int) -> None:
        weight = bias = None
        if isinstance(layer, Weighted):
            weight = self._integers(layer.weight, layer.weight_shape)
            weight[self.rng.random(weight.shape) < 0.3] = 0
            bias = None if layer.bias is None else self._integers(layer.bias, weight.shape[-1:])
        self.layers.append(layer)
        self.weights.append(weight)
        self.biases.append(bias)
        made = self.design()
        kind = made.layer_types()[-1][2]
        if kind.width > _MAX_WIDTH or self.rng.random() < 0.6:
            self.layers[-1] = dataclasses.replace(layer, result=self._result(made))
        self.shapes[len(self.layers) - 1] = shape

    def _result(self, made: Design) -> FixedType:
        """A type that the largest values overflow and that rounds the others."""
        rng, kind = self.rng, made.architecture.input
        rows = rng.integers(kind.lowest, kind.highest, (100, made.architecture.n_in), endpoint=True)
        values = np.abs(emulate(made, rows)) * 2.0 ** -output_fraction(made)
        reach = max(float(np.quantile(values, 0.9)), 2.0**-12)
        signed = made.architecture.layers[-1].activation != "relu" or bool(rng.integers(2))
        modes = str(rng.choice(ROUNDINGS)), str(rng.choice(OVERFLOWS))
        modes = ("RND", "SAT") if self.usual else modes
        return FixedType(int(rng.integers(4, 11)), math.ceil(math.log2(reach)) + signed, signed, *modes)

    def _weighted(
        self, n_in: int, n_out: int, *, depthwise: bool = False, largest: int = 1000
    ) -> dict[str, object]:
        rng = self.rng
        strategy = str(rng.choice(list(self.strategies)))
        if depthwise and strategy == "Resource":
            strategy = "Latency"
        factor = 1
        if strategy == "Resource":
            legal = [each for each in legal_reuse_factors(n_in, n_out, "Resource") if each <= largest]
            factor = legal[int(rng.integers(len(legal)))]
        elif strategy == "Latency":
            factor = int(rng.choice([1, 1, 2, 3]))
        bias = FixedType(int(rng.integers(2, 9)), int(rng.integers(0, 3))) if rng.integers(2) else None
        return {
            "activation": str(rng.choice(["relu", "leaky_relu", "linear"])),
            "weight": FixedType(int(rng.integers(2, 7)), int(rng.integers(0, 3))),
            "bias": bias,
            "reuse_factor": factor,
            "strategy": strategy,
        }

    def _dense(self, source: int, *, last: bool = False) -> None:
        shape = self.shapes[source]
        if len(shape) == 3 and source in self.flattened:
            return
        self.flattened.add(source)
        n_in, n_out = int(np.prod(shape)), int(self.rng.choice([3, 5, 5, 8]))
        settings = self._weighted(n_in, n_out) | ({"activation": "linear"} if last else {})
        self._add(Dense(n_in, n_out, inputs=(source,), **settings), (n_out,), source)  # type: ignore[arg-type]

    def _merge(self, first: int, second: int) -> None:
        rng, (a, b) = self.rng, (self.shapes[first], self.shapes[second])
        add = a == b and bool(rng.integers(4))
        layer = Merge(
            "add" if add else "concatenate",
            (int(np.prod(a)), int(np.prod(b))),
            (first, second),
            str(rng.choice(["linear", "relu", "leaky_relu"])),
            channels=(a[2], b[2]) if len(a) == 3 and not add else None,
        )
        self._add(layer, a if add else (*a[:-1], a[-1] + b[-1]), first, second)

    def _convolution(self, source: int) -> None:
        rng, (height, width, channels) = self.rng, self.shapes[source]
        kernel = (int(rng.choice([1, 3, 5])), int(rng.choice([1, 3, 5])))
        same = bool(rng.integers(3)) or kernel[0] > height or kernel[1] > width
        depthwise = bool(rng.random() < 0.3)
        filters = channels if depthwise else int(rng.integers(1, 4))
        rows = kernel[0] * kernel[1] * channels
        layer = Conv2D(
            height,
            width,
            channels,
            filters,
            *kernel,
            padding="same" if same else "valid",
            depthwise=depthwise,
            inputs=(source,),
            **self._weighted(rows, filters, depthwise=depthwise, largest=rows),  # type: ignore[arg-type]
        )
        self._add(layer, (layer.out_height, layer.out_width, filters), source)

    def _pooling(self, source: int) -> None:
        rng, (height, width, channels) = self.rng, self.shapes[source]
        window = (min(height, int(rng.choice([1, 2]))), min(width, int(rng.choice([1, 2, 2, 4]))))
        pooling = str(rng.choice(["max", "average"]))
        if pooling == "average" and (window[0] * window[1]) & (window[0] * window[1] - 1):
            pooling = "max"
        layer = Pool2D(height, width, channels, *window, pooling, inputs=(source,))
        self._add(layer, (layer.out_height, layer.out_width, channels), source)


def _reaching(layers: Sequence[Layer]) -> tuple[list[int], tuple[Layer, ...]]:
    """The layers that reach the last one: their old numbers, and the layers with new numbers."""
    wanted = {len(layers) - 1}
    for number in reversed(range(len(layers))):
        if number in wanted:
            wanted |= set(layers[number].inputs) - {INPUT}
    kept = sorted(wanted)
    places = {INPUT: INPUT} | {number: place for place, number in enumerate(kept)}
    return kept, tuple(
        dataclasses.replace(layers[number], inputs=tuple(places[source] for source in layers[number].inputs))
        for number in kept
    )
