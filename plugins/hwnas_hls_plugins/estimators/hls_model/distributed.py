"""Distributed arithmetic: the cost of da4ml's adder graphs in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.estimators.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.estimators.hls_model.table import DesignTable

FloatArray = NDArray[np.float64]


def distributed_costs(table: DesignTable, k: Coefficients) -> dict[str, FloatArray]:
    """Distributed arithmetic (da4ml): no multiplier, adders of CSD digits shared between the outputs.

    Closed form for da4ml's own cost (which is the LUT count after routing within about 5 %), fitted to its
    solver on 49 layers from 16 x 16 to 64 x 32, 3 to 8 bit weights, 4 to 12 bit inputs: 6 % rms, 13 % worst.
    Adder levels and the levels that fit a clock period as in the notes of its authors' designs.
    """
    c = table.layer
    columns = np.minimum(c.n_out, np.maximum(c.nonzeros, 0.0))
    adders = np.maximum(c.digits - columns, 1.0)
    digits = np.maximum(c.digits / np.maximum(c.n_out, 1.0), 1.0)
    lut = (
        k["da_lut"]
        * adders ** k["da_adder_power"]
        * (c.in_bits + 1.0) ** k["da_input_power"]
        * digits ** k["da_digit_power"]
    )
    lut = np.where(c.digits >= 1.0, lut, 0.0)
    levels = k["da_levels"] + k["da_levels_per_log2"] * np.log2(digits)
    # A stage of n levels takes 0.87 + 0.80 n ns, plus 0.0071 ns per thousand LUTs (UltraScale+).
    slow = k.of_class("adder_ns", table.of_layers(table.design.part_class)) / 0.7
    clock = table.of_layers(table.design.clock_ns)
    fit = np.maximum(1.0, np.floor((clock / slow - 0.87 - 0.0071 * lut / 1000.0) / 0.80))
    stages = np.maximum(1.0, np.ceil(levels / fit))
    return {
        "lut": lut,
        "ff": stages * c.n_out * c.acc_bits,
        "dsp": np.zeros_like(lut),
        "bram_18k": np.zeros_like(lut),
        "cycles": stages - 1.0,
        "ii": np.ones_like(lut),
    }
