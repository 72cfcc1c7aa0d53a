"""The default constants of the laws, with units in their names.

A calibration file replaces any of them (key ``laws``); ``benchmarks/predictor/fit.py`` fits them. Where a
constant depends on silicon it is a table over ``PART_CLASSES``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: In the order of PART_CLASSES: 7series_slow, 7series_fast, ultrascale, ultrascale+, versal, unknown.
BY_CLASS: dict[str, tuple[float, ...]] = {
    # Latency strategy, timing.
    "multiplier_ns": (10.5, 4.2, 3.8, 2.75, 2.4, 4.0),
    "multiplier_power": (0.9, 0.8, 0.6, 0.6, 0.6, 0.7),
    "adder_ns": (2.3, 1.75, 0.9, 0.7, 0.6, 1.0),
    # A tree level takes this share of its delay before a pipeline cut: on fast silicon, two adders become
    # one of three inputs. 0.55, 0.75 and 1 were tried on families left out.
    "cut_level_share": (1.0, 1.0, 0.75, 0.75, 0.75, 1.0),
    "softmax_ns": (19.7, 14.0, 12.0, 12.0, 10.0, 14.0),
    "softmax_level_ns": (9.4, 5.0, 3.5, 2.8, 2.5, 5.0),
    # Resource strategy: cycles per layer beyond RF + 1, and beyond those of a tree of products.
    "resource_extra_cycles": (3.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    # ... and how often a block's operands are registered more there.
    "resource_operand_registers": (2.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    # Activations of a pipelined design, cycles each: chained into the logic where silicon is fast.
    "vitis_activation_cycles": (2.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "vivado_activation_cycles": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
}

PLAIN: dict[str, float] = {
    # Latency strategy, LUT (csynth).
    "tree_lut_per_bit": 1.0,
    "tree_lut_per_adder": 7.0,
    "bias_lut_per_bit": 1.44,
    "vitis_shift_adder_lut_per_bit": 0.4,
    "vivado_shift_adder_lut_per_bit": 1.1,
    "multiplier_lut_per_bit2": 1.2,
    "output_lut_per_bit": 0.2,
    "accum_mode_lut_per_bit": 4.0,
    # Latency strategy, LUT after logic synthesis: from how adders map to LUTs, held to no report alone.
    "built_tree_lut_per_bit": 0.75,
    "built_bias_lut_per_bit": 0.35,
    "built_shift_adder_lut_per_bit": 0.3,
    "built_multiplier_lut_per_bit2": 0.5,
    "built_mux_lut_per_bit": 0.15,
    "built_relu_lut_per_bit": 0.25,
    "built_relu_mode_lut": 12.0,
    "built_table_share": 0.35,
    # Latency strategy, FF: registers at the pipeline cuts.
    "cut_ff_per_bit": 1.0,
    "edge_ff_per_bit": 1.0,
    "chained_ff_per_bit": 2.0,
    "shared_ff_share": 0.77,
    # Latency strategy, reuse factor above one.
    "shared_mux_lut_per_bit": 0.5,
    "shared_ff_per_bit": 0.85,
    # Resource strategy, LUT and FF (csynth).
    "resource_shift_lut": 0.4711,
    "resource_select_lut_per_bit": 2.0,
    "resource_output_lut": 24.0,
    "resource_block_lut": 18.0,
    "resource_mux_scale": 1.0,
    "resource_fabric_lut": 5.0,
    "resource_index_lut": 110.0,
    "resource_input_lut": 18.0,
    "resource_ff": 82.0,
    "resource_ff_per_log2": 3.0,
    # Several processes: registers of what each reads, channels between them.
    "process_input_ff_per_bit": 3.0,
    "channel_lut": 17.0,
    "channel_ff": 6.0,
    "resource_merged_lut": 4.75,
    "wide_multiplier_bits": 26.0,
    # Distributed arithmetic: da4ml's cost in closed form.
    "da_lut": 2.368,
    "da_adder_power": 0.953,
    "da_input_power": 0.876,
    "da_digit_power": -0.136,
    "da_levels": 2.53,
    "da_levels_per_log2": 1.08,
    # Activations.
    "vitis_relu_lut_per_bit": 2.4,
    "vivado_relu_lut_per_bit": 1.5,
    "relu_mode_lut": 40.0,
    "softmax_lut": 150.0,
    "softmax_fabric_lut": 500.0,
    "softmax_ff": 200.0,
    "table_lut": 127.0,
    "elu_lut": 60.0,
    "table_ff": 26.0,
    "batch_lut_per_bit": 1.5,
    # Latency of a design in addition to its layers (cycles).
    "vitis_layer_cycles": 1.0,
    "vivado_layer_cycles": 1.0,
    "vitis_design_cycles": 0.0,
    "vivado_design_cycles": 0.0,
    "resource_activation_cycles": 3.0,
    "resource_softmax_cycles": 3.0,
}


class Coefficients:
    """The laws' constants with a calibration's values in place of the defaults."""

    __slots__ = ("_by_class", "_plain")

    def __init__(self, fitted: Mapping[str, object] | None = None) -> None:
        self._plain = dict(PLAIN)
        self._by_class = {name: np.array(values) for name, values in BY_CLASS.items()}
        for name, value in (fitted or {}).items():
            if name in self._plain and isinstance(value, int | float):
                self._plain[name] = float(value)
            elif name in self._by_class and isinstance(value, list | tuple):
                self._by_class[name] = np.array(value, np.float64)
            else:
                raise KeyError(name)

    def __getitem__(self, name: str) -> float:
        return self._plain[name]

    def of_class(self, name: str, part_class: FloatArray) -> FloatArray:
        """A constant by silicon, for an array of indices into PART_CLASSES."""
        out: FloatArray = self._by_class[name][part_class.astype(np.int64)]
        return out

    def of_class_index(self, name: str, place: int) -> float:
        """A constant by silicon, for one index into PART_CLASSES."""
        return float(self._by_class[name][place])

    def to_json(self) -> dict[str, object]:
        return {**self._plain, **{name: values.tolist() for name, values in self._by_class.items()}}
