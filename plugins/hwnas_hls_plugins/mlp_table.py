"""The knobs of the mlp space: what is chosen, among what, and under which condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hwnas_hls.candidate import Value
from hwnas_hls.knob import Knob
from hwnas_hls_plugins.mlp_config import MlpConfig

#: Tag of the output layer's knobs; hidden layers are numbered from 1.
OUTPUT = "out"

Condition = tuple[str, tuple[Value, ...]] | None


class MlpTable:
    """The knobs of an MLP space, and the value of every setting that leaves no choice.

    Args:
        config: what may be built.
        strategies: HLS strategies, at least one.

    Attributes:
        knobs: name -> knob, in order; a layer's are called ``FAMILY_NUMBER`` or ``FAMILY_out``.
        fixed: family -> its only value.
    """

    def __init__(self, config: MlpConfig, strategies: Sequence[str]) -> None:
        self.config = config
        self.strategies = tuple(strategies)
        self.fixed: dict[str, Value] = {}
        self.knobs = {knob.name: knob for knob in self._table()}

    def value(self, values: Mapping[str, Value], family: str, tag: str = "") -> Any:
        """What ``values`` says of a family's knob (of the layer ``tag``), or the fixed value."""
        name = f"{family}_{tag}" if tag else family
        return values[name] if name in self.knobs else self.fixed[family]

    def _table(self) -> Iterator[Knob]:
        config = self.config
        hidden = None
        if config.min_depth == 0 < config.max_depth:
            hidden = ("depth", tuple(range(1, config.max_depth + 1)))
        depths = tuple(range(config.min_depth, config.max_depth + 1))
        yield from self._knob("depth", depths, "number of hidden layers")
        yield from self._knob(
            "activation", config.activations, "after every hidden layer", hidden, ordered=False
        )
        yield from self._knob(
            "normalisation",
            config.normalisations,
            "of every hidden layer, folded into it",
            hidden,
            ordered=False,
        )
        yield from self._knob("use_bias", config.use_bias, "whether layers have biases", ordered=False)
        yield from self._knob(
            "dropout", config.dropouts, "share of hidden outputs dropped in training", hidden
        )
        if config.clock_periods_ns:
            yield from self._knob("clock_ns", config.clock_periods_ns, "target clock period in ns")
        yield from self._knob("input_bits", config.input_bits, "width of the inputs' type")
        yield from self._knob(
            "input_integer", config.input_integer_bits, "integer bits of the inputs' type, sign included"
        )
        for number in range(1, config.max_depth + 1):
            exists: Condition = None
            if number > config.min_depth:
                exists = ("depth", tuple(range(number, config.max_depth + 1)))
            yield from self._knob("width", config.widths, "neurons of a hidden layer", exists, number)
            yield from self._hardware(number, exists)
            yield from self._knob(
                "activation_bits", config.activation_bits, "width of a hidden layer's result", exists, number
            )
            yield from self._knob(
                "activation_integer",
                config.activation_integer_bits,
                "integer bits of a hidden layer's result, sign not counted",
                exists,
                number,
            )
        yield from self._hardware(OUTPUT, None)

    def _hardware(self, tag: int | str, exists: Condition) -> Iterator[Knob]:
        config = self.config
        yield from self._knob("weight_bits", config.weight_bits, "width of a layer's weights", exists, tag)
        yield from self._knob(
            "weight_integer",
            config.weight_integer_bits,
            "integer bits of a layer's weights, sign included",
            exists,
            tag,
        )
        yield from self._knob(
            "strategy", self.strategies, "hls4ml strategy of a layer", exists, tag, ordered=False
        )
        unrolled = tuple(strategy for strategy in self.strategies if strategy != "Resource")
        if "Resource" in self.strategies:
            yield from self._knob(
                "reuse_factor",
                config.reuse_factors,
                "asked reuse factor of a layer; it takes the nearest above 1 that hls4ml builds",
                (f"strategy_{tag}", ("Resource",)) if unrolled else exists,
                tag,
            )
        if unrolled:
            yield from self._knob(
                "sparsity",
                config.sparsities,
                "share of a layer's weights pruned to zero",
                (f"strategy_{tag}", unrolled) if len(unrolled) < len(self.strategies) else exists,
                tag,
            )

    def _knob(
        self,
        family: str,
        choices: Sequence[Any],
        doc: str,
        exists: Condition = None,
        tag: int | str = "",
        ordered: bool = True,
    ) -> Iterator[Knob]:
        """The knob, or nothing where there is nothing to choose: then the value is fixed."""
        if len(choices) == 1:
            self.fixed[family] = choices[0]
            return
        kept = tuple(sorted(choices)) if ordered else tuple(choices)
        yield Knob(f"{family}_{tag}" if tag else family, kept, ordered, active_if=exists, doc=doc)
