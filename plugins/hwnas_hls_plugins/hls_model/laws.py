"""The laws: what each layer of a design costs, from its structure. All units are those of C synthesis.

Every law takes the table and the coefficients and gives one array entry a layer; :func:`evaluate` adds them
up to designs. Scale factors for tool, silicon and stage come afterwards, in the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.hls_model.constants import LEVELS
from hwnas_hls_plugins.hls_model.table import DISTRIBUTED, RESOURCE, UNROLLED, DesignTable

FloatArray = NDArray[np.float64]

#: Products of one layer above which the tools no longer balance the adder tree.
UNROLL_LIMIT = 4096
#: Inputs narrower than this multiply in fabric by themselves.
DSP_INPUT_BITS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """What the laws say, in units of C synthesis.

    Attributes:
        layer: metric -> array, one a layer, the activation included (``lut ff dsp bram_18k cycles ii``).
        design: metric -> array, one a design (``latency_cycles ii_cycles lut ff dsp bram_18k uram``).
    """

    layer: dict[str, FloatArray]
    design: dict[str, FloatArray]


def evaluate(table: DesignTable, k: Coefficients) -> Costs:
    """All laws over all designs."""
    c = table.layer
    owner = table.owner
    design = table.design
    usable = design["usable_ns"][owner] if owner.size else np.zeros(0)
    part = design["part_class"][owner] if owner.size else np.zeros(0)
    vitis = design["vitis"][owner] if owner.size else np.zeros(0)
    resource = (c["strategy"] == RESOURCE) & (c["legal_reuse"] > 1)
    distributed = c["strategy"] == DISTRIBUTED

    unrolled = _unrolled(table, k, usable, part, vitis)
    shared = _resource(table, k, part, vitis)
    adders = _distributed(table, k, usable, part)
    layer = {
        name: np.where(resource, shared[name], np.where(distributed, adders[name], unrolled[name]))
        for name in ("lut", "ff", "dsp", "bram_18k", "cycles", "ii")
    }
    activation = _activations(table, k, usable, part, vitis)
    flow_bits = _dataflow_bits(table, resource)
    streams = design["stream"][owner] if owner.size else np.zeros(0)
    for name in ("lut", "ff", "dsp", "bram_18k"):
        layer[name] = layer[name] + activation[name]
    layer["lut"] = layer["lut"] + k["dataflow_lut_per_bit"] * flow_bits
    layer["ff"] = layer["ff"] + k["dataflow_ff_per_bit"] * flow_bits
    # A stream carries FIFOs of the layer's output.
    layer["ff"] = layer["ff"] + streams * 2.0 * c["n_out"] * c["result_bits"]
    layer["lut"] = layer["lut"] + streams * 1.0 * c["n_out"] * c["result_bits"]

    totals = {name: table.total(layer[name]) for name in ("lut", "ff", "dsp", "bram_18k")}
    any_resource = table.largest(resource.astype(np.float64)) > 0
    n_layers = design["n_layers"]
    is_vitis = design["vitis"] > 0
    lines = table.total(activation["steps"])
    # A single layer is inlined into the top function by every hls4ml of the last years.
    inlined = (n_layers == 1) & ((design["version"] >= 2020) | (design["version"] == 0))
    lines = np.where(inlined, 0.0, lines)
    pipelined = (
        table.total(layer["cycles"])
        + np.where(inlined, 0.0, n_layers)
        * np.where(is_vitis, k["vitis_layer_cycles"], k["vivado_layer_cycles"])
        + lines
        * np.where(
            is_vitis,
            k.of_class("vitis_activation_cycles", design["part_class"]),
            k.of_class("vivado_activation_cycles", design["part_class"]),
        )
        # An interval above one cycle leaves room to chain an activation.
        - np.where(is_vitis & (table.largest(layer["ii"]) > 1), lines + 1.0, 0.0)
        + np.where(is_vitis, k["vitis_design_cycles"], k["vivado_design_cycles"])
    )
    dataflow = (
        table.total(layer["cycles"])
        + 2.0 * n_layers
        - 1.0
        + lines * k["resource_activation_cycles"]
        + table.total((c["activation"] == 2) * 1.0) * k["resource_softmax_cycles"]
    )
    latency = np.where(any_resource, dataflow, pipelined) + table.total(activation["cycles"])
    interval = table.largest(layer["ii"])
    wrapper = design["wrapped"]
    ends = _ends(table)
    latency = np.maximum(0.0, np.floor(latency + 0.5)) + wrapper * (1.5 * ends + 6.0)
    interval = np.where(wrapper > 0, latency, np.maximum(1.0, interval))
    totals["latency_cycles"] = latency
    totals["ii_cycles"] = interval
    totals["lut"] = totals["lut"] + wrapper * 300.0 * ends
    totals["ff"] = totals["ff"] + wrapper * 150.0 * ends
    totals["uram"] = np.zeros(len(table.queries))
    layer["steps"] = activation["steps"]
    layer["activation_cycles"] = activation["cycles"]
    return Costs(layer, totals)


def _dataflow_bits(table: DesignTable, resource: NDArray[np.bool_]) -> FloatArray:
    """Bits of the channels before each ``Resource`` layer of a design of several layers."""
    c = table.layer
    several = table.design["n_layers"][table.owner] > 1 if table.owner.size else np.zeros(0, bool)
    previous = np.zeros_like(c["n_in"])
    previous[1:] = c["out_bits"][:-1] * (c["activation"][:-1] > 0)
    inside = np.concatenate([[False], table.owner[1:] == table.owner[:-1]]) if table.owner.size else several
    out: FloatArray = np.where(
        several & resource, c["n_in"] * (c["in_bits"] + np.where(inside, previous, 0.0)), 0.0
    )
    return out


def _ends(table: DesignTable) -> FloatArray:
    """Inputs plus outputs of each design."""
    return np.array([q.layers[0].n_in + q.layers[-1].n_out if q.layers else 0.0 for q in table.queries])


def _unrolled(
    table: DesignTable, k: Coefficients, usable: FloatArray, part: FloatArray, vitis: FloatArray
) -> dict[str, FloatArray]:
    """The ``Latency`` strategy (and ``Resource`` at reuse factor 1, which unrolls alike)."""
    c = table.layer
    multipliers = c["multipliers"]
    eligible = c["in_bits"] >= DSP_INPUT_BITS
    in_dsp = np.where(eligible, multipliers - np.where(vitis > 0, 0.0, c["small_multipliers"]), 0.0)
    in_dsp = np.where(c["to_dsp"] > 0, multipliers, np.where(c["to_fabric"] > 0, 0.0, in_dsp))
    in_dsp = np.maximum(0.0, in_dsp)
    # Operands beyond one DSP's ports take two.
    wide = (np.maximum(c["in_bits"], c["w_bits"]) > k["wide_multiplier_bits"]) | (
        np.minimum(c["in_bits"], c["w_bits"]) > 18
    )
    products = c["n_in"] * c["n_out"]
    reuse = np.maximum(1.0, np.minimum(c["legal_reuse"], products))
    zeros = np.maximum(0.0, products - c["nonzeros"])
    limit = np.maximum(1.0, np.ceil(products / reuse) - np.floor(zeros / reuse))
    dsp = np.where(reuse > 1, np.minimum(in_dsp, limit), in_dsp)
    fabric_share = np.where(multipliers > 0, 1.0 - in_dsp / np.maximum(multipliers, 1e-9), 0.0)

    # Timing of one pass.
    constant_bits = np.where(
        multipliers > 0.5, c["multiplier_bits"] / np.maximum(multipliers * c["in_bits"], 1.0), 0.0
    )
    area = np.clip((c["in_bits"] / 16.0) ** 2, 0.0, 4.0)
    adder = k.of_class("adder_ns", part)
    product_ns = np.where(
        multipliers > 0.5,
        k.of_class("multiplier_ns", part) * area ** k.of_class("multiplier_power", part),
        np.where(c["shift_adders"] > 0.5, adder, 0.0),
    )
    # Bound to logic, a small product is one short stage.
    product_ns = np.where(c["to_fabric"] > 0, 0.3 * product_ns, product_ns)
    # ``Resource`` at reuse factor 1 starts its sums from the biases: one level less.
    started = (c["strategy"] == RESOURCE).astype(np.float64)
    growth = 1.0 + np.maximum(0.0, c["acc_bits"] - 16.0) / 32.0
    path = product_ns + adder * np.maximum(c["depth"] - started, 0.0) * growth
    once = np.maximum(0.0, np.ceil(path / usable - 1e-9) - 1.0)
    # Too many products: the sum is a chain that takes about two terms a cycle.
    chained = products > UNROLL_LIMIT
    once = np.where(chained, np.maximum(once, np.ceil(c["nonzeros"] / c["n_out"] / 2.0)), once)

    # Multipliers shared in time.
    passes = np.ceil(multipliers / limit)
    serial = np.where((reuse > 1) & (passes > 2), passes + 2.0, 0.0)
    cycles = np.maximum(once, serial)
    # Its top function is a dataflow of one step at a time, not a pipeline.
    ii = np.where(reuse > 1, np.minimum(c["legal_reuse"], cycles + 1.0), 1.0 + started * cycles)

    # Shared multipliers in fabric are whole ones, and few.
    fabric_bits = c["multiplier_bits"] * fabric_share
    fabric_bits = np.where(
        passes > 1, np.minimum(fabric_bits, limit * fabric_share * c["in_bits"] * c["w_bits"]), fabric_bits
    )
    tree = k["tree_lut_per_bit"] * c["tree_bits"] + k["tree_lut_per_adder"] * c["tree_adders"]
    lut = (
        tree
        + k["bias_lut_per_bit"] * c["bias_adders"] * c["acc_bits"]
        + np.where(vitis > 0, k["vitis_shift_adder_lut_per_bit"], k["vivado_shift_adder_lut_per_bit"])
        * c["shift_adder_bits"]
        + k["multiplier_lut_per_bit2"] * fabric_bits
        + k["output_lut_per_bit"] * c["n_out"] * c["out_bits"]
        + k["accum_mode_lut_per_bit"] * c["acc_modes"] * c["nonzeros"] * c["acc_bits"] / 4.0
    )
    lut = np.maximum(lut - started * k["resource_merged_lut"] * in_dsp, 0.0)
    # Registers: what is alive at each pipeline cut; each cycle takes as many levels as fit.
    cuts = np.where(chained, 0.0, np.minimum(once, 40.0))
    live = table.live_bits
    total_live = np.zeros_like(cuts)
    for number in range(1, int(cuts.max(initial=0.0)) + 1):
        active = cuts >= number
        level = np.clip((number * usable - product_ns) / np.maximum(adder * growth, 1e-9), 0.0, c["depth"])
        # ... but ``Resource`` keeps the products' first sums apart.
        level = np.where((started > 0) & (in_dsp > 0.5), np.minimum(level, 1.0), level)
        low = np.minimum(np.floor(level), LEVELS - 2).astype(np.int64)
        rows = np.arange(live.shape[0])
        # Between two levels the live bits fall geometrically.
        first, second = np.maximum(live[rows, low], 1.0), np.maximum(live[rows, low + 1], 1.0)
        inside = number * usable < product_ns
        held = multipliers * (c["in_bits"] + constant_bits) + c["shift_adder_bits"]
        total_live += np.where(active & inside, held, 0.0)
        total_live += np.where(
            active & ~inside, first ** (1.0 - (level - low)) * second ** (level - low), 0.0
        )
    total_live = np.where(chained, k["chained_ff_per_bit"] * c["tree_bits"], total_live)
    kept = np.where(reuse > 8, k["much_shared_ff_share"], np.where(reuse > 1, k["shared_ff_share"], 1.0))
    ff = k["cut_ff_per_bit"] * total_live * kept + k["edge_ff_per_bit"] * c["n_in"] * c["in_bits"]
    # Sharing: operands and results of each multiplication wait and are selected.
    waiting = np.where(passes > 2, multipliers * (c["in_bits"] + c["acc_bits"]), 0.0)
    lut = lut + k["shared_mux_lut_per_bit"] * np.where(waiting > 0, multipliers * constant_bits, 0.0)
    ff = ff + k["shared_ff_per_bit"] * waiting
    return {
        "lut": lut,
        "ff": ff,
        "dsp": dsp * np.where(wide, 2.0, 1.0),
        "bram_18k": np.zeros_like(lut),
        "cycles": cycles,
        "ii": ii,
    }


def _resource(
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


def _distributed(
    table: DesignTable, k: Coefficients, usable: FloatArray, part: FloatArray
) -> dict[str, FloatArray]:
    """Distributed arithmetic (da4ml): no multiplier, adders of CSD digits shared between the outputs.

    Closed form for da4ml's own cost (which is the LUT count after routing within about 5 %), fitted to its
    solver on 49 layers from 16 x 16 to 64 x 32, 3 to 8 bit weights, 4 to 12 bit inputs: 6 % rms, 13 % worst.
    Adder levels and the levels that fit a clock period as in the notes of its authors' designs.
    """
    c = table.layer
    columns = np.minimum(c["n_out"], np.maximum(c["nonzeros"], 0.0))
    adders = np.maximum(c["digits"] - columns, 1.0)
    digits = np.maximum(c["digits"] / np.maximum(c["n_out"], 1.0), 1.0)
    lut = (
        k["da_lut"]
        * adders ** k["da_adder_power"]
        * (c["in_bits"] + 1.0) ** k["da_input_power"]
        * digits ** k["da_digit_power"]
    )
    lut = np.where(c["digits"] >= 1.0, lut, 0.0)
    levels = k["da_levels"] + k["da_levels_per_log2"] * np.log2(digits)
    # A stage of n levels takes 0.87 + 0.80 n ns and 0.0071 ns per thousand LUTs (UltraScale+).
    slow = k.of_class("adder_ns", part) / 0.7
    clock = table.design["clock_ns"][table.owner] if table.owner.size else usable
    fit = np.maximum(1.0, np.floor((clock / slow - 0.87 - 0.0071 * lut / 1000.0) / 0.80))
    stages = np.maximum(1.0, np.ceil(levels / fit))
    return {
        "lut": lut,
        "ff": stages * c["n_out"] * c["acc_bits"],
        "dsp": np.zeros_like(lut),
        "bram_18k": np.zeros_like(lut),
        "cycles": stages - 1.0,
        "ii": np.ones_like(lut),
    }


def _activations(
    table: DesignTable, k: Coefficients, usable: FloatArray, part: FloatArray, vitis: FloatArray
) -> dict[str, FloatArray]:
    """What stands after each dense layer; ``steps`` counts activation and normalisation modules."""
    c = table.layer
    kind = c["activation"]
    relu, softmax, tabled, simple, leaky, elu = (kind == code for code in (1, 2, 3, 4, 5, 6))
    n = c["n_out"]
    zero = np.zeros_like(n)
    modes = c["result_modes"]
    # The adder graph's cost already holds its activation.
    relu_kept = c["strategy"] != DISTRIBUTED
    relu_bits = np.where(vitis > 0, k["vitis_relu_lut_per_bit"], k["vivado_relu_lut_per_bit"])
    relu_lut = (
        relu_kept * n * (relu_bits * c["result_bits"] + np.where(modes > 0, k["relu_mode_lut"] - 14.0, 0.0))
    )
    # Softmax: tables of exponentials, a sum, a table of inverses, one product a class.
    in_fabric = c["to_fabric"] > 0
    softmax_lut = n * np.where(in_fabric, k["softmax_fabric_lut"], k["softmax_lut"])
    lut = np.select(
        [relu, softmax, tabled, simple, leaky, elu],
        [relu_lut, softmax_lut, n * k["table_lut"], n * 20.0, n * 8.0, n * k["elu_lut"]],
        0.0,
    )
    ff = np.select([softmax, tabled | elu], [n * k["softmax_ff"], n * k["table_ff"]], 0.0)
    dsp = np.select([softmax & ~in_fabric, leaky], [n, zero], 0.0)
    bram = np.select([softmax, tabled | elu], [np.ceil(n / 2.0) + 1.0, np.ceil(n / 2.0)], 0.0)
    levels = np.log2(np.maximum(n, 1.0))
    softmax_cycles = np.floor(
        (k.of_class("softmax_ns", part) + k.of_class("softmax_level_ns", part) * levels)
        / np.maximum(usable, 1e-9)
    )
    softmax_cycles = np.maximum(1.0, softmax_cycles - 2.0 * in_fabric)
    cycles = np.select([softmax, tabled | elu], [softmax_cycles, np.full_like(n, 2.0)], 0.0)
    batch = c["batch"] > 0
    lut = lut + np.where(batch, n * k["batch_lut_per_bit"] * c["result_bits"], 0.0)
    dsp = dsp + np.where(
        batch & (c["result_bits"] >= DSP_INPUT_BITS) & ~in_fabric & (c["to_dsp"] == 0), 0.8 * n, 0.0
    )
    # Softmax sits in its own module too, but its cycles are counted above.
    steps = (relu | simple | leaky | tabled | elu).astype(np.float64) + batch
    return {"lut": lut, "ff": ff, "dsp": dsp, "bram_18k": bram, "cycles": cycles, "steps": steps}


__all__ = ["RESOURCE", "UNROLLED", "UNROLL_LIMIT", "Costs", "evaluate"]
