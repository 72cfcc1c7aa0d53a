"""The cost of the weights of a ``Latency`` layer, counted from the weights.

Under reuse factor 1 the weights are constants in the logic. A zero vanishes, a power of two is a wire,
two non-zero canonical-signed-digit (CSD) digits are one adder, three or more are one multiplier; equal
constants on one input are shared. Products are cast to the accumulator and summed by a balanced binary
tree in input order, and equal sub-trees are shared between outputs. These are the rules that hls4ml's
``nnet_dense_latency.h`` leads to in Vivado HLS and Vitis HLS; widths follow from the value ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.network.precision import FixedType

#: Levels of the adder tree that are distinguished; deeper ones are added to the last.
LEVELS = 14
#: Weights above this many bits are not analysed integer by integer (int64 products would overflow).
MAX_BITS = 26


@dataclass(frozen=True, slots=True, eq=False)
class ConstantCost:
    """Counts for one layer; widths are bits.

    Attributes:
        nonzeros: weights that are not zero.
        multipliers: distinct (input, constant) pairs of CSD weight three and more.
        multiplier_bits: input bits times constant bits, summed over them.
        small_multipliers: those of them that are +11 or +13 (Vivado HLS leaves these in fabric).
        shift_adders: distinct pairs of CSD weight two.
        shift_adder_bits: their summed width.
        tree_adders: distinct adders of the trees, without the one that adds the bias.
        tree_bits: their summed width.
        bias_adders: outputs whose bias is not zero and that have a product.
        depth: adder levels, the bias included.
        live_bits: width of all distinct values after each tree level; ``live_bits[0]`` are the products.
        digits: CSD digits of all weights.
    """

    nonzeros: int
    multipliers: float
    multiplier_bits: float
    small_multipliers: float
    shift_adders: float
    shift_adder_bits: float
    tree_adders: float
    tree_bits: float
    bias_adders: float
    depth: float
    live_bits: NDArray[np.float64]
    digits: float


def csd_weight(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Non-zero digits of each integer in canonical signed digit form (never two in a row)."""
    magnitude = np.abs(values)
    return popcount((magnitude ^ (3 * magnitude)) >> 1)


