"""Costs of the functions after a dense layer: ReLU, softmax, lookup tables, batch normalisation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.limits import DSP_INPUT_BITS
from hwnas_hls_plugins.estimators.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.estimators.hls_model.silicon import PART_CLASSES
from hwnas_hls_plugins.estimators.hls_model.table import DISTRIBUTED, DesignTable
from hwnas_hls_plugins.estimators.hls_model.unrolled import implemented_layers

FloatArray = NDArray[np.float64]


def activation_costs(table: DesignTable, k: Coefficients) -> dict[str, FloatArray]:
    """Costs of what follows each dense layer; ``steps`` counts activation and normalisation modules."""
    c = table.layer
    kind = c.activation
    n = c.n_out
    built = implemented_layers(table)
    costs = {name: np.zeros_like(n) for name in ("lut", "ff", "dsp", "bram_18k", "cycles")}
    rows = np.flatnonzero(kind == 1)
    if rows.size:
        costs["lut"][rows] = _relu_lut(table.with_layers(rows), k)
    rows = np.flatnonzero(kind > 1)
    if rows.size:
        for name, values in _other_costs(table.with_layers(rows), k).items():
            costs[name][rows] = values
    batch = c.batch > 0
    if batch.any():
        share = np.where(built & (c.strategy != DISTRIBUTED), k["built_table_share"], 1.0)
        costs["lut"] += np.where(batch, n * k["batch_lut_per_bit"] * c.result_bits * share, 0.0)
        # hls4ml shares a normalisation's multipliers like those of the layer before.
        reuse = np.maximum(1.0, c.legal_reuse)
        products = np.where(reuse > 1, np.minimum(0.8 * n, np.ceil(n / reuse)), 0.8 * n)
        wide = c.result_bits >= DSP_INPUT_BITS
        in_dsp = batch & wide & (c.to_fabric <= 0) & (c.to_dsp == 0)
        costs["dsp"] += np.where(in_dsp, products, 0.0)
    # Softmax sits in its own module too, but its cycles are counted above.
    costs["steps"] = ((kind > 0) & (kind != 2)).astype(np.float64) + batch
    return costs


def _softmax_brams(table: DesignTable) -> FloatArray:
    """Block RAMs of the tables of a softmax, 1,024 words of 18 bits, by layer.

    Two classes read one copy of the table of exponentials; one more table has the inverses. Vivado HLS fits a
    table into one block RAM. Vitis HLS of 2022 and later takes two on UltraScale+ (six designs of one source,
    2024.1) and one on series 7 (five of two sources, 2024.2 and 2025.1). Vitis HLS 2021.1 makes a copy for
    each class, and none of the inverses (32 designs of one author, 2 to 16 classes).
    """
    d = table.design
    large = np.isin(d.part_class, [PART_CLASSES.index(n) for n in ("ultrascale", "ultrascale+", "versal")])
    newer = (d.version >= 2022.0) | (d.version == 0)
    each = table.of_layers(np.where((d.vitis > 0) & newer & large, 2.0, 1.0))
    single = table.of_layers(((d.vitis > 0) & ~newer).astype(np.float64)) > 0
    n = table.layer.n_out
    return np.where(single, n, (np.ceil(n / 2.0) + 1.0) * each)


def _relu_lut(table: DesignTable, k: Coefficients) -> FloatArray:
    c = table.layer
    # Rounding costs where bits are dropped, saturation where range is.
    changed = (c.out_fraction > c.result_fraction) | (
        c.out_bits - c.out_fraction > c.result_bits - c.result_fraction
    )
    modes = (c.result_modes > 0) & changed
    # The cost of the adder graph already includes its activation.
    relu_kept = c.strategy != DISTRIBUTED
    built = implemented_layers(table) & relu_kept
    # Reports have 28 LUTs per neuron of a plain ReLU and 60 with RND and SAT; of the difference 14 (a guess,
    # set by hand) are taken for what its bits pay already.
    relu_bits = np.where(
        table.of_layers(table.design.vitis) > 0, k["vitis_relu_lut_per_bit"], k["vivado_relu_lut_per_bit"]
    )
    relu_lut = np.where(
        built,
        k["built_relu_lut_per_bit"] * c.result_bits + np.where(modes, k["built_relu_mode_lut"], 0.0),
        relu_bits * c.result_bits + np.where(modes, k["relu_mode_lut"] - 14.0, 0.0),
    )
    out: FloatArray = relu_kept * c.n_out * relu_lut
    return out


def _other_costs(table: DesignTable, k: Coefficients) -> dict[str, FloatArray]:
    """The cost of all activations except linear and ReLU."""
    c = table.layer
    kind = c.activation
    softmax, tabled, simple, leaky, elu = (kind == code for code in (2, 3, 4, 5, 6))
    n = c.n_out
    zero = np.zeros_like(n)
    part, usable = table.of_layers(table.design.part_class), table.of_layers(table.design.usable_ns)
    built = implemented_layers(table) & (c.strategy != DISTRIBUTED)
    share = np.where(built, k["built_table_share"], 1.0)
    # Softmax: tables of exponentials, a sum, a table of inverses, one product per class.
    in_fabric = c.to_fabric > 0
    softmax_lut = n * np.where(in_fabric, k["softmax_fabric_lut"], k["softmax_lut"])
    lut = np.select(
        [softmax, tabled, simple, leaky, elu],
        [
            softmax_lut * share,
            n * k["table_lut"] * share,
            n * 20.0 * share,
            n * 8.0 * share,
            n * k["elu_lut"] * share,
        ],
        0.0,
    )
    ff = np.select([softmax, tabled | elu], [n * k["softmax_ff"], n * k["table_ff"]], 0.0)
    dsp = np.select([softmax & ~in_fabric, leaky], [n, zero], 0.0)
    bram = np.select([softmax, tabled | elu], [_softmax_brams(table), np.ceil(n / 2.0)], 0.0)
    levels = np.log2(np.maximum(n, 1.0))
    softmax_cycles = np.floor(
        (k.of_class("softmax_ns", part) + k.of_class("softmax_level_ns", part) * levels)
        * table.of_layers(table.design.slower)
        / np.maximum(usable, 1e-9)
    )
    softmax_cycles = np.maximum(1.0, softmax_cycles - 2.0 * in_fabric)
    cycles = np.select([softmax, tabled | elu], [softmax_cycles, np.full_like(n, 2.0)], 0.0)
    return {"lut": lut, "ff": ff, "dsp": dsp, "bram_18k": bram, "cycles": cycles}
