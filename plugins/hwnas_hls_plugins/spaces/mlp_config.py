"""What an MLP space may hold: its settings, their defaults and their checks."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls_plugins.spaces.layer_settings import LayerSettings, among, check

#: ``residual`` adds a layer's input to its output, ``concatenate`` puts it beside.
LAYER_KINDS = ("dense", "residual", "concatenate")


@dataclass(frozen=True, slots=True)
class MlpConfig(LayerSettings):
    """Settings of :class:`~hwnas_hls_plugins.spaces.mlp.MlpSpace`; one with a single value is no knob.

    Args:
        min_depth, max_depth: number of hidden layers; 0 is a linear model.
        widths: neurons of a hidden layer.
        layer_kinds: of each hidden layer: ``dense``; ``residual``, whose input is added to its output
            (it takes its input's width); ``concatenate``, whose input is put beside its output.
        activation_per_layer: whether each hidden layer has its own activation.
        Everything else as in :class:`~hwnas_hls_plugins.spaces.layer_settings.LayerSettings`.
    """

    min_depth: int = 1
    max_depth: int = 4
    widths: tuple[int, ...] = (4, 6, 8, 12, 16, 24, 32, 48, 64)
    layer_kinds: tuple[str, ...] = ("dense",)
    activations: tuple[str, ...] = ("relu",)
    activation_per_layer: bool = False
    use_bias: tuple[bool, ...] = (True, False)

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
        LayerSettings.__post_init__(self)
