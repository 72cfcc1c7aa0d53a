"""The ``Latency`` strategy: weights are constants in the logic; see ``docs/accuracy.md`` for its errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.limits import DSP_INPUT_BITS, UNROLL_LIMIT
from hwnas_hls_plugins.estimators.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.estimators.hls_model.constants import LEVELS
from hwnas_hls_plugins.estimators.hls_model.silicon import PART_CLASSES
from hwnas_hls_plugins.estimators.hls_model.table import RESOURCE, DesignTable

FloatArray = NDArray[np.float64]

#: Cycles through the registers of a DSP (operands, product, result) less what is chained into the last one.
#: 0 to 3 in half steps were tried with the designs in view; 3.33 ns and series 7 want them.
DSP_STAGES = 2.5
#: Vitis HLS before this version puts products of 8 bits into the DSPs of series 7, later ones leave them in
#: logic. Thirty-two designs of one author (2021.1, 3.33 and 5 ns) against two of another (2024.2, 5 ns); the
#: former were named after DSPs or logic, so that what the compiler did unasked is not certain.
SMALL_DSP_UNTIL, SMALL_DSP_BITS = 2022.0, 8.0
_SERIES_7 = (PART_CLASSES.index("7series_slow"), PART_CLASSES.index("7series_fast"))


def small_dsps(table: DesignTable) -> NDArray[np.bool_]:
    """Layers whose products of 8 bits are taken to go to DSPs, as old Vitis HLS does on series 7."""
    d = table.design
    old = (d.vitis > 0) & (d.version > 0) & (d.version < SMALL_DSP_UNTIL) & np.isin(d.part_class, _SERIES_7)
    c = table.layer
    narrow = (c.in_bits < DSP_INPUT_BITS) & (np.minimum(c.in_bits, c.w_bits) >= SMALL_DSP_BITS)
    out: NDArray[np.bool_] = old[table.owner] & narrow
    return out


def dsp_input_bits(table: DesignTable) -> FloatArray:
    """Width from which the input of each layer lets a product go to a DSP."""
    return np.where(small_dsps(table), SMALL_DSP_BITS, float(DSP_INPUT_BITS))


def unrolled_costs(table: DesignTable, k: Coefficients) -> dict[str, FloatArray]:
    """The ``Latency`` strategy (and ``Resource`` at reuse factor 1, which unrolls alike)."""
    c = table.layer
    d = table.design
    usable, part, vitis = (table.of_layers(values) for values in (d.usable_ns, d.part_class, d.vitis))
    multipliers = c.multipliers
    eligible = c.in_bits >= dsp_input_bits(table)
    in_dsp = np.where(eligible, multipliers - np.where(vitis > 0, 0.0, c.small_multipliers), 0.0)
    in_dsp = np.where(c.to_dsp > 0, multipliers, np.where(c.to_fabric > 0, 0.0, in_dsp))
    in_dsp = np.maximum(0.0, in_dsp)
    # Operands beyond one DSP's ports take two.
    wide = (np.maximum(c.in_bits, c.w_bits) > k["wide_multiplier_bits"]) | (
        np.minimum(c.in_bits, c.w_bits) > 18
    )
    products = c.n_in * c.n_out
    reuse = np.maximum(1.0, np.minimum(c.legal_reuse, products))
    zeros = np.maximum(0.0, products - c.nonzeros)
    limit = np.maximum(1.0, np.ceil(products / reuse) - np.floor(zeros / reuse))
    dsp = np.where(reuse > 1, np.minimum(in_dsp, limit), in_dsp)
    fabric_share = np.where(multipliers > 0, 1.0 - in_dsp / np.maximum(multipliers, 1e-9), 0.0)

    # Timing of one pass.
    constant_bits = np.where(
        multipliers > 0.5, c.multiplier_bits / np.maximum(multipliers * c.in_bits, 1.0), 0.0
    )
    area = np.clip((c.in_bits / 16.0) ** 2, 0.0, 4.0)
    adder = k.of_class("adder_ns", part)
    slower = table.of_layers(table.design.slower)
    whole_ns = k.of_class("multiplier_ns", part) * area ** k.of_class("multiplier_power", part)
    product_ns = np.where(multipliers > 0.5, whole_ns, np.where(c.shift_adders > 0.5, adder, 0.0))
    # Bound to logic, a small product is one short stage.
    product_ns = np.where(c.to_fabric > 0, 0.3 * product_ns, product_ns)
    # ``Resource`` at reuse factor 1 starts its sums from the biases: one level less.
    started = (c.strategy == RESOURCE).astype(np.float64)
    growth = 1.0 + np.maximum(0.0, c.acc_bits - 16.0) / 32.0
    # A product that one cycle does not hold goes through a DSP's registers, which are none of the logic's.
    staged = (in_dsp > 0.5) & (whole_ns * slower > usable)
    staged_ns = np.where(staged, np.maximum(product_ns, DSP_STAGES * usable / slower), product_ns)
    sums_ns = adder * np.maximum(c.depth - started, 0.0) * growth
    once, cuts = (
        np.maximum(0.0, np.ceil((product + sums_ns) * delay / usable - 1e-9) - 1.0)
        for product, delay in ((staged_ns, slower), (product_ns, 1.0))
    )
    # Too many products: the sum is a chain that takes about two terms a cycle.
    chained = products > UNROLL_LIMIT
    once = np.where(chained, np.maximum(once, np.ceil(c.nonzeros / c.n_out / 2.0)), once)

    # Multipliers shared in time.
    passes = np.ceil(multipliers / limit)
    serial = np.where((reuse > 1) & (passes > 2), passes + 2.0, 0.0)
    cycles = np.maximum(once, serial)
    # Its top function is a dataflow of one step at a time, not a pipeline.
    ii = np.where(reuse > 1, np.minimum(c.legal_reuse, cycles + 1.0), 1.0 + started * cycles)

    # Shared multipliers in fabric are whole ones, and few.
    fabric_bits = c.multiplier_bits * fabric_share
    fabric_bits = np.where(
        passes > 1, np.minimum(fabric_bits, limit * fabric_share * c.in_bits * c.w_bits), fabric_bits
    )
    lut = _logic(table, k, vitis, fabric_bits)
    lut = np.maximum(lut - started * k["resource_merged_lut"] * in_dsp, 0.0)
    # Registers: what is alive at each pipeline cut; each cycle takes as many levels as fit. What is kept was
    # fitted at one speed grade: a slower one's further cuts made it worse on families left out.
    cuts = np.where(chained, 0.0, np.minimum(cuts, 40.0))
    total_live = np.zeros_like(cuts)
    held = multipliers * (c.in_bits + constant_bits) + c.shift_adder_bits
    level_ns = np.maximum(adder * growth, 1e-9)
    # ... but ``Resource`` keeps the products' first sums apart.
    deepest = np.where((started > 0) & (in_dsp > 0.5), np.minimum(c.depth, 1.0), c.depth)
    rows = np.arange(cuts.size)
    for number in range(1, int(cuts.max(initial=0.0)) + 1):
        rows = rows[cuts[rows] >= number]
        passed = number * usable[rows]
        level = np.clip((passed - product_ns[rows]) / level_ns[rows], 0.0, deepest[rows])
        low = np.minimum(np.floor(level), LEVELS - 2).astype(np.int64)
        # Between two levels the live bits fall geometrically.
        first, second = (np.maximum(table.layer.live_bits[rows, at], 1.0) for at in (low, low + 1))
        total_live[rows] += np.where(
            passed < product_ns[rows], held[rows], first ** (1.0 - (level - low)) * second ** (level - low)
        )
    total_live = np.where(chained, k["chained_ff_per_bit"] * c.tree_bits, total_live)
    kept = np.where(reuse > 8, k["much_shared_ff_share"], np.where(reuse > 1, k["shared_ff_share"], 1.0))
    ff = k["cut_ff_per_bit"] * total_live * kept + k["edge_ff_per_bit"] * c.n_in * c.in_bits
    # Sharing: operands and results of each multiplication wait and are selected.
    waiting = np.where(passes > 2, multipliers * (c.in_bits + c.acc_bits), 0.0)
    selected = np.where(waiting > 0, multipliers * constant_bits, 0.0)
    selector = np.where(implemented_layers(table), k["built_mux_lut_per_bit"], k["shared_mux_lut_per_bit"])
    lut = lut + selector * selected
    ff = ff + k["shared_ff_per_bit"] * waiting
    return {
        "lut": lut,
        "ff": ff,
        "dsp": dsp * np.where(wide, 2.0, 1.0),
        "bram_18k": np.zeros_like(lut),
        "cycles": cycles,
        "ii": ii,
    }


def _logic(table: DesignTable, k: Coefficients, vitis: FloatArray, fabric_bits: FloatArray) -> FloatArray:
    """LUTs of adders and of products in fabric, as C synthesis counts them or as logic synthesis builds them.

    C synthesis charges every adder and constant product by its width. Logic synthesis merges them: an adder
    of two is one LUT a bit, of three often too, and a constant bias goes into the last one.
    """
    c = table.layer
    modes = c.acc_modes * c.nonzeros * c.acc_bits / 4.0
    estimated = (
        k["tree_lut_per_bit"] * c.tree_bits
        + k["tree_lut_per_adder"] * c.tree_adders
        + k["bias_lut_per_bit"] * c.bias_adders * c.acc_bits
        + np.where(vitis > 0, k["vitis_shift_adder_lut_per_bit"], k["vivado_shift_adder_lut_per_bit"])
        * c.shift_adder_bits
        + k["multiplier_lut_per_bit2"] * fabric_bits
        + k["output_lut_per_bit"] * c.n_out * c.out_bits
        + k["accum_mode_lut_per_bit"] * modes
    )
    built = (
        k["built_tree_lut_per_bit"] * c.tree_bits
        + k["built_bias_lut_per_bit"] * c.bias_adders * c.acc_bits
        + k["built_shift_adder_lut_per_bit"] * c.shift_adder_bits
        + k["built_multiplier_lut_per_bit2"] * fabric_bits
        + 0.5 * k["accum_mode_lut_per_bit"] * modes
    )
    out: FloatArray = np.where(implemented_layers(table), built, estimated)
    return out


def implemented_layers(table: DesignTable) -> NDArray[np.bool_]:
    """Layers of designs after logic synthesis or routing."""
    stages: FloatArray = table.design.stage
    return (stages > 0)[table.owner]
