"""What the spaces of cells may hold: the settings that they share, their defaults and their checks."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls_plugins.mlp_config import check, check_layers

#: What an operation of a cell may be: a layer of neurons, or what it takes as it is.
OPERATIONS = ("dense", "identity")
#: How the output of an operation meets that of an earlier one.
SKIPS = ("none", "add", "concatenate")


@dataclass(frozen=True, slots=True)
class CellLayers:
    """Settings of the operations; one with a single value is no knob.

    Args:
        max_operations: most operations of a cell.
        skips: whether an operation's output is added to an earlier one of the cell, or put beside.
        activations: after each operation: ``relu``, ``leaky_relu`` (slope 1/8), ``linear`` or
            ``hard_tanh`` (linear, with a result that saturates at -1 and 1).
        normalisations: of each operation, ``none`` or ``batch`` (folded into it).
        use_bias: whether layers have biases; folded batch normalisation always brings them.
        dropouts: shares of an operation's outputs dropped in training.
        input_bits, input_integer_bits: type of the standardised inputs, sign included.
        weight_bits, weight_integer_bits: type of an operation's weights, sign included.
        activation_bits, activation_integer_bits: type of an operation's result. It has a sign
            unless the activation is a ReLU; the integer bits do not count it.
        result_rounding, result_overflow: modes of that type.
        strategies: of each operation, in hls4ml's spelling; empty means what the run's synthesizer
            can measure, and ``Latency`` and ``Resource`` without one.
        reuse_factors: asked of operations of strategy ``Resource``; the others unroll wholly.
        sparsities: shares of the weights pruned to zero in operations that are not ``Resource``.
        clock_periods_ns: clock periods to choose from; empty leaves the clock to the run.
        uniform_samples: share of the sampled networks whose operations agree in their precision
            and HLS settings; the others draw each operation for itself.
    """

    max_operations: int = 3
    skips: tuple[str, ...] = SKIPS
    activations: tuple[str, ...] = ("relu", "leaky_relu", "hard_tanh")
    normalisations: tuple[str, ...] = ("none", "batch")
    use_bias: tuple[bool, ...] = (True,)
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
        if not 1 <= self.max_operations <= 8:
            raise ValueError(f"max_operations: {self.max_operations} is not between 1 and 8")
        check("skips", self.skips, lambda skip: skip in SKIPS, f"one of {', '.join(SKIPS)}")
        if "none" not in self.skips:
            raise ValueError("skips: none is among them, for operations that nothing fits beside")
        check_layers(self)


@dataclass(frozen=True, slots=True)
class CellConfig(CellLayers):
    """Settings of :class:`~hwnas_hls_plugins.cell_space.CellSpace`; one with a single value is no knob.

    Args:
        max_cells: most times that the cell is repeated.
        widths: neurons of an operation that is not added to another.
        stems: whether a dense layer brings the inputs to the cell's width before the first cell.
        Everything else as in :class:`CellLayers`.
    """

    max_cells: int = 3
    widths: tuple[int, ...] = (4, 6, 8, 12, 16, 24, 32, 48)
    stems: tuple[bool, ...] = (False, True)

    def __post_init__(self) -> None:
        CellLayers.__post_init__(self)
        if not 1 <= self.max_cells <= 8:
            raise ValueError(f"max_cells: {self.max_cells} is not between 1 and 8")
        check("widths", self.widths, lambda width: width >= 1, "at least 1")
        check("stems", self.stems, lambda flag: isinstance(flag, bool), "true or false")
