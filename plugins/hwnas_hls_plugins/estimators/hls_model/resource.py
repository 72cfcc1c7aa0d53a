"""Costs of the ``Resource`` strategy: multiply-accumulate blocks with weights from memory.

What hls4ml's ``nnet_dense_resource.h`` leads to: a loop of RF steps over ceil(n_in n_out / RF) blocks, each a
product added to the accumulator that its step selects. A block reads its input through a selector, writes
through another where RF is more than twice ``n_in``, and both are what C synthesis charges most for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.limits import DSP_INPUT_BITS
from hwnas_hls_plugins.estimators.hls_model.coefficients import Coefficients
from hwnas_hls_plugins.estimators.hls_model.table import RESOURCE, DesignTable
from hwnas_hls_plugins.estimators.hls_model.unrolled import cuts_of

FloatArray = NDArray[np.float64]

#: LUTs of a selector of 16-bit words by log2 of its entries. 32 to 256 are read off the single layers to a
#: LUT, the small ones are the tools' own table, the large ones go on in proportion.
_SELECTOR_LOG2 = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 16.0])
_SELECTOR_LUT = np.array([0.0, 9.0, 21.0, 43.0, 65.0, 153, 273, 673, 1362, 2740, 5490, 11000, 352000])
#: LUTs of the index arithmetic before a selection out of one wide word, by log2 of its bits.
_INDEX_LOG2, _INDEX_LUT = np.array([4.0, 9, 10, 11, 12, 17]), np.array([80.0, 256, 331, 350, 366, 430])
#: Copies of its input that a dataflow of Vivado HLS makes (two in two reports, one in a third), and the bits
#: of a channel above which it is block RAM.
INPUT_COPIES, CHANNEL_BITS = 2.0, 1024.0
#: Steps above which the loop of a layer in a dataflow may take this many cycles a step: at 39,200 steps, two
#: products for 784 inputs, Vivado HLS reached 21 cycles a step; at 7,840 it reached one (a report each).
LONG_LOOP, LOOP_INTERVAL = 8192, 25.0
#: Time of a cycle, less the compiler's uncertainty, that holds a block's product and sum on any silicon: two
#: networks on slow silicon took no further cycles a layer at 10 ns, two took four at 5 ns.
LOOP_NS = 7.0
#: Bits of a word above which the tools' cost of a shift no longer grows.
_SHIFT_BITS = 512.0
#: Words of weights up to which Vitis HLS may not take a block RAM; a guess.
FEW_WORDS = 16


def selector_lut(entries: FloatArray, bits: FloatArray) -> FloatArray:
    """LUTs of an n-to-1 selector of words; n counts as the next power of two."""
    steps = np.ceil(np.log2(np.maximum(entries, 1.0)) - 1e-9)
    out: FloatArray = np.interp(steps, _SELECTOR_LOG2, _SELECTOR_LUT) * bits / 16.0
    return out


def wide_read_lut(bits: FloatArray, k: Coefficients) -> FloatArray:
    """LUTs of reading a slice at a variable place out of one word: two shifts, a reversal and a mask."""
    bits = np.maximum(bits, 2.0)
    shifted = np.minimum(bits, _SHIFT_BITS)
    shift = k["resource_shift_lut"] * shifted * np.log2(shifted)
    index = np.interp(np.log2(bits), _INDEX_LOG2, _INDEX_LUT)
    out: FloatArray = 2.0 * shift + k["resource_select_lut_per_bit"] * bits + index
    return out


def resource_costs(table: DesignTable, k: Coefficients, several: NDArray[np.bool_]) -> dict[str, FloatArray]:
    """The ``Resource`` strategy, reuse factor above 1: multiply-accumulate blocks fed from memory.

    Args:
        several: layers of designs of several :func:`processes`.
    """
    c = table.layer
    part, vitis = table.of_layers(table.design.part_class), table.of_layers(table.design.vitis)
    reuse = np.maximum(1.0, c.legal_reuse)
    products = c.n_in * c.n_out
    blocks = np.ceil(products / reuse)
    first = c.first > 0
    few_steps = reuse <= c.n_in
    narrow_weight = c.w_bits <= 4
    narrow_input = c.in_bits < DSP_INPUT_BITS
    dsp = _dsp(table, blocks, vitis, few_steps)
    multiplied = ~narrow_weight & ~narrow_input & ~((c.w_bits < 8) & (vitis > 0))
    wide = (np.maximum(c.in_bits, c.w_bits) > k["wide_multiplier_bits"]) | (
        np.minimum(c.in_bits, c.w_bits) > 18
    )
    two_fold = np.abs(reuse / c.n_in - 2.0) < 1e-9
    muxed = (reuse > c.n_in) & ~two_fold
    whole = blocks <= 1

    # A first layer reads its port, one word; a later one the channels between two processes. Below n_in steps
    # there are several reads; how many of the wide ones the tools merge is not known: between one and all.
    reads = np.where(few_steps, np.ceil(c.n_in / reuse), 1.0)
    read = np.where(
        first,
        np.sqrt(reads) * wide_read_lut(c.n_in * c.in_bits, k),
        reads * selector_lut(c.n_in, c.in_bits) + k["resource_input_lut"] * c.n_in,
    )
    # Read off the single layers: with 6 or 8 in place of 7 their mean error is four times as large.
    adder = c.acc_bits + 7.0
    # Up to n_in steps a block works its index out anew; two designs of one source show what that costs, its
    # growth with the steps lies between none and that of a selector.
    most = k["resource_index_lut"]
    index = np.minimum(most, np.sqrt(most * selector_lut(reuse, np.full_like(reuse, 16.0))))
    block_lut = adder + np.where(
        muxed,
        k["resource_mux_scale"] * selector_lut(c.n_out, c.acc_bits),
        k["resource_block_lut"] + np.where(few_steps & several, index, 0.0),
    )
    in_fabric = np.maximum(0.0, blocks - dsp)
    # 40 is a guess, set by hand: the single layers hold few such products (36 or 44 change nothing there).
    product_lut = np.where(
        narrow_weight,
        k["resource_fabric_lut"],
        np.where(muxed & ~narrow_input, k["resource_fabric_lut"], 40.0),
    )
    lut = (
        read
        + k["resource_output_lut"] * c.n_out * np.where(whole, 2.0, 1.0)
        + blocks * block_lut
        + in_fabric * product_lut
    )
    operand = np.where(multiplied, c.acc_bits, c.w_bits)
    short = table.of_layers(table.design.usable_ns) < LOOP_NS
    registers = short * k.of_class("resource_operand_registers", part) * (c.in_bits + c.w_bits)
    ff = (
        k["resource_ff"]
        + k["resource_ff_per_log2"] * np.log2(reuse)
        + c.n_out * c.acc_bits * np.where(whole | several, 2.0, 1.0)
        + blocks * np.where(~muxed, np.where(multiplied, c.w_bits, 0.0), operand)
        + blocks * registers
        # Set by hand near the single layers, which 33 or 41 fit as well.
        + np.where(two_fold, 37.0 * multiplied, 0.0)
        + np.where(several, k["process_input_ff_per_bit"] * c.n_in * c.in_bits, 0.0)
    )
    depth_bits = np.where(reuse <= 512, 36.0, np.where(reuse <= 1024, 18.0, 9.0 / np.ceil(reuse / 2048.0)))
    bram = np.ceil(blocks * c.w_bits / depth_bits) + ((reuse >= 512) & muxed)
    bram += input_copies_bram(table, several)
    extra = short * k.of_class("resource_extra_cycles", part)
    # Slow silicon takes one cycle less if the loop contains no wide product.
    narrow = (c.in_bits + c.w_bits < 2.0 * DSP_INPUT_BITS) & (extra > 1)
    shorter = two_fold & (c.w_bits <= 4)
    return {
        "lut": lut,
        "ff": ff,
        "dsp": dsp * np.where(wide, 2.0, 1.0),
        "bram_18k": bram,
        "cycles": reuse + extra + _tree_cycles(table, k) - shorter - narrow,
        "ii": reuse,
    }


def _tree_cycles(table: DesignTable, k: Coefficients) -> FloatArray:
    """Cycles that a step takes longer because it sums several products of an output: ``ceil(n_in / RF)``.

    hls4ml's loop adds all of them to one accumulator in one step. The compiler builds a tree before the
    accumulator; its levels follow the product in the same cycle, or the registers of a DSP.
    """
    c, d = table.layer, table.design
    usable, part = table.of_layers(d.usable_ns), table.of_layers(d.part_class)
    product, adder = k.of_class("multiplier_ns", part), k.of_class("adder_ns", part)
    before = np.where(product > usable, 0.0, product)
    levels = np.ceil(np.log2(np.maximum(1.0, np.ceil(c.n_in / np.maximum(1.0, c.legal_reuse)))) - 1e-9)
    out: FloatArray = cuts_of(before + adder * (1.0 + levels), usable) - cuts_of(before + adder, usable)
    return out


def input_copies_bram(table: DesignTable, several: NDArray[np.bool_]) -> FloatArray:
    """Block RAMs of the channels that hand a dataflow its whole input, which Vivado HLS copies twice.

    A channel of two words is a shift register up to 1,024 bits, and 18 bits wide RAMs above.
    """
    c = table.layer
    vivado = table.of_layers(table.design.vitis) == 0
    bits = c.n_in * c.in_bits
    copied = several & vivado & (c.first > 0) & (2.0 * bits > CHANNEL_BITS)
    out: FloatArray = np.where(copied, INPUT_COPIES * np.ceil(bits / 18.0), 0.0)
    return out


def fewer_copies_bram(table: DesignTable) -> FloatArray:
    """Block RAMs that each design takes less with one copy of its input instead of two (a report)."""
    several = (processes(table) > 1)[table.owner]
    return table.total(input_copies_bram(table, several)) * (1.0 - 1.0 / INPUT_COPIES)


def slow_loops(table: DesignTable) -> NDArray[np.bool_]:
    """Designs with a loop whose interval is not certain: long ones of a dataflow, (designs,)."""
    c = table.layer
    several = (processes(table) > 1)[table.owner]
    long = (c.strategy == RESOURCE) & several & (c.legal_reuse > LONG_LOOP)
    return table.largest(long) > 0


def undecided_dsps(table: DesignTable) -> NDArray[np.bool_]:
    """Layers of products that Vitis HLS puts into DSPs or logic: of the narrowest width that goes to DSPs.

    One report of such a network has 53 DSPs for 122 products of 12 bits.
    """
    c = table.layer
    narrow = np.minimum(c.in_bits, c.w_bits) == DSP_INPUT_BITS
    resource = (c.strategy == RESOURCE) & (c.legal_reuse > 1)
    out: NDArray[np.bool_] = resource & narrow & (table.of_layers(table.design.vitis) > 0)
    return out


def undecided_brams(table: DesignTable) -> NDArray[np.bool_]:
    """Layers whose weights Vitis HLS may put into logic: few words, for which hls4ml's pragma is Vivado's.

    One report of such a network has 4 block RAMs after routing, where 43 would hold the weights.
    """
    c = table.layer
    few = (c.strategy == RESOURCE) & (c.legal_reuse > 1) & (c.legal_reuse <= FEW_WORDS)
    out: NDArray[np.bool_] = few & (table.of_layers(table.design.vitis) > 0)
    return out


def _dsp(
    table: DesignTable, blocks: FloatArray, vitis: FloatArray, few_steps: NDArray[np.bool_]
) -> FloatArray:
    """DSPs before operands that need two: a block each where its product is worth one."""
    c = table.layer
    weight = c.w_bits
    six = (weight > 4) & (weight < 8)
    # Vivado HLS leaves one of a layer's six-bit products in logic, Vitis HLS all.
    of_six = np.where(vitis > 0, 0.0, np.maximum(0.0, blocks - (c.n_in > 32)))
    dsp = np.where(weight <= 4, 0.0, np.where(six, of_six, blocks))
    # Narrow products stay in logic, unless they are added to a fixed accumulator right away.
    fused = np.where(
        few_steps & (weight > 4) & (vitis == 0),
        np.minimum(blocks, np.maximum(c.n_out, np.ceil(blocks / 2.0))),
        0.0,
    )
    dsp = np.where(c.in_bits < DSP_INPUT_BITS, fused, dsp)
    out: FloatArray = np.where(c.to_fabric > 0, 0.0, np.where(c.to_dsp > 0, blocks, dsp))
    return out


def process_costs(table: DesignTable, k: Coefficients, inside: NDArray[np.bool_]) -> dict[str, FloatArray]:
    """What a dataflow of several processes adds to each layer: channels, one per value, and their handshakes.

    A network with any ``Resource`` layer above reuse factor 1 is a dataflow; each activation and
    normalisation is a separate process.

    Args:
        inside: layers of such networks.
    """
    c = table.layer
    after = _after(table)
    channels = np.where(inside, c.n_out * (after + (1.0 - c.last)), 0.0)
    values = np.where(inside, c.n_out * after, 0.0)
    return {
        "lut": k["channel_lut"] * channels,
        "ff": k["channel_ff"] * channels + values * c.result_bits,
    }


def _after(table: DesignTable) -> FloatArray:
    """Activation and normalisation functions behind each dense layer."""
    c = table.layer
    out: FloatArray = np.where(c.activation > 0, 1.0, 0.0) + np.where(c.batch > 0, 1.0, 0.0)
    return out


def processes(table: DesignTable) -> FloatArray:
    """Functions that each design's top calls one after the other."""
    return table.total(1.0 + _after(table))


def in_dataflow(table: DesignTable) -> NDArray[np.bool_]:
    """Designs whose top function is a dataflow of several processes.

    hls4ml writes ``DATAFLOW`` if any layer has the strategy Resource, whatever its reuse factor.
    """
    return (table.largest(table.layer.strategy == RESOURCE) > 0) & (processes(table) > 1)