def significant_bits(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of the magnitude of each integer, from the highest to the lowest one that is set; 0 for 0."""
    magnitude: NDArray[np.int64] = np.abs(values)
    lowest: NDArray[np.int64] = magnitude & -magnitude
    # Without a lowest bit, both are 0.
    found: NDArray[np.int64] = _bits(magnitude) - _bits(lowest) + (lowest > 0)
    return found


def popcount(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Set bits of non-negative 63-bit integers."""
    v = values.astype(np.uint64)
    pairs, fours, bytes_ = (
        np.uint64(0x5555555555555555),
        np.uint64(0x3333333333333333),
        np.uint64(0x0F0F0F0F0F0F0F0F),
    )
    one, two, four = np.uint64(1), np.uint64(2), np.uint64(4)
    v = v - ((v >> one) & pairs)
    v = (v & fours) + ((v >> two) & fours)
    v = (v + (v >> four)) & bytes_
    return ((v * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.int64)


def _bits(magnitude: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of non-negative integers below 2**53."""
    return np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)


def constant_cost(
    weights: NDArray[np.int64],
    source: FixedType,
    weight: FixedType,
    accum: FixedType,
    biases: NDArray[np.int64] | None = None,
    has_bias: bool = True,
) -> ConstantCost:
    """Count the cost of the constants of a layer.

    Args:
        weights: integers on the weight type's grid, shape (n_in, n_out).
        source, weight, accum: types of input, weights and sum.
        biases: integers, shape (n_out,); ``None`` where unknown.
        has_bias: whether unknown biases are taken as present.
    """
    n_out = weights.shape[1]
    nonzero = weights != 0
    counts = nonzero.sum(axis=0)
    terms = int(counts.max()) if counts.size else 0
    live = np.zeros(LEVELS)
    if terms == 0:
        return ConstantCost(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, live, 0)

    rows, columns = np.nonzero(nonzero)
    values = weights[rows, columns]
    low, high = source.lowest, source.highest
    offset = int(values.min())
    span = int(values.max()) - offset + 1
    _, place, leaf = np.unique(rows * span + (values - offset), return_index=True, return_inverse=True)
    constant = values[place]
    digits = csd_weight(constant)
    trailing = _bits(constant & -constant) - 1
    odd_bits = _bits(np.abs(constant)) - trailing
    product_width = source.width + odd_bits
    many, two = digits >= 3, digits == 2
    small = (constant == 11) | (constant == 13)

    # Products on the accumulator's grid.
    shift = source.fraction + weight.fraction - accum.fraction
    ends = np.stack([constant * low, constant * high])
    leaf_low, leaf_high = ends.min(axis=0), ends.max(axis=0)
    if shift >= 0:
        leaf_low, leaf_high = leaf_low >> shift, leaf_high >> shift
        leaf_zeros = np.maximum(trailing - shift, 0)
    else:
        leaf_low, leaf_high = leaf_low << -shift, leaf_high << -shift
        leaf_zeros = trailing - shift
    live[0] = np.minimum(accum.width, _width(leaf_low, leaf_high) - leaf_zeros).clip(1).sum()

    # One row per output; its terms start at the left, in input order.
    order = np.lexsort((rows, columns))
    position = np.concatenate([np.arange(count) for count in counts])
    ids = np.full((n_out, terms), -1, np.int64)
    ids[columns[order], position] = leaf.reshape(-1)[order]
    node_low, node_high, node_zeros = leaf_low, leaf_high, leaf_zeros
    node_width = np.minimum(accum.width, _width(leaf_low, leaf_high) - leaf_zeros).clip(1)
    adders = bits = 0.0
    level = 0
    while ids.shape[1] > 1:
        level += 1
        if ids.shape[1] % 2:
            ids = np.concatenate([ids, np.full((n_out, 1), -1, np.int64)], axis=1)
        left, right = ids[:, 0::2], ids[:, 1::2]
        both = right >= 0
        known = len(node_low)
        unique, inverse = np.unique(left[both] * known + right[both], return_inverse=True)
        first, second = unique // known, unique % known
        new_low, new_high = node_low[first] + node_low[second], node_high[first] + node_high[second]
        new_zeros = np.minimum(node_zeros[first], node_zeros[second])
        width = (np.minimum(accum.width, _width(new_low, new_high)) - new_zeros).clip(1)
        adders += len(unique)
        bits += float(width.sum())
        ids = left.copy()
        ids[both] = known + inverse.reshape(-1)
        node_low, node_high = np.concatenate([node_low, new_low]), np.concatenate([node_high, new_high])
        node_zeros, node_width = np.concatenate([node_zeros, new_zeros]), np.concatenate([node_width, width])
        alive = np.zeros(len(node_width), bool)
        alive[ids[ids >= 0]] = True
        live[min(level, LEVELS - 1)] = float(node_width[alive].sum())
    with_bias = has_bias if biases is None else biases != 0
    bias_adders = int(np.sum((counts > 0) & with_bias))
    return ConstantCost(
        nonzeros=int(counts.sum()),
        multipliers=int(many.sum()),
        multiplier_bits=float((source.width * odd_bits[many]).sum()),
        small_multipliers=int(small.sum()),
        shift_adders=int(two.sum()),
        shift_adder_bits=float(product_width[two].sum()),
        tree_adders=adders,
        tree_bits=bits,
        bias_adders=bias_adders,
        depth=level + (1 if bias_adders else 0),
        live_bits=live,
        digits=float(digits[leaf.reshape(-1)].sum()),
    )


def _width(low: NDArray[np.int64], high: NDArray[np.int64]) -> NDArray[np.int64]:
    """The width of the narrowest signed type for ``low .. high``."""
    return _bits(np.maximum(np.maximum(high, -low - 1), 0)) + 1
