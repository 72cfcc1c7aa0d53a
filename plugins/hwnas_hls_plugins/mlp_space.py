"""The space of multilayer perceptrons as hls4ml builds them: shape, precision and HLS settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwnas_hls.architecture import Architecture, Dense
from hwnas_hls.candidate import Candidate, Value
from hwnas_hls.errors import UserError
from hwnas_hls.knob import Knob
from hwnas_hls.precision import FixedType
from hwnas_hls.reuse import legal_reuse_factors, nearest_legal
from hwnas_hls.space import KnobSpace
from hwnas_hls_plugins.mlp_config import MlpConfig, default_strategies
from hwnas_hls_plugins.mlp_table import OUTPUT, MlpTable

if TYPE_CHECKING:
    import numpy as np

    from hwnas_hls.task import Dataset

#: An unrolled layer has fewer products than this (hls4ml issues 572, 903 and 904).
UNROLL_LIMIT = 4096
#: A bias has this many fractional bits more than the weights, if the products have them.
_BIAS_EXTRA_BITS = 4
#: Integer bits of an output layer's bias, sign included: logits of trained nets stay well within.
_OUTPUT_BIAS_INTEGER = 4


class MlpSpace(KnobSpace):
    """Multilayer perceptrons: depth, widths, activation, bias, normalisation, input precision and
    clock; and of each layer the precision, HLS strategy, reuse factor and sparsity.

    Args:
        config: what may be built.
        task: gives the number of inputs and outputs.
        synthesizer: of the run; what it measures is searched where the config names no strategies.

    Raises:
        UserError: a layer is too large to be unrolled whatever the widths, and ``Resource``
            is not among the strategies.
    """

    name = "mlp"
    Config = MlpConfig

    def __init__(self, config: MlpConfig, task: Dataset, synthesizer: object = None) -> None:
        self.config = config
        self.n_in, self.n_out = task.n_in, task.n_out
        self.strategies = config.strategies or default_strategies(synthesizer)
        self._table = MlpTable(config, self.strategies)
        self._knobs = self._table.knobs
        self._of = self._table.value
        self.knobs: Sequence[Knob] = tuple(self._knobs.values())
        self._refuse_unbuildable()

    def sample(self, rng: np.random.Generator) -> Candidate:
        """A share of the networks (``uniform_samples``) have layers that agree, the others not.

        Drawn layer by layer alone, hardly any network would be unrolled throughout or of low
        precision throughout, and those are the ones that fit into a microsecond.
        """
        values = {knob.name: knob.draw(rng) for knob in self.knobs}
        if rng.random() < self.config.uniform_samples:
            shared: dict[str, Value] = {}
            for name in values:
                family, _, tag = name.rpartition("_")
                if tag.isdigit() or tag == OUTPUT:
                    values[name] = shared.setdefault(family, values[name])
        return self.candidate(values)

    def architecture(self, candidate: Candidate) -> Architecture:
        values = candidate.values
        inputs = FixedType(self._of(values, "input_bits"), self._of(values, "input_integer"))
        source = inputs
        layers = []
        for tag, n_in, n_out in self._shapes(values):
            layers.append(self._layer(values, tag, n_in, n_out, source))
            source = layers[-1].output_type(source)
        # Where the clock is not searched, it is the run's and no business of the candidate.
        clock_ns = float(self._of(values, "clock_ns")) if self.config.clock_periods_ns else None
        return Architecture(inputs, tuple(layers), clock_ns)

    def repair(self, values: dict[str, Value]) -> dict[str, Value]:
        """Keep fractions from going negative and unrolled layers small enough; spell reuse factors
        that hls4ml would build alike in one way."""
        self._shorten(values, "input_integer", self._of(values, "input_bits"))
        self._limit_unrolling(values)
        for tag, n_in, n_out in self._shapes(values):
            self._shorten(values, f"weight_integer_{tag}", self._of(values, "weight_bits", tag))
            if tag != OUTPUT:
                bits = self._of(values, "activation_bits", tag) - self._signed(values)
                self._shorten(values, f"activation_integer_{tag}", bits)
            reuse = f"reuse_factor_{tag}"
            if reuse in self._knobs and self._of(values, "strategy", tag) == "Resource":
                values[reuse] = self._spelling(n_in, n_out, values.get(reuse, self._knobs[reuse].choices[0]))
        return values

    def _refuse_unbuildable(self) -> None:
        if "Resource" in self.strategies:
            return
        narrow = min(self.config.widths)
        ends = [(self.n_in, self.n_out)] if self.config.min_depth == 0 else []
        if self.config.max_depth > 0:
            ends += [(self.n_in, narrow), (narrow, self.n_out)]
        if self.config.max_depth > 1:
            ends.append((narrow, narrow))
        for n_in, n_out in ends:
            if n_in * n_out >= UNROLL_LIMIT:
                raise UserError(
                    f"a layer of {n_in} x {n_out} is too large to be unrolled "
                    f"(hls4ml wants fewer than {UNROLL_LIMIT} products)",
                    where="space mlp: strategies",
                    found=", ".join(self.strategies),
                    remedy="add Resource to the strategies, offer narrower widths, or take fewer inputs",
                )

    # Reading and repairing values

    def _depth(self, values: Mapping[str, Value]) -> int:
        return int(self._of(values, "depth"))

    def _signed(self, values: Mapping[str, Value]) -> bool:
        return bool(self._of(values, "activation") != "relu")

    def _shapes(self, values: Mapping[str, Value]) -> list[tuple[str, int, int]]:
        """(tag, n_in, n_out) of each layer."""
        tags = [str(number) for number in range(1, self._depth(values) + 1)]
        widths = [self.n_in, *(self._of(values, "width", tag) for tag in tags), self.n_out]
        return list(zip([*tags, OUTPUT], widths[:-1], widths[1:], strict=True))

    def _shorten(self, values: dict[str, Value], name: str, bits: int) -> None:
        if name not in self._knobs:
            return
        integer: Any = values[name]
        if integer > bits:
            fitting = [choice for choice in self._knobs[name].choices if choice <= bits]  # type: ignore[operator]
            values[name] = fitting[-1] if fitting else self._knobs[name].choices[0]

    def _limit_unrolling(self, values: dict[str, Value]) -> None:
        """Large layers become ``Resource``; where that is not offered, widths shrink step by step."""
        while True:
            large = [
                (tag, n_in, n_out)
                for tag, n_in, n_out in self._shapes(values)
                if n_in * n_out >= UNROLL_LIMIT and self._of(values, "strategy", tag) != "Resource"
            ]
            if not large:
                return
            if "Resource" in self.strategies:
                for tag, _, _ in large:
                    values[f"strategy_{tag}"] = "Resource"
                return
            tag, n_in, n_out = large[0]
            depth = self._depth(values)
            number = depth + 1 if tag == OUTPUT else int(tag)
            neighbours = [(n_in, f"width_{number - 1}"), (n_out, f"width_{number}")]
            # The wider of the two that is a hidden width and can still shrink.
            width, name = max(
                (width, name)
                for width, name in neighbours
                if name in values and width > min(self.config.widths)
            )
            choices = self._knobs[name].choices
            values[name] = choices[choices.index(width) - 1]

    def _reuse_factor(self, n_in: int, n_out: int, wanted: int) -> int:
        """What hls4ml builds for ``wanted``; never 1, which is no sharing at all."""
        legal = nearest_legal(n_in, n_out, "Resource", wanted)
        if legal > 1 or n_in * n_out == 1:
            return legal
        return legal_reuse_factors(n_in, n_out, "Resource")[1]

    def _spelling(self, n_in: int, n_out: int, wanted: Any) -> int:
        """The smallest asked factor that is built as ``wanted`` is.

        A factor that still unrolls too much is raised to the first that does not.
        """
        built = {level: self._reuse_factor(n_in, n_out, level) for level in sorted(self.config.reuse_factors)}
        small = [level for level, factor in built.items() if math.ceil(n_in * n_out / factor) <= UNROLL_LIMIT]
        if wanted not in small:
            wanted = next((level for level in small if level > wanted), max(built))
        return next(level for level, factor in built.items() if factor == built[wanted])

    # Layers

    def _layer(
        self, values: Mapping[str, Value], tag: str, n_in: int, n_out: int, source: FixedType
    ) -> Dense:
        hidden = tag != OUTPUT
        strategy = self._of(values, "strategy", tag)
        shared = strategy == "Resource"
        weight = FixedType(self._of(values, "weight_bits", tag), self._of(values, "weight_integer", tag))
        result = self._result(values, tag) if hidden else None
        normalisation = self._of(values, "normalisation") if hidden else "none"
        bias = None
        if self._of(values, "use_bias") or normalisation == "batch":
            bias = _bias(n_in, source, weight, result)
        return Dense(
            n_in,
            n_out,
            self._of(values, "activation") if hidden else "linear",
            weight,
            bias,
            result=result,
            reuse_factor=self._reuse_factor(n_in, n_out, self._of(values, "reuse_factor", tag))
            if shared
            else 1,
            strategy=strategy,
            normalisation=normalisation,
            dropout=self._of(values, "dropout") if hidden else 0.0,
            sparsity=0.0 if shared else self._of(values, "sparsity", tag),
        )

    def _result(self, values: Mapping[str, Value], tag: str) -> FixedType:
        signed = self._signed(values)
        return FixedType(
            self._of(values, "activation_bits", tag),
            self._of(values, "activation_integer", tag) + signed,
            signed,
            self.config.result_rounding,
            self.config.result_overflow,
        )


def _bias(n_in: int, source: FixedType, weight: FixedType, result: FixedType | None) -> FixedType:
    """A bias type that costs the exact accumulator no bits.

    Its grid is no finer than the products'. Its range reaches twice beyond the result's, past
    which a neuron is constant anyway, and no further than the weighted sum itself.
    """
    fraction = min(source.fraction + weight.fraction, weight.fraction + _BIAS_EXTRA_BITS)
    total = source.integer + weight.integer + math.ceil(math.log2(n_in))
    reach = _OUTPUT_BIAS_INTEGER if result is None else result.integer + (not result.signed) + 1
    integer = max(1, min(total, reach))
    return FixedType(max(integer + fraction, 2), integer)
