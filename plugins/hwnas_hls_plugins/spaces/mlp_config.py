"""The settings of the MLP space, with defaults and checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwnas_hls_plugins.spaces.layer_settings import LayerSettings, among, check

WIDTHS = (4, 6, 8, 12, 16, 24, 32, 48, 64)
#: Further widths where adders are removed: a removal finds a small network within a wide one.
GENEROUS_WIDTHS = (96, 128)
#: ``residual`` adds a layer's input to its output, ``concatenate`` appends it.
LAYER_KINDS = ("dense", "residual", "concatenate")
#: Every fourth step of a descent by 2.5 % of the adders (the trainer's ``descent_step``). A generous network
#: has up to 60,000 adder bits at first: its last designs have about 100.
LADDER = tuple(round(0.975 ** (4 * level), 5) for level in range(61))


@dataclass(frozen=True, slots=True)
class MlpConfig(LayerSettings):
    """Settings of :class:`~hwnas_hls_plugins.spaces.mlp.MlpSpace`; a setting with one value is not a knob.

    Args:
        min_depth: smallest number of hidden layers; 0 adds linear models to the space.
        max_depth: largest number of hidden layers.
        widths: neurons of a hidden layer. Empty means 4, 6, 8, 12, 16, 24, 32, 48 and 64; where adders are
            removed, 96 and 128, too.
        layer_kinds: kinds of hidden layers: ``dense``; ``residual``, which adds its input to its output
            (and has the width of its input); ``concatenate``, which appends its input to its output.
        activation_per_layer: whether each hidden layer has its own activation.
        kept_adders: shares of the adders that training keeps, between 0 and 1. A candidate is first
            trained with all its adders; then the least salient signed digits of its weights are removed,
            a few per round, with training in between. One training gives the designs of all shares.
            Empty means 61 shares from 1 down to 0.0023, each a tenth below the one before, if every layer is
            dense with the strategy ``distributed_arithmetic``, and 1 (nothing is removed) otherwise.
        narrow_features: whether the removal of adders may also take bits of single input features, and
            whole features; ``[false, true]`` lets the search choose. Empty means true where adders are
            removed.
        Other settings: as in :class:`~hwnas_hls_plugins.spaces.layer_settings.LayerSettings`.
    """

    min_depth: int = 1
    max_depth: int = 4
    widths: tuple[int, ...] = ()
    layer_kinds: tuple[str, ...] = ("dense",)
    activations: tuple[str, ...] = ("relu",)
    activation_per_layer: bool = False
    use_bias: tuple[bool, ...] = (True,)
    normalisations: tuple[str, ...] = ("none",)
    kept_adders: tuple[float, ...] = ()
    narrow_features: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.min_depth <= self.max_depth <= 16:
            raise ValueError(
                f"min_depth ({self.min_depth}) <= max_depth ({self.max_depth}) must hold, both in 0 to 16"
            )
        if self.widths:
            check("widths", self.widths, lambda width: width >= 1, "at least 1")
        check("layer_kinds", self.layer_kinds, *among(LAYER_KINDS))
        if "dense" not in self.layer_kinds:
            raise ValueError("layer_kinds must include dense, for layers that would otherwise be too large")
        check("activation_per_layer", (self.activation_per_layer,), lambda on: isinstance(on, bool), "a flag")
        if self.kept_adders:
            check("kept_adders", self.kept_adders, lambda share: 0 < share <= 1, "above 0 and at most 1")
            if min(self.kept_adders) < 1 and not self.chains_only:
                raise ValueError(
                    "kept_adders below 1 needs layer_kinds = ['dense'] and activations without leaky_relu"
                )
            if min(self.kept_adders) < 1 and self.sparsities not in ((), (0.0,)):
                raise ValueError(
                    "kept_adders below 1 and sparsities both remove weights: set only one of them"
                )
        if self.narrow_features:
            check("narrow_features", self.narrow_features, lambda on: isinstance(on, bool), "a flag")
        LayerSettings.__post_init__(self)

    @property
    def chains_only(self) -> bool:
        """Whether all networks are chains of dense layers, from which adders can be removed."""
        return self.layer_kinds == ("dense",) and "leaky_relu" not in self.activations

    def ladder(self, strategies: Sequence[str]) -> tuple[float, ...]:
        """The shares of adders to choose from."""
        if self.kept_adders:
            return self.kept_adders
        taken = tuple(strategies) == ("distributed_arithmetic",) and self.sparsities in ((), (0.0,))
        return LADDER if taken and self.chains_only else (1.0,)

    def layer_widths(self, strategies: Sequence[str]) -> tuple[int, ...]:
        """The widths to choose from."""
        if self.widths:
            return self.widths
        return WIDTHS + GENEROUS_WIDTHS if min(self.ladder(strategies)) < 1 else WIDTHS
