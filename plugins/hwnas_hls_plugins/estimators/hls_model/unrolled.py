"""The ``Latency`` strategy: weights are constants in the logic; see ``docs/accuracy.md`` for its errors."""

from __future__ import annotations

from dataclasses import dataclass

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
#: names of the former request DSPs or logic, and the default of the compiler is not certain.
SMALL_DSP_UNTIL, SMALL_DSP_BITS = 2022.0, 8.0
#: Share by which the delays of one compiler and silicon are uncertain.
DELAY_SPREAD = 0.15
#: Usable time of a cycle up to which every product waits for its sum. Set by hand: at 25 ns two designs of a
#: single source keep a third of their products.
WAITING_NS = 8.0
_SERIES_7 = (PART_CLASSES.index("7series_slow"), PART_CLASSES.index("7series_fast"))


def small_dsps(table: DesignTable) -> NDArray[np.bool_]:
    """Layers whose products of 8 bits the model puts into DSPs, as old Vitis HLS does on series 7."""
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
    """The ``Latency`` strategy (and ``Resource`` at reuse factor 1, which unrolls alike).

    ``ff_less`` and ``ff_more`` are the registers less and more where delays differ by ``DELAY_SPREAD``.
    """
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
    unbound_ns = np.where(multipliers > 0.5, whole_ns, np.where(c.shift_adders > 0.5, adder, 0.0))
    # Bound to logic, a small product is one short stage.
    product_ns = np.where(c.to_fabric > 0, 0.3 * unbound_ns, unbound_ns)
    # ``Resource`` at reuse factor 1 starts its sums from the biases: one level less.
    started = (c.strategy == RESOURCE).astype(np.float64)
    growth = 1.0 + np.maximum(0.0, c.acc_bits - 16.0) / 32.0
    # A product that one cycle does not hold goes through a DSP's registers, which are none of the logic's.
    staged = (in_dsp > 0.5) & (whole_ns * slower > usable)
    staged_ns = np.where(staged, np.maximum(product_ns, DSP_STAGES * usable / slower), product_ns)
    sums_ns = adder * np.maximum(c.depth - started, 0.0) * growth
    once = cuts_of((staged_ns + sums_ns) * slower, usable)
    # Too many products: the sum is a chain that takes about two terms per cycle.
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
    # Registers where every delay is shorter, as the law has it, or longer. Between them often lies one cut,
    # and with it most registers of a small design.
    held = multipliers * (c.in_bits + constant_bits) + c.shift_adder_bits
    level_ns = np.maximum(adder * growth * k.of_class("cut_level_share", part), 1e-9)
    # An adder follows the last cut, unless the tree is one adder. ``Resource`` keeps the products' first sums
    # apart.
    first_sums = (started > 0) & (in_dsp > 0.5)
    one = np.minimum(c.depth, 1.0)
    deepest = np.where(first_sums, one, np.maximum(c.depth - 1.0, one))
    kept = np.where(reuse > 1, k["shared_ff_share"], 1.0)
    # What many passes share waits in registers: every product that is added, whatever its width (single
    # layers of 8 to 14 bits, and modules of two sources). Of the inputs only the network's are registered.
    waiting = k["shared_ff_per_bit"] * c.nonzeros * c.acc_bits * np.minimum(1.0, WAITING_NS / usable)
    edge = k["edge_ff_per_bit"] * c.first * c.n_in * c.in_bits
    # Logic synthesis moves registers of and behind a product into its DSP.
    absorbed = np.where(implemented_layers(table), in_dsp * (c.in_bits + constant_bits), 0.0)
    registers = []
    for delay in (1.0 - DELAY_SPREAD, 1.0, 1.0 + DELAY_SPREAD):
        path = _Path(unbound_ns * delay, sums_ns * delay, level_ns * delay, deepest, held, absorbed)
        cut = path.live_bits(c.live_bits, usable, chained)
        live = np.where(chained, k["chained_ff_per_bit"] * c.tree_bits, cut)
        registers.append(np.where(passes > 2, waiting, k["cut_ff_per_bit"] * live * kept) + edge)
    few, law, many = registers
    ff = (few + law + many) / 3.0
    # Sharing: the operands of each multiplication are selected.
    selected = np.where(passes > 2, multipliers * constant_bits, 0.0)
    selector = np.where(implemented_layers(table), k["built_mux_lut_per_bit"], k["shared_mux_lut_per_bit"])
    lut = lut + selector * selected
    return {
        "lut": lut,
        "ff": ff,
        "ff_less": ff - np.minimum(few, ff),
        "ff_more": np.maximum(many, ff) - ff,
        "dsp": dsp * np.where(wide, 2.0, 1.0),
        "bram_18k": np.zeros_like(lut),
        "cycles": cycles,
        "ii": ii,
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """The delays of each layer from its input to its sums, in ns; arrays (layers,).

    Networks that were built twice, products in DSPs and in logic, have the same registers (5 ns). A slower
    speed grade's further cuts made registers worse on families left out, and are not counted.

    Args:
        product_ns, sums_ns, level_ns: of a product, of the whole tree and of one of its levels.
        deepest: levels of the tree.
        held: bits alive inside a product.
        absorbed: bits inside and behind the products that DSPs hold in registers of their own.
    """

    product_ns: FloatArray
    sums_ns: FloatArray
    level_ns: FloatArray
    deepest: FloatArray
    held: FloatArray
    absorbed: FloatArray

    def live_bits(self, live: FloatArray, usable: FloatArray, skipped: NDArray[np.bool_]) -> FloatArray:
        """Bits that are alive at the pipeline cuts of each layer, summed.

        Args:
            live: bits alive after each level, (layers, LEVELS).
            usable: ns of a cycle.
            skipped: layers that form no tree.
        """
        cuts = np.minimum(cuts_of(self.product_ns + self.sums_ns, usable), 40.0)
        cuts = np.where(skipped, 0.0, cuts)
        total = np.zeros_like(cuts)
        rows = np.arange(cuts.size)
        for number in range(1, int(cuts.max(initial=0.0)) + 1):
            rows = rows[cuts[rows] >= number]
            passed = number * usable[rows]
            product_ns = self.product_ns[rows]
            level = np.clip((passed - product_ns) / self.level_ns[rows], 0.0, self.deepest[rows])
            low = np.minimum(np.floor(level), LEVELS - 2).astype(np.int64)
            # Between two levels the live bits fall geometrically.
            first, second = (np.maximum(live[rows, at], 1.0) for at in (low, low + 1))
            kept = first ** (1.0 - (level - low)) * second ** (level - low)
            # Of a cut above the first adders, those that lie behind the products are in the DSPs.
            behind = np.maximum(0.0, 1.0 - level) * self.absorbed[rows]
            total[rows] += np.where(
                passed < product_ns,
                np.maximum(0.0, self.held[rows] - self.absorbed[rows]),
                np.maximum(0.0, kept - behind),
            )
        return total


def cuts_of(path_ns: FloatArray, usable_ns: FloatArray) -> FloatArray:
    """Pipeline cuts that paths of such delays need."""
    out: FloatArray = np.maximum(0.0, np.ceil(path_ns / usable_ns - 1e-9) - 1.0)
    return out


def boundary_ff(table: DesignTable, k: Coefficients) -> FloatArray:
    """Registers of the top function behind each unrolled layer: its results, one register per bit.

    If an activation takes a cycle, the sums before it are registered as well. In eleven reports
    of three sources (Vivado HLS 2020.1; Vitis HLS 2021.1 and 2025.1) the registers outside all modules are
    these, within a tenth.
    """
    c, d = table.layer, table.design
    later = np.where(
        d.vitis > 0,
        k.of_class("vitis_activation_cycles", d.part_class),
        k.of_class("vivado_activation_cycles", d.part_class),
    )
    apart = (c.activation > 0) & (c.activation != 2) & (table.of_layers(later) > 0)
    # An output without weights, or that no later layer reads, is not built.
    unused = 1.0 - c.nonzeros / np.maximum(c.n_in * c.n_out, 1.0)
    fed, read = 1.0 - unused**c.n_in, 1.0 - unused**c.n_out
    next_reads = np.where(c.last > 0, 1.0, np.append(read[1:], 1.0))
    out: FloatArray = c.n_out * fed * next_reads * (c.result_bits + apart * c.out_bits)
    return out


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
