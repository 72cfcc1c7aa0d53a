"""The ``Resource`` strategy: multiply-accumulate blocks fed with weights from memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.hls_model.table import DesignTable
from hwnas_hls_plugins.hls_model.unrolled import DSP_INPUT_BITS

FloatArray = NDArray[np.float64]


def resource_costs(
    table: DesignTable, k: Coefficients, part: FloatArray, vitis: FloatArray
) -> dict[str, FloatArray]:
    """The ``Resource`` strategy, reuse factor above 1: multiply-accumulate blocks fed from memory."""
    c = table.layer
    reuse = np.maximum(1.0, c["legal_reuse"])
    products = c["n_in"] * c["n_out"]
    blocks = np.ceil(products / reuse)
    narrow_weight = c["w_bits"] <= 4
    narrow_input = c["in_bits"] < DSP_INPUT_BITS
    six = (c["w_bits"] > 4) & (c["w_bits"] < 8)
    share = np.where(narrow_weight | narrow_input, 0.0, np.where(six, np.where(vitis > 0, 0.0, 0.945), 1.0))
    # ROM columns that are all zero lose their multiplier; one in a block or two at six bits.
    dsp = np.where(six & (share > 0), np.maximum(0.0, np.rint(blocks * share)), blocks * share)
    dsp = np.where(c["to_fabric"] > 0, 0.0, np.where(c["to_dsp"] > 0, blocks, dsp))
    wide = (np.maximum(c["in_bits"], c["w_bits"]) > k["wide_multiplier_bits"]) | (
        np.minimum(c["in_bits"], c["w_bits"]) > 18
    )
    steps = reuse / c["n_in"]
    two_fold = np.abs(steps - 2.0) < 1e-9
    muxed = (reuse > c["n_in"]) & ~two_fold
    entries = 2.0 ** np.ceil(np.log2(np.maximum(c["n_out"], 1.0)))
    # The tools' cost of an n-to-1 selector is not quite linear: the ratios are read off the single layers.
    ratio = np.interp(
        np.log2(np.maximum(entries, 1.0)), [4.0, 5.0, 6.0, 7.0, 8.0], [1.0, 0.977, 0.835, 0.9955, 0.995]
    )
    block_lut = np.where(
        muxed,
        k["resource_mux_lut"] + k["resource_mux_lut_per_entry_bit"] * c["acc_bits"] * entries * ratio,
        k["resource_block_lut"] * c["acc_bits"] / 16.0,
    )
    whole = blocks <= 1
    fabric = np.where(narrow_weight, 1.0, np.where(share > 0, 1.0 - share, 1.0))
    lut = (
        k["resource_lut"] * c["acc_bits"] / 16.0
        + k["resource_input_lut_per_bit"] * c["n_in"] * c["in_bits"]
        + k["resource_output_lut_per_bit"] * c["n_out"] * c["acc_bits"] * np.where(whole, 2.0, 1.0)
        + blocks * (block_lut + k["resource_fabric_lut"] * fabric)
    )
    operand = np.where(share > 0, c["acc_bits"], c["w_bits"])
    ff = (
        k["resource_ff"]
        + k["resource_ff_per_log2"] * np.log2(reuse)
        + c["n_out"] * c["acc_bits"] * np.where(whole, 2.0, 1.0)
        + blocks * np.where(two_fold, np.where(share > 0, c["w_bits"], 0.0), operand)
        + np.where(two_fold, 37.0 * (share > 0), 0.0)
    )
    depth_bits = np.where(reuse <= 512, 36.0, np.where(reuse <= 1024, 18.0, 9.0 / np.ceil(reuse / 2048.0)))
    bram = np.ceil(blocks * c["w_bits"] / depth_bits) + ((reuse >= 512) & muxed)
    extra = k.of_class("resource_extra_cycles", part)
    shorter = two_fold & (c["w_bits"] <= 4)
    return {
        "lut": lut,
        "ff": ff,
        "dsp": dsp * np.where(wide, 2.0, 1.0),
        "bram_18k": bram,
        "cycles": reuse + extra - shorter,
        "ii": reuse,
    }
