"""The knobs of layers in all spaces, and the layers built from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hwnas_hls.network.architecture import Dense
from hwnas_hls.network.limits import UNROLL_LIMIT
from hwnas_hls.network.precision import FixedType, shared_type
from hwnas_hls.network.reuse import legal_reuse_factors, nearest_legal
from hwnas_hls.protocols.knob import Knob
from hwnas_hls.values.candidate import Value
from hwnas_hls_plugins.spaces.knob_families import Condition, KnobTable
from hwnas_hls_plugins.spaces.layer_settings import HARD_TANH, LayerSettings

#: Default shares of zeros.
SPARSITIES = (0.0, 0.25, 0.5, 0.75)
#: Tag of the output layer's knobs.
OUTPUT = "out"
#: Additional fractional bits of a bias compared with the weights, up to those of the products.
BIAS_EXTRA_BITS = 4
#: Integer bits of the output layer's bias, including the sign; logits of trained networks are well within.
OUTPUT_BIAS_INTEGER = 4


class LayerTable(KnobTable):
    """A table with the knobs of layers with weights.

    Args:
        config: settings of the space.
        strategies: HLS strategies, at least one.
    """

    def __init__(self, config: LayerSettings, strategies: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.sparsities = config.sparsities or SPARSITIES
        self.strategies = tuple(strategies)

    def hardware(
        self, tag: int | str, exists: Condition, strategies: Sequence[str] | None = None
    ) -> Iterator[Knob]:
        """Precision of the weights, HLS strategy, reuse factor and sparsity of the layer ``tag``.

        Args:
            strategies: to choose from, where not all of the table.
        """
        config, strategies = self.config, tuple(strategies or self.strategies)
        yield from self.knob("weight_bits", config.weight_bits, "width of a layer's weights", exists, tag)
        yield from self.knob(
            "weight_integer",
            config.weight_integer_bits,
            "integer bits of a layer's weights, including the sign",
            exists,
            tag,
        )
        yield from self.knob("strategy", strategies, "hls4ml strategy of a layer", exists, tag, ordered=False)
        unrolled = tuple(strategy for strategy in strategies if strategy != "Resource")
        if "Resource" in strategies:
            yield from self.knob(
                "reuse_factor",
                config.reuse_factors,
                "requested reuse factor of a layer; the nearest legal one above 1 is built",
                (f"strategy_{tag}", ("Resource",)) if unrolled else exists,
                tag,
            )
        if unrolled:
            yield from self.knob(
                "sparsity",
                self.sparsities,
                "share of a layer's weights pruned to zero",
                (f"strategy_{tag}", unrolled) if len(unrolled) < len(strategies) else exists,
                tag,
            )

    def results(self, tag: int | str, exists: Condition, what: str = "a hidden layer") -> Iterator[Knob]:
        """Precision of the output of the layer ``tag``."""
        config = self.config
        yield from self.knob(
            "activation_bits", config.activation_bits, f"width of {what}'s result", exists, tag
        )
        yield from self.knob(
            "activation_integer",
            config.activation_integer_bits,
            f"integer bits of {what}'s result, without the sign",
            exists,
            tag,
        )

    # Types

    def weight_type(self, values: Mapping[str, Value], tag: str) -> FixedType:
        return shared_type(self.value(values, "weight_bits", tag), self.value(values, "weight_integer", tag))

    def result_type(self, values: Mapping[str, Value], tag: str, activation: str) -> FixedType:
        """The result type of an activation: unsigned after a ReLU, from -1 to 1 for :data:`HARD_TANH`."""
        signed = activation != "relu"
        integer = self.value(values, "activation_integer", tag) + signed
        modes = (self.config.result_rounding, self.config.result_overflow)
        if activation == HARD_TANH:
            integer, modes = 1, (modes[0], "SAT")
        return shared_type(self.value(values, "activation_bits", tag), integer, signed, *modes)

    # Layers

    def shared(self, values: Mapping[str, Value], tag: str) -> bool:
        """Whether the layer ``tag`` shares multipliers."""
        return bool(self.value(values, "strategy", tag) == "Resource")

    def dense(self, values: Mapping[str, Value], tag: str, wanted: DenseProperties) -> Dense:
        """The dense layer ``tag``."""
        weight, strategy = self.weight_type(values, tag), self.value(values, "strategy", tag)
        bias = None
        if wanted.use_bias or wanted.normalisation == "batch":
            bias = bias_type(wanted.n_in, wanted.source, weight, wanted.result)
        factor, sparsity = 1, wanted.sparsity
        if strategy == "Resource":
            factor = built_factor(wanted.n_in, wanted.n_out, self.value(values, "reuse_factor", tag))
            sparsity = 0.0
        elif sparsity is None:
            sparsity = self.value(values, "sparsity", tag)
        return Dense(
            wanted.n_in,
            wanted.n_out,
            "linear" if wanted.activation == HARD_TANH else wanted.activation,
            weight,
            bias,
            result=wanted.result,
            reuse_factor=factor,
            strategy=strategy,
            normalisation=wanted.normalisation,
            dropout=wanted.dropout,
            sparsity=sparsity,
        )

    def repair_layer(
        self,
        values: dict[str, Value],
        tag: str,
        shapes: Sequence[tuple[int, int]],
        activation: str | None = None,
    ) -> None:
        """Avoid negative fractional bits, and give equal reuse factors the same value.

        Args:
            shapes: (n_in, n_out) of every layer with these settings.
            activation: activation of a layer with a result type, else ``None``.
        """
        self.shorten(values, "weight_integer", self.value(values, "weight_bits", tag), tag)
        if activation is not None:
            self.repair_result(values, tag, activation)
        reuse = f"reuse_factor_{tag}"
        if reuse in self.knobs and self.shared(values, tag):
            values[reuse] = self._spelling(shapes, values.get(reuse, self.knobs[reuse].choices[0]))

    def repair_result(self, values: dict[str, Value], tag: str, activation: str) -> None:
        """Avoid negative fractional bits of a result."""
        if activation == HARD_TANH:
            self.first(values, "activation_integer", tag)
            return
        bits = self.value(values, "activation_bits", tag) - (activation != "relu")
        self.shorten(values, "activation_integer", bits, tag)

    def _spelling(self, shapes: Sequence[tuple[int, int]], wanted: Any) -> int:
        """The smallest choice that hls4ml builds in the same way as ``wanted``.

        A factor that still unrolls too many products is raised to the first one that does not.
        """
        levels = sorted(self.config.reuse_factors)
        built = {level: [built_factor(*shape, level) for shape in shapes] for level in levels}
        small = [
            level
            for level, factors in built.items()
            if all(
                math.ceil(n_in * n_out / factor) <= UNROLL_LIMIT
                for (n_in, n_out), factor in zip(shapes, factors, strict=True)
            )
        ]
        if wanted not in small:
            wanted = next((level for level in small if level > wanted), levels[-1])
        return next(level for level, factors in built.items() if factors == built[wanted])


class DenseProperties(NamedTuple):
    """The properties of a dense layer that its knobs do not determine.

    Args:
        n_in, n_out: its widths.
        source: type of its inputs.
        activation: an activation of hls4ml, or :data:`HARD_TANH`.
        result: type of its outputs; ``None`` keeps the exact sums.
        use_bias: whether it has biases; normalisation always adds them.
        normalisation, dropout: as in :class:`~hwnas_hls.network.architecture.Dense`.
        sparsity: likewise, of a layer with multipliers of its own; ``None`` takes the knob's.
    """

    n_in: int
    n_out: int
    source: FixedType
    activation: str
    result: FixedType | None
    use_bias: bool = True
    normalisation: str = "none"
    dropout: float = 0.0
    sparsity: float | None = None


def built_factor(n_in: int, n_out: int, wanted: int) -> int:
    """The reuse factor that hls4ml builds for ``wanted``, but not 1, which shares nothing."""
    legal = nearest_legal(n_in, n_out, "Resource", wanted)
    if legal > 1 or n_in * n_out == 1:
        return legal
    return legal_reuse_factors(n_in, n_out, "Resource")[1]


def bias_type(products: int, source: FixedType, weight: FixedType, result: FixedType | None) -> FixedType:
    """A bias type that does not widen the exact accumulator.

    Its grid is not finer than that of the products. Its range is twice that of the result, beyond
    which a neuron is constant, but at most that of the weighted sum.

    Args:
        products: number of products per output.
    """
    fraction = weight.width - weight.integer + min(source.width - source.integer, BIAS_EXTRA_BITS)
    total = source.integer + weight.integer + (products - 1).bit_length()
    reach = OUTPUT_BIAS_INTEGER if result is None else result.integer + (not result.signed) + 1
    integer = max(1, min(total, reach))
    return shared_type(max(integer + fraction, 2), integer)
