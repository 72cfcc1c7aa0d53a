"""The expected cost of a layer's weights before training.

The prior is that of trained MLPs: symmetric weights whose root mean square is ``kappa / sqrt(fan-in)``, the
fan-in counting only non-zero weights (a pruned layer has larger weights). If more weights are zero than
rounding explains, but fewer than after pruning, training has drawn some of them towards zero, and these have
few signed digits as well. A large single layer without known weights is assumed to be untrained: such designs
are sweeps of shapes with the initial weights of Keras. The number of distinct constants that a multiplier can
share follows from the multinomial distribution over the grid of the weight type. How often networks are
pruned, by their types, is learned as well.

``benchmarks/predictor/fit_prior.py`` learns :class:`WeightPrior` from networks of the project's own trainer
and from the weights behind reports. ``hw_targets/calibration/trained_weights.json`` contains it, with the
number of networks.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.resources import data_folder
from hwnas_hls_plugins.estimators.hls_model.constants import LEVELS
from hwnas_hls_plugins.estimators.hls_model.weight_distribution import (
    FRESH,
    LEAN,
    TRAINED,
    distribution,
    interpolated,
)

FloatArray = NDArray[np.float64]

#: Types of a design's weights: one layer alone; one type of 8 bits and more for all layers; one of fewer
#: bits; one type per layer, with biases as wide as the sums, as after quantisation of single weights. A layer
#: that is known not to be pruned has the last one, whatever its types.
ALONE, WIDE, FEW, OWN, UNPRUNED = 0, 1, 2, 3, 4
HABITS = ("alone", "wide", "few", "own", "unpruned")
#: Bits from which a type counts as wide.
WIDE_BITS = 8


@dataclass(frozen=True, slots=True)
class WeightPrior:
    """The distribution of trained weights that the model assumes before training.

    Args:
        kappa_hidden, kappa_last: root mean square of the non-zero weights, times the square root of their
            number per output; of hidden layers and of a last layer.
        narrow_share: share of an unpruned hidden layer's weights that training drew towards zero.
        lean: probability of one more signed digit relative to one fewer, where single weights are quantised.
        kept: share of weights left, beyond those that rounding makes zero, by :data:`HABITS`. A habit of
            individually quantised weights has ``own`` instead, and 1 here.
        own: of individually quantised weights: width of a hidden layer's weight type at which all of them
            are left, logarithm (natural) of the share that a bit fewer leaves, and share of a last layer.
        spread: half widths (natural logarithm) that hold 80 % of trained networks around this prior's LUTs:
            :data:`HABITS` -> below and above with the weights unknown, and either with non-zeros known.
    """

    kappa_hidden: float
    kappa_last: float
    narrow_share: float
    lean: float
    kept: tuple[float, ...]
    own: tuple[float, float, float]
    spread: tuple[tuple[float, float, float], ...]


@functools.cache
def weight_prior() -> WeightPrior:
    """The prior that ships."""
    data = json.loads((data_folder("hw_targets") / "calibration" / "trained_weights.json").read_text())
    kept, spread = data["kept"], data["spread"]
    return WeightPrior(
        data["kappa_hidden"],
        data["kappa_last"],
        data["narrow_share"],
        data["lean"],
        kept=tuple(kept[habit] for habit in HABITS),
        own=tuple(data["own"]),
        spread=tuple(tuple(spread[habit]) for habit in HABITS),
    )


def prior_width(habit: int, knowledge: int, prior: WeightPrior | None = None) -> tuple[float, float]:
    """Half widths (natural logarithm) below and above that a habit of typing weights adds to a layer alone.

    Args:
        habit: place in :data:`HABITS`.
        knowledge: 0 architecture only, 1 non-zeros known, 2 weights known, which leaves nothing to expect.
        prior: ``None`` takes the one that ships.
    """
    if knowledge > 1:
        return 0.0, 0.0
    # A layer alone has one width in all, because nothing of it is pruned.
    spread = (prior or weight_prior()).spread
    alone = spread[ALONE][2]
    sides = spread[habit][:2] if knowledge == 0 else (spread[habit][2],) * 2
    below, above = (float(np.sqrt(max(0.0, side**2 - alone**2))) for side in sides)
    return below, above


def untrained(habit: FloatArray, products: FloatArray) -> NDArray[np.bool_]:
    """Layers that are assumed to have initial weights where nothing is known of these, (layers,)."""
    out: NDArray[np.bool_] = (habit == ALONE) & (products >= _SWEPT)
    return out


def own_share(weight_bits: FloatArray, last: FloatArray, own: tuple[float, float, float]) -> FloatArray:
    """Share of individually quantised weights that are not zero, (layers,).

    A layer's type has the bits of the widest of its weights. Training that charges for bits leaves narrow
    types and few weights at once.

    Args:
        own: as in :class:`WeightPrior`.
    """
    full, per_bit, share = own
    hidden = np.exp(np.minimum(0.0, per_bit * (weight_bits - full)))
    out: FloatArray = np.maximum(_LEAST_SHARE, np.where(last > 0, share, hidden))
    return out


#: Steps of the root mean square of weights; the sharp end of a uniform distribution needs finer ones.
_STEPS_AN_OCTAVE, _FRESH_STEPS_AN_OCTAVE = 4, 16
#: No root mean square is below 2 to the minus this, in LSBs.
_LEAST_LOG_RMS = 8.0
#: Share of non-zeros from which a layer counts as unpruned, and the step to which this share is rounded.
_UNPRUNED, _SHARE_STEP = 0.5, 0.05
#: Share of weights that a layer is assumed to keep at least: the sparsest layer behind a report has 3.5 %.
_LEAST_SHARE = 0.02
#: Layers up to this many weights are rarely pruned: of ten such layers behind reports, seven are not.
_TINY = 64
#: A single layer of at least this many weights is assumed to be untrained: single layers behind reports have
#: at most 64 weights, or 1,024 and more in sweeps of shapes.
_SWEPT = 256
#: What :func:`expected_costs` counts, attributes of
#: :class:`~hwnas_hls_plugins.estimators.hls_model.constants.ConstantCost`.
EXPECTED = (
    "nonzeros",
    "multipliers",
    "multiplier_bits",
    "small_multipliers",
    "shift_adders",
    "shift_adder_bits",
    "tree_adders",
    "tree_bits",
    "bias_adders",
    "depth",
    "digits",
)


@dataclass(frozen=True, slots=True, eq=False)
class BlindLayers:
    """Layers whose weights are not known; every array has shape (layers,).

    Attributes:
        n_in, n_out: widths.
        source_bits, weight_bits, accum_bits: widths of the types of input, weights and sums.
        weight_fraction: fractional bits of the weights.
        shift: fractional bits that the cast of a product to the accumulator drops.
        has_bias: 0 or 1.
        last: 1 for a design's last layer.
        habit: how the design's weights are typed, a place in :data:`HABITS`.
        nonzeros: known number of non-zero weights, NaN where unknown.
    """

    n_in: FloatArray
    n_out: FloatArray
    source_bits: FloatArray
    weight_bits: FloatArray
    weight_fraction: FloatArray
    accum_bits: FloatArray
    shift: FloatArray
    has_bias: FloatArray
    last: FloatArray
    habit: FloatArray
    nonzeros: FloatArray


def expected_costs(
    layers: BlindLayers, prior: WeightPrior | None = None
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Expected counts of ``ConstantCost``, one per layer.

    Args:
        prior: ``None`` takes the one that ships.

    Returns:
        attribute name -> array (layers,), and ``live_bits`` of shape (layers, LEVELS).
    """
    prior = prior or weight_prior()
    n_in, n_out, has_bias, nonzeros = layers.n_in, layers.n_out, layers.has_bias, layers.nonzeros
    source_bits, weight_bits, accum_bits = layers.source_bits, layers.weight_bits, layers.accum_bits
    shift, last = layers.shift, layers.last
    size = n_in.size
    products = n_in * n_out
    known = ~np.isnan(nonzeros)
    habit = layers.habit.astype(np.int64)
    fresh = untrained(layers.habit, products) & ~known
    own = habit == OWN
    kept = np.where(own, own_share(weight_bits, last, prior.own), np.array(prior.kept)[habit])
    kept = np.where(products <= _TINY, 1.0, kept)
    density = np.where(known, np.clip(nonzeros / products, 1e-6, 1.0), kept)
    log_rms = _log_rms(layers, fresh, density, prior)
    bits = np.minimum(weight_bits, 32).astype(np.int64)
    left = np.where((density >= _UNPRUNED) & (last == 0), np.rint(density / _SHARE_STEP), 0.0)
    shape = np.where(fresh, FRESH, np.where(own, LEAN, TRAINED))
    # Many layers share few weight distributions; each is computed once.
    # One number per distribution, because numbers are sorted faster than rows.
    steps = np.rint((log_rms + _LEAST_LOG_RMS) * _FRESH_STEPS_AN_OCTAVE)
    key = ((steps * 33.0 + bits) * (1.0 / _SHARE_STEP + 1.0) + left) * 3.0 + shape
    _, first, grid = np.unique(key, return_index=True, return_inverse=True)
    grids = [
        distribution(
            int(bits[at]),
            float(log_rms[at]),
            round(float(left[at]) * _SHARE_STEP, 2),
            int(shape[at]),
            prior.narrow_share,
            prior.lean,
        )
        for at in first.tolist()
    ]
    plain = np.array([(g.zero_share, g.digits, g.magnitude_bits, g.collision) for g in grids]).reshape(-1, 4)
    zero_share, digits, magnitude, collision = plain[grid].T
    # ``zero_share`` includes weights that training drew towards zero, but not pruned ones.
    expected = np.where(left > 0, np.minimum(kept, 1.0 - zero_share), (1.0 - zero_share) * kept)
    # The share of individually quantised weights counts the rounded ones, too.
    expected = np.where(own & (products > _TINY), kept, expected)
    share = np.where(known, density, expected)
    curves = interpolated(grids, grid, share * n_out)
    out = {
        "nonzeros": share * products,
        "multipliers": n_in * curves["multipliers"],
        "multiplier_bits": n_in * curves["multiplier_const_bits"] * source_bits,
        "small_multipliers": n_in * curves["small_multipliers"],
        "shift_adders": n_in * curves["shift_adders"],
        "shift_adder_bits": n_in * (curves["shift_adders"] * source_bits + curves["shift_adder_const_bits"]),
    }
    out["digits"] = out["nonzeros"] * digits
    distinct = n_in * curves["distinct"]

    terms = out["nonzeros"] / n_out
    spread = 1.0 + np.sqrt(np.maximum(1.0 - out["nonzeros"] / products, 0.0) / np.maximum(terms, 1.0))
    largest = np.minimum(n_in, np.maximum(1.0, terms * spread))
    fan_in = largest + has_bias
    out["depth"] = np.where(out["nonzeros"] >= 1, np.ceil(np.log2(np.maximum(fan_in, 1.0)) - 1e-9), 0.0)
    out["bias_adders"] = n_out * has_bias
    product_bits = np.clip(
        source_bits + magnitude - np.maximum(shift, 0.0) + np.maximum(-shift, 0.0), 1.0, accum_bits
    )
    # One row per level, because they are filled level by level.
    live = np.zeros((LEVELS, size))
    live[0] = distinct * product_bits
    tree_adders, tree_bits = np.zeros(size), np.zeros(size)
    # Another output has the same pair of terms with the probability that all its constants are equal.
    agree = np.clip(collision * (out["nonzeros"] / products), 0.0, 1.0)
    remaining = np.maximum(terms, 1e-9)
    for level in range(1, LEVELS):
        more = remaining > 1.0
        if not more.any():
            break
        added = np.where(more, remaining / 2.0, 0.0)
        agree = agree**2
        here = n_out * added
        alike = np.flatnonzero(agree * n_out > 1e-6)
        if alike.size:
            outputs, chance = n_out[alike], agree[alike]
            pairs = -np.expm1(outputs * np.log1p(-np.minimum(chance, 0.999999)))
            here[alike] *= np.clip(pairs / np.maximum(chance * outputs, 1e-12), 0.0, 1.0)
        tree_adders += here
        bits_here = here * np.minimum(accum_bits, product_bits + level)
        tree_bits += bits_here
        remaining = np.where(more, added, remaining)
        live[level] = bits_here
    total = np.maximum(0.0, out["nonzeros"] - n_out)
    ratio = np.where(tree_adders > 0, np.minimum(1.0, total / np.maximum(tree_adders, 1e-9)), 0.0)
    out["tree_adders"], out["tree_bits"] = tree_adders * ratio, tree_bits * ratio
    return out, live.T


def _log_rms(
    layers: BlindLayers, fresh: NDArray[np.bool_], density: FloatArray, prior: WeightPrior
) -> FloatArray:
    """Base-2 logarithm of the weights' root mean square in LSBs, in steps, (layers,).

    Args:
        fresh: layers that were never trained.
        density: share of weights that are not zero.
    """
    # Keras draws a dense layer's first weights from +-sqrt(6 / (n_in + n_out)), uniformly (Glorot).
    glorot = np.sqrt(2.0 * layers.n_in / (layers.n_in + layers.n_out))
    kappa = np.where(fresh, glorot, np.where(layers.last > 0, prior.kappa_last, prior.kappa_hidden))
    rms_lsb = kappa / np.sqrt(np.maximum(density * layers.n_in, 1.0)) * 2.0**layers.weight_fraction
    steps = np.where(fresh, _FRESH_STEPS_AN_OCTAVE, _STEPS_AN_OCTAVE)
    top = 2.0 ** (layers.weight_bits - 1)
    out: FloatArray = np.rint(np.log2(np.clip(rms_lsb, 0.2, top)) * steps) / steps
    return out
