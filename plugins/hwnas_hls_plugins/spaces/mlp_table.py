"""The knobs of the mlp space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hwnas_hls.protocols.knob import Knob
from hwnas_hls_plugins.spaces.knob_families import Condition
from hwnas_hls_plugins.spaces.layer_knobs import OUTPUT, LayerTable
from hwnas_hls_plugins.spaces.mlp_config import MlpConfig


class MlpTable(LayerTable):
    """The knobs of an MLP space; those of a hidden layer are named ``FAMILY_NUMBER``, from 1.

    Args:
        config: settings of the space.
        strategies: HLS strategies, at least one.
    """

    config: MlpConfig

    def __init__(self, config: MlpConfig, strategies: Sequence[str]) -> None:
        super().__init__(config, strategies)
        self.ladder = config.ladder(strategies)
        if min(self.ladder) < 1:
            self.sparsities = (0.0,)
        self.fill(self._table(config))

    def _table(self, config: MlpConfig) -> Iterator[Knob]:
        hidden = None
        if config.min_depth == 0 < config.max_depth:
            hidden = ("depth", tuple(range(1, config.max_depth + 1)))
        widths = config.layer_widths(self.strategies)
        depths = tuple(range(config.min_depth, config.max_depth + 1))
        yield from self.knob("depth", depths, "number of hidden layers")
        if not config.activation_per_layer:
            yield from self.knob(
                "activation", config.activations, "activation of every hidden layer", hidden, ordered=False
            )
        yield from self.knob(
            "normalisation",
            config.normalisations,
            "normalisation of every hidden layer, folded into its weights",
            hidden,
            ordered=False,
        )
        yield from self.knob("use_bias", config.use_bias, "whether layers have biases", ordered=False)
        yield from self.knob(
            "dropout", config.dropouts, "share of hidden outputs dropped in training", hidden
        )
        yield from self.knob(
            "kept_adders",
            self.ladder,
            "share of the adders that training keeps; one training covers all shares",
        )
        yield from self.knob(
            "narrow_features",
            config.narrow_features or (min(self.ladder) < 1,),
            "whether training may take bits of single input features, and whole features",
            ordered=False,
        )
        if config.clock_periods_ns:
            yield from self.knob("clock_ns", config.clock_periods_ns, "target clock period in ns")
        yield from self.knob("input_bits", config.input_bits, "width of the inputs' type")
        yield from self.knob(
            "input_integer", config.input_integer_bits, "integer bits of the inputs' type, including the sign"
        )
        for number in range(1, config.max_depth + 1):
            exists: Condition = None
            if number > config.min_depth:
                exists = ("depth", tuple(range(number, config.max_depth + 1)))
            yield from self.knob(
                "layer", config.layer_kinds, "kind of a hidden layer", exists, number, ordered=False
            )
            yield from self.knob("width", widths, "neurons of a hidden layer", exists, number)
            if config.activation_per_layer:
                yield from self.knob(
                    "activation",
                    config.activations,
                    "activation of a hidden layer",
                    exists,
                    number,
                    ordered=False,
                )
            yield from self.hardware(number, exists)
            yield from self.results(number, exists)
        yield from self.hardware(OUTPUT, None)
