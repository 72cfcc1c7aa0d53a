"""The distribution of a layer's weights over the grid of their type, and the constants met in draws of it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas_hls_plugins.estimators.hls_model.constants import csd_weight

FloatArray = NDArray[np.float64]

#: Grid points of the weight distribution; finer grids are sampled.
_POINTS = 1024
#: Shapes of distributions: Laplace; Laplace of few signed digits; uniform.
TRAINED, LEAN, FRESH = 0, 1, 2
#: Draws per input at which the number of distinct constants is tabulated.
_DRAWS = 2.0 ** np.arange(-4.0, 13.0, 0.5)
_LOG_DRAWS = np.log2(_DRAWS)
_SPACING = np.diff(_LOG_DRAWS, append=np.inf)
#: Attributes of :class:`WeightDistribution` that are arrays over them.
_CURVES = (
    "distinct",
    "multipliers",
    "multiplier_const_bits",
    "small_multipliers",
    "shift_adders",
    "shift_adder_const_bits",
)


@dataclass(frozen=True, slots=True, eq=False)
class WeightDistribution:
    """One weight distribution; arrays run over :data:`_DRAWS`, distinct constants an input."""

    zero_share: float
    distinct: FloatArray
    multipliers: FloatArray
    multiplier_const_bits: FloatArray
    small_multipliers: FloatArray
    shift_adders: FloatArray
    shift_adder_const_bits: FloatArray
    digits: float
    magnitude_bits: float
    collision: float


@functools.lru_cache(maxsize=4096)
def distribution(
    bits: int, log_rms: float, left: float, shape: int, narrow_share: float, lean: float
) -> WeightDistribution:
    """A ``bits`` wide weight with an rms of ``2**log_rms`` LSBs (rounded, a fresh one cut off; limited).

    Args:
        left: share of weights that are not zero, of an unpruned layer; 0 for any other, whose zeros were
            set and say nothing of the rest.
        shape: ``TRAINED``, ``LEAN`` (single weights were quantised, and few signed digits are left of
            each) or ``FRESH`` (uniform, as before training).
        narrow_share, lean: as in :class:`~hwnas_hls_plugins.estimators.hls_model.prior.WeightPrior`.
    """
    scale = 2.0**log_rms / np.sqrt(2.0)
    limit = np.sqrt(6.0) * scale
    top = 2.0 ** (bits - 1)
    reach = max(1.0, min(top, np.ceil(limit if shape == FRESH else 12.0 * scale)))
    count = int(min(reach, _POINTS))
    edges = 0.5 + np.linspace(0.0, reach, count + 1)
    middles = (edges[:-1] + edges[1:]) / 2.0
    spacing = reach / count
    # Sampled grids get a jitter, or all samples would share their low bits.
    jitter = ((np.arange(count) * 0.6180339887) % 1.0 - 0.5) * (spacing - 1.0)
    k = np.maximum(1, np.rint(middles + jitter)).astype(np.int64)
    share, narrow, wide = 0.0, scale, scale
    if left > 0:
        share = max(narrow_share, 1.15 - left)
        wide = scale * float(np.sqrt(left / (1.0 - share)))
        zeros = -np.expm1(-0.5 / wide)
        drawn = (1.0 - left - (1.0 - share) * zeros) / share
        if drawn > zeros:
            narrow = -0.5 / float(np.log1p(-min(drawn, 0.98)))
        else:  # rounding alone makes as many zeros
            share, wide = 0.0, scale
    tail = (1.0 - share) * np.exp(-edges / wide) + share * np.exp(-edges / narrow)
    if shape == FRESH:
        # The C++ type cuts off what its grid does not hold: a negative weight moves away from zero.
        ends = (np.maximum(0.0, 1.0 - (edges + move) / limit) for move in (-0.5, 0.5))
        tail = 0.5 * sum(ends, np.zeros_like(edges))
    mass = tail[:-1] - tail[1:]
    mass[-1] += tail[-1]
    zero_share = 1.0 - float(mass.sum())
    total = float(mass.sum())
    if total < 1e-12:
        mass = np.zeros_like(mass)
        mass[0], total = 1.0, 1.0
    mass = mass / total
    digits = csd_weight(k)
    if shape == LEAN:
        # Within each octave the weights of few digits are the likelier ones; how large weights are stays.
        octave = np.frexp(k.astype(np.float64))[1]
        favoured = mass * lean ** (digits - 1.0)
        ratio = np.bincount(octave, mass) / np.maximum(np.bincount(octave, favoured), 1e-300)
        mass = favoured * ratio[octave]
    trailing = np.frexp((k & -k).astype(np.float64))[1] - 1
    const_bits = np.frexp(k.astype(np.float64))[1] - trailing
    # Chance that a given constant (of both signs and `spacing` neighbours) is met at least once in n draws.
    single = np.minimum(mass / (2.0 * spacing), 0.999999)
    met = 2.0 * spacing * -np.expm1(np.outer(_DRAWS, np.log1p(-single)))
    many, two = digits >= 3, digits == 2
    return WeightDistribution(
        zero_share=zero_share,
        distinct=met.sum(axis=1),
        multipliers=met[:, many].sum(axis=1),
        multiplier_const_bits=(met * const_bits)[:, many].sum(axis=1),
        small_multipliers=met[:, (k == 11) | (k == 13)].sum(axis=1) / 2.0,
        shift_adders=met[:, two].sum(axis=1),
        shift_adder_const_bits=(met * const_bits)[:, two].sum(axis=1),
        digits=float((mass * digits).sum()),
        magnitude_bits=float((mass * np.log2(k)).sum()),
        collision=float((single * mass).sum()),
    )


def interpolated(
    distributions: Sequence[WeightDistribution], of_layer: NDArray[np.int64], draws: FloatArray
) -> dict[str, FloatArray]:
    """The values of :data:`_CURVES` of each layer: name -> (layers,).

    They equal those of ``numpy.interp`` for each distribution alone, to the bit.

    Args:
        distributions: each once.
        of_layer: index of each layer's distribution.
        draws: non-zero weights an input of each layer; those beyond the table count as its ends.
    """
    log_draws = np.log2(np.clip(draws, _DRAWS[0], _DRAWS[-1]))
    tables = np.array([[getattr(each, name) for name in _CURVES] for each in distributions])
    tables = tables.reshape(-1, len(_CURVES), _LOG_DRAWS.size).transpose(0, 2, 1)
    # The last point is there twice: the curves are constant beyond it.
    points = np.concatenate([tables, tables[:, -1:]], axis=1).reshape(-1, len(_CURVES))
    place = np.searchsorted(_LOG_DRAWS, log_draws, side="right") - 1
    first = of_layer * (_LOG_DRAWS.size + 1) + place
    lower, upper = points[first].T, points[first + 1].T
    found = (upper - lower) / _SPACING[place] * (log_draws - _LOG_DRAWS[place]) + lower
    return dict(zip(_CURVES, found, strict=True))
