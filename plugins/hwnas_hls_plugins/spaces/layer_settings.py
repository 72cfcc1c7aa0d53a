"""The settings of layers with weights in all spaces, with defaults and checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas_hls.network.architecture import NORMALISATIONS, STRATEGIES
from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS
from hwnas_hls.protocols.synthesizer import Synthesizer

#: A linear layer whose result saturates at -1 and 1, which needs no additional hardware.
HARD_TANH = "hard_tanh"
#: Activations that hls4ml computes without a lookup table, so the emulator is bit-exact.
EXACT_ACTIVATIONS = ("relu", "leaky_relu", "linear", HARD_TANH)


@dataclass(frozen=True, slots=True)
class LayerSettings:
    """Settings of the layers; a setting with one value is not a knob.

    In spaces of cells, "layer" means an operation.

    Args:
        activations: after each layer except the last: ``relu``, ``leaky_relu`` (slope 1/8), ``linear`` or
            ``hard_tanh`` (linear, with a result that saturates at -1 and 1).
        use_bias: whether layers have biases; folded batch normalisation always adds them.
        normalisations: of each layer except the last: ``none`` or ``batch`` (folded into the weights).
        dropouts: shares of a layer's outputs dropped in training.
        input_bits: bits of the standardised inputs in all, including the sign.
        input_integer_bits: integer bits among them, including the sign; 2 bits reach from -2 to 2 standard
            deviations.
        weight_bits: bits of each layer's weights in all, including the sign.
        weight_integer_bits: integer bits among them, including the sign; 1 is the range from -1 to 1.
        activation_bits: bits of each layer's result in all, except the last layer's; the result has a sign
            unless the activation is a ReLU. 1 is possible if all activations are ReLUs.
        activation_integer_bits: integer bits among them, without the sign.
        result_rounding: how each layer's result is rounded: a mode of ``ap_fixed``, such as ``RND`` (half up)
            or ``TRN`` (down; no adder).
        result_overflow: what a result beyond its type becomes: ``SAT`` (the nearest value) or ``WRAP`` (its
            low bits; no comparison).
        strategies: HLS strategies in hls4ml's spelling; empty means those of the run's synthesizer
            (``open``: ``distributed_arithmetic``), or ``Latency`` and ``Resource`` without a
            synthesizer. The default does not depend on the installed packages.
        reuse_factors: requested reuse factors of ``Resource`` layers; each layer gets the nearest legal
            one. The other strategies unroll completely (1).
        sparsities: shares of the weights pruned to zero in layers other than ``Resource`` (there, zero
            weights save nothing); empty means 0, 0.25, 0.5 and 0.75, or only 0 if the space removes
            adders instead (``kept_adders`` of ``mlp``).
        clock_periods_ns: clock periods to choose from; empty means the clock of the run.
        uniform_samples: share of the sampled networks in which all layers have the same precision and HLS
            settings; in the others, each layer is drawn independently.

    Raises:
        ValueError: a setting has no value, a duplicate, or an invalid value.
    """

    activations: tuple[str, ...] = ("relu", "leaky_relu", HARD_TANH)
    use_bias: tuple[bool, ...] = (True,)
    normalisations: tuple[str, ...] = ("none", "batch")
    dropouts: tuple[float, ...] = (0.0,)
    input_bits: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8, 10, 12)
    input_integer_bits: tuple[int, ...] = (2, 3, 4)
    weight_bits: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)
    weight_integer_bits: tuple[int, ...] = (0, 1, 2)
    activation_bits: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)
    activation_integer_bits: tuple[int, ...] = (0, 1, 2, 3)
    result_rounding: str = "RND"
    result_overflow: str = "SAT"
    strategies: tuple[str, ...] = ()
    reuse_factors: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    sparsities: tuple[float, ...] = ()
    clock_periods_ns: tuple[float, ...] = ()
    uniform_samples: float = 0.5

    def __post_init__(self) -> None:
        check("activations", self.activations, *among(EXACT_ACTIVATIONS))
        check("use_bias", self.use_bias, lambda flag: isinstance(flag, bool), "true or false")
        check("normalisations", self.normalisations, *among(NORMALISATIONS))
        for name in ("dropouts", "sparsities"):
            if name == "dropouts" or self.sparsities:
                check(name, getattr(self, name), lambda share: 0 <= share < 1, "at least 0 and below 1")
        for name in ("input_bits", "weight_bits"):
            check(name, getattr(self, name), lambda bits: 2 <= bits <= 24, "between 2 and 24")
        # One bit is 0 or 1 times a power of two; with a sign it could only be 0 or negative.
        least = 1 if tuple(self.activations) == ("relu",) else 2
        check(
            "activation_bits",
            self.activation_bits,
            lambda bits: least <= bits <= 24,
            "between 1 and 24, or 2 and 24 if an activation other than relu is among the choices",
        )
        for name in ("input_integer_bits", "weight_integer_bits", "activation_integer_bits"):
            check(name, getattr(self, name), lambda bits: -8 <= bits <= 24, "between -8 and 24")
        check("result_rounding", (self.result_rounding,), *among(ROUNDINGS))
        check("result_overflow", (self.result_overflow,), *among(OVERFLOWS))
        if self.strategies:
            check("strategies", self.strategies, *among(STRATEGIES))
        check("reuse_factors", self.reuse_factors, lambda factor: factor >= 2, "at least 2")
        if self.clock_periods_ns:
            check("clock_periods_ns", self.clock_periods_ns, lambda period: period > 0, "above 0")
        check("uniform_samples", (self.uniform_samples,), lambda share: 0 <= share <= 1, "between 0 and 1")


def default_strategies(synthesizer: Synthesizer | None) -> tuple[str, ...]:
    """The default HLS strategies: those that ``synthesizer`` supports.

    Without any, they are those that the hardware model is calibrated for.
    """
    return (tuple(synthesizer.hls_strategies) if synthesizer else ()) or ("Latency", "Resource")


def among(choices: Sequence[str]) -> tuple[Callable[[Any], bool], str]:
    """A rule for :func:`check`: one of these."""
    return lambda value: value in choices, f"one of {', '.join(choices)}"


def check(name: str, values: Sequence[Any], good: Callable[[Any], bool], rule: str) -> None:
    """Raise ValueError if a setting has no values, duplicates, or values that violate the rule."""
    if not values:
        raise ValueError(f"{name} needs at least one value")
    if len(set(values)) < len(values):
        raise ValueError(f"{name} contains duplicates: {', '.join(map(str, values))}")
    for value in values:
        if not good(value):
            raise ValueError(f"{name}: {value} is not {rule}")
