"""What an MLP space may hold: its settings, their defaults and their checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hwnas_hls.architecture import NORMALISATIONS, STRATEGIES
from hwnas_hls.precision import OVERFLOWS, ROUNDINGS
from hwnas_hls_plugins.layer_knobs import HARD_TANH, LayerConfig

#: Activations that hls4ml computes without a table, so that the emulator has them to the bit.
EXACT_ACTIVATIONS = ("relu", "leaky_relu", "linear", HARD_TANH)
#: ``residual`` adds a layer's input to its output, ``concatenate`` puts it beside.
LAYER_KINDS = ("dense", "residual", "concatenate")


@dataclass(frozen=True, slots=True)
class MlpConfig:
    """Settings of :class:`~hwnas_hls_plugins.mlp_space.MlpSpace`; one with a single value is no knob.

    Args:
        min_depth, max_depth: number of hidden layers; 0 is a linear model.
        widths: neurons of a hidden layer.
        layer_kinds: of each hidden layer: ``dense``; ``residual``, whose input is added to its output
            (it takes its input's width); ``concatenate``, whose input is put beside its output.
        activations: of the hidden layers: ``relu``, ``leaky_relu`` (slope 1/8), ``linear`` or
            ``hard_tanh`` (linear, with a result that saturates at -1 and 1).
        activation_per_layer: whether each hidden layer has its own activation.
        use_bias: whether layers have biases; folded batch normalisation always brings them.
        normalisations: of the hidden layers, ``none`` or ``batch``.
        dropouts: shares of a hidden layer's outputs dropped in training.
        input_bits, input_integer_bits: type of the standardised inputs, sign included.
        weight_bits, weight_integer_bits: type of each layer's weights, sign included.
        activation_bits, activation_integer_bits: type of each hidden layer's result. It has a
            sign unless the activation is a ReLU; the integer bits do not count it.
        result_rounding, result_overflow: modes of that type.
        strategies: of each layer, in hls4ml's spelling; empty means what the run's synthesizer
            can measure (``open``: ``distributed_arithmetic``), and ``Latency`` and ``Resource``
            without one. What is installed here makes no difference.
        reuse_factors: asked of layers of strategy ``Resource``; each takes the nearest that
            hls4ml builds as it stands. Other strategies unroll wholly (1).
        sparsities: shares of the weights pruned to zero in layers that are not ``Resource``
            (there a zero weight saves nothing).
        clock_periods_ns: clock periods to choose from; empty leaves the clock to the run.
        uniform_samples: share of the sampled networks whose layers agree in their per-layer
            settings; the others draw each layer for itself.
    """

    min_depth: int = 1
    max_depth: int = 4
    widths: tuple[int, ...] = (4, 6, 8, 12, 16, 24, 32, 48, 64)
    layer_kinds: tuple[str, ...] = ("dense",)
    activations: tuple[str, ...] = ("relu",)
    activation_per_layer: bool = False
    use_bias: tuple[bool, ...] = (True, False)
    normalisations: tuple[str, ...] = ("none", "batch")
    dropouts: tuple[float, ...] = (0.0,)
    input_bits: tuple[int, ...] = (4, 5, 6, 7, 8, 10, 12)
    input_integer_bits: tuple[int, ...] = (2, 3, 4)
    weight_bits: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)
    weight_integer_bits: tuple[int, ...] = (0, 1, 2)
    activation_bits: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)
    activation_integer_bits: tuple[int, ...] = (0, 1, 2, 3)
    result_rounding: str = "RND"
    result_overflow: str = "SAT"
    strategies: tuple[str, ...] = ()
    reuse_factors: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    sparsities: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    clock_periods_ns: tuple[float, ...] = ()
    uniform_samples: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.min_depth <= self.max_depth <= 16:
            raise ValueError(
                f"0 <= min_depth <= max_depth <= 16 is broken by {self.min_depth} and {self.max_depth}"
            )
        check("widths", self.widths, lambda width: width >= 1, "at least 1")
        check("layer_kinds", self.layer_kinds, *among(LAYER_KINDS))
        if "dense" not in self.layer_kinds:
            raise ValueError(
                "layer_kinds: dense is among them, for layers that would grow too large otherwise"
            )
        check("activation_per_layer", (self.activation_per_layer,), lambda on: isinstance(on, bool), "a flag")
        check_layers(self)


class _Layers(LayerConfig, Protocol):
    """The settings that spaces of dense layers share."""

    @property
    def activations(self) -> tuple[str, ...]: ...
    @property
    def use_bias(self) -> tuple[bool, ...]: ...
    @property
    def normalisations(self) -> tuple[str, ...]: ...
    @property
    def dropouts(self) -> tuple[float, ...]: ...
    @property
    def input_bits(self) -> tuple[int, ...]: ...
    @property
    def input_integer_bits(self) -> tuple[int, ...]: ...
    @property
    def strategies(self) -> tuple[str, ...]: ...
    @property
    def clock_periods_ns(self) -> tuple[float, ...]: ...
    @property
    def uniform_samples(self) -> float: ...


def check_layers(config: _Layers) -> None:
    """Check the settings that spaces of dense layers share.

    Raises:
        ValueError: one of them has no value, a value twice, or one that cannot be.
    """
    check("activations", config.activations, *among(EXACT_ACTIVATIONS))
    check("use_bias", config.use_bias, lambda flag: isinstance(flag, bool), "true or false")
    check("normalisations", config.normalisations, *among(NORMALISATIONS))
    for name in ("dropouts", "sparsities"):
        check(name, getattr(config, name), lambda share: 0 <= share < 1, "at least 0 and below 1")
    for name in ("input_bits", "weight_bits", "activation_bits"):
        check(name, getattr(config, name), lambda bits: 2 <= bits <= 24, "between 2 and 24")
    for name in ("input_integer_bits", "weight_integer_bits", "activation_integer_bits"):
        check(name, getattr(config, name), lambda bits: -8 <= bits <= 24, "between -8 and 24")
    check("result_rounding", (config.result_rounding,), *among(ROUNDINGS))
    check("result_overflow", (config.result_overflow,), *among(OVERFLOWS))
    if config.strategies:
        check("strategies", config.strategies, *among(STRATEGIES))
    check("reuse_factors", config.reuse_factors, lambda factor: factor >= 2, "at least 2")
    if config.clock_periods_ns:
        check("clock_periods_ns", config.clock_periods_ns, lambda period: period > 0, "above 0")
    check("uniform_samples", (config.uniform_samples,), lambda share: 0 <= share <= 1, "between 0 and 1")


def default_strategies(synthesizer: object) -> tuple[str, ...]:
    """The HLS strategies searched where none are named: those that ``synthesizer`` measures.

    A synthesizer says so by an attribute ``hls_strategies``. Without one they are those that the
    hardware model is calibrated for.
    """
    return tuple(getattr(synthesizer, "hls_strategies", ())) or ("Latency", "Resource")


def among(choices: Sequence[str]) -> tuple[Callable[[Any], bool], str]:
    """A rule for :func:`check`: one of these."""
    return lambda value: value in choices, f"one of {', '.join(choices)}"


def check(name: str, values: Sequence[Any], good: Callable[[Any], bool], rule: str) -> None:
    """Raise ValueError where ``values`` of a setting are none, twice the same, or against the rule."""
    if not values:
        raise ValueError(f"{name} needs at least one value")
    if len(set(values)) < len(values):
        raise ValueError(f"{name} names a value twice: {', '.join(map(str, values))}")
    for value in values:
        if not good(value):
            raise ValueError(f"{name}: {value} is not {rule}")
