"""The estimator ``da-law``: costs of distributed arithmetic in trained designs, in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.network.architecture import Dense
from hwnas_hls.network.features import Grids, ends
from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls_plugins.estimators.da_cost import PROVIDES, DaLawConfig, cutoff_of, estimates_of
from hwnas_hls_plugins.estimators.hls_model.constants import csd_weight, significant_bits
from hwnas_hls_plugins.synthesizers.open_synthesis.adder_graph import Shape
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import DaCost, levels_of
from hwnas_hls_plugins.synthesizers.open_synthesis.da_rtl import constants
from hwnas_hls_plugins.synthesizers.open_synthesis.estimates import builds_what_is_asked
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import CLOSED_FORM
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import FAMILY, FASTEST
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import installed
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.values.candidate import Candidate

#: Coefficients of :func:`lut_of`; fitted by ``benchmarks/circuits/closed_form.py``.
GROWTH, ADDER_POWER, DIGIT_POWER = 0.392, 0.006, -0.190
RECTIFIED, SATURATED, CONSTANT = 0.504, 1.346, 1.276
#: Ratio of the law to da4ml's cost, for 95 % of the designs.
LUT_SPREAD = 1.18
#: Factor between register bits and the law, in either direction.
FF_SPREAD = 2.9
#: Bits of the registers between two stages, divided by those of the widest layer's results.
RANK = 1.4
#: Possible error of the number of stages.
STAGE_SPREAD = 1


@dataclass(frozen=True, slots=True)
class Sums:
    """The parts of a layer's sums. Only live neurons count: they are read by a neuron and not constant.

    Args:
        neurons: number of neurons with a sum.
        digits: signed digits of their weights.
        adders: number of adders that sum the digits: per neuron one fewer than its digits.
        narrow: bits of these adders if each is one bit wider than its inputs.
        growth: bits by which the finished sums are wider, summed over the adders.
        constants: significant bits of the constants that are added: biases, with the offset that rounds.
        rectified, saturated: bits of the results that a ReLU or saturation may change.
        levels: adder levels of a balanced tree for the neuron with most terms.
        result: bits of the layer's results.
    """

    neurons: float
    digits: float
    adders: float
    narrow: float
    growth: float
    constants: float
    rectified: float
    saturated: float
    levels: float
    result: float


def sums_of(design: Design) -> list[Sums]:
    """The sums of each layer of a chain, by interval analysis with the design's weights."""
    chain = design.architecture.chain
    live = _live(design.chain_weights)
    kind = design.architecture.input
    low, high = (end.astype(np.float64) for end in ends(design.features, kind, chain[0].n_in))
    units = _units(Grids(design.features, kind, chain[0].n_in))
    out = []
    for number, layer in enumerate(chain):
        found, low, high = _layer(design, number, live[number], low, high, units)
        result = design.layer_types()[number][2]
        units = _units(Grids(design.own_results(number), result, layer.n_out))
        out.append(found)
    return out


def _units(grids: Grids) -> NDArray[np.float64]:
    """Multiples of a power of two are shorter numbers: their low bits are constant."""
    return np.where(grids.step > 0, grids.step, 1.0)


def lut_of(sums: Sequence[Sums], k: Mapping[str, float] | None = None) -> float:
    """An approximation of da4ml's cost, which is the number of LUTs within a few per cent.

    Several sums share adders. The shared part follows powers of the number of adders and of the digits per
    neuron.

    Args:
        k: coefficients to use instead of the module's, for fitting them.
    """
    c = k or {
        "growth": GROWTH,
        "adder_power": ADDER_POWER,
        "digit_power": DIGIT_POWER,
        "rectified": RECTIFIED,
        "saturated": SATURATED,
        "constant": CONSTANT,
    }
    total = 0.0
    for layer in sums:
        if layer.adders > 0:
            shared = layer.adders ** c["adder_power"] * (layer.digits / layer.neurons) ** c["digit_power"]
            total += shared * (layer.narrow + c["growth"] * layer.growth)
        total += c["rectified"] * layer.rectified + c["saturated"] * layer.saturated
        total += c["constant"] * layer.constants
    return max(total, 1.0)


def cost_of(design: Design, clock_ns: float, cutoff: int | None, family: str = FAMILY) -> DaCost:
    """As :func:`~hwnas_hls_plugins.synthesizers.open_synthesis.da_costs.cost`, by the law."""
    sums = sums_of(design)
    lut = lut_of(sums)
    shape = Shape(sum(layer.levels + 0.5 for layer in sums), path_bits(sums))
    levels = levels_of(lut, shape, clock_ns, cutoff, family, CLOSED_FORM)
    stages = int(shape.depth // levels) + 1
    bits = round(register_bits(design, sums, stages))
    return DaCost(lut, stages, bits, int(levels), round(shape.path_bits), origin=CLOSED_FORM)


def path_bits(sums: Sequence[Sums]) -> float:
    """Bits of the adders on the longest path: in each layer a balanced tree of average adders."""
    return sum(
        layer.levels * (layer.narrow + layer.growth) / layer.adders for layer in sums if layer.adders > 0
    )


def register_bits(design: Design, sums: Sequence[Sums], stages: int) -> float:
    """Bits of the registers before, between and after the stages."""
    first = design.chain_weights[0]
    ends = design.architecture.input.width * float((first != 0).any(axis=1).sum()) + sums[-1].result
    widest = max((layer.result for layer in sums), default=0.0)
    return ends + (stages - 1) * RANK * widest


class DaLawEstimator(Estimator):
    """LUT, FF and cycles of trained chains with distributed arithmetic, in closed form.

    It takes about a millisecond per design. For other candidates, and without da4ml, it returns no
    estimates. ``da-cost`` is more accurate, and runs for candidates that may enter the front.
    """

    name = "da-law"
    Config = DaLawConfig
    config: DaLawConfig
    provides = PROVIDES
    version = "5"
    cost = 0.001
    uses_weights = True

    def __init__(self, config: DaLawConfig | None = None) -> None:
        self.config = config or DaLawConfig()

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """One :class:`Estimates` per candidate, possibly empty."""
        out = [Estimates() for _ in candidates]
        if not installed("da4ml"):
            return out
        for place, candidate in enumerate(candidates):
            design = context.designs.get(candidate.key)
            if design is None or not _lawful(design):
                continue
            clock_ns = design.architecture.clock_ns or context.clock_ns
            cutoff = cutoff_of(self.config, context)
            cost = cost_of(design, clock_ns, cutoff, context.target.family)
            values = estimates_of(cost, None if cutoff == FASTEST else clock_ns, context.target)
            calibrated = context.target.family == ECP5
            out[place] = Estimates({name: _wider(estimate, calibrated) for name, estimate in values.items()})
        return out


def _lawful(design: Design) -> bool:
    """Whether the law covers a design: a chain of dense layers."""
    architecture = design.architecture
    return (
        architecture.is_chain
        and builds_what_is_asked(architecture, distributed=True)
        and all(
            isinstance(layer, Dense) and layer.activation in ("relu", "linear")
            for layer in architecture.layers
        )
    )


def _wider(estimate: Estimate, calibrated: bool) -> Estimate:
    """An estimate of ``da-cost`` with the law's error added to its interval.

    Args:
        calibrated: whether LUT, FF and period have intervals of the closed form already.
    """
    low, high = estimate.low, estimate.high
    if estimate.metric == "lut" and not calibrated:
        low, high = low / LUT_SPREAD, high * LUT_SPREAD
    elif estimate.metric == "ff" and not calibrated:
        low, high = low / FF_SPREAD, high * FF_SPREAD
    elif estimate.metric == "latency_cycles":
        low, high = max(1.0, low - STAGE_SPREAD), high + STAGE_SPREAD
    elif estimate.metric == "latency_ns":
        # One stage more or fewer, of at least one.
        low, high = low / 2, high * 2
    words = f"closed form of {estimate.evidence}"
    return replace(estimate, low=low, high=high, evidence=words)


def _live(weights: Sequence[NDArray[np.int64]]) -> list[NDArray[np.bool_]]:
    """For each layer, (n_out,): whether any neuron of the next layer reads a neuron."""
    live = [np.ones(weights[-1].shape[1], bool)]
    for weight in reversed(weights[1:]):
        live.append((weight[:, live[-1]] != 0).any(axis=1))
    return live[::-1]


def _layer(
    design: Design,
    number: int,
    live: NDArray[np.bool_],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    units: NDArray[np.float64],
) -> tuple[Sums, NDArray[np.float64], NDArray[np.float64]]:
    """A layer's sums, and the ends of its results.

    Args:
        low, high: the ends of its inputs, (n_in,).
        units: each input is a multiple of it, (n_in,).
    """
    layer, (source, accum, result) = design.architecture.chain[number], design.layer_types()[number]
    weight, bias = design.chain_weights[number], design.biases[number]
    up, down = np.maximum(weight, 0), np.minimum(weight, 0)
    least, most = low @ up + high @ down, high @ up + low @ down
    widths = _bits(np.ceil(low / units), np.floor(high / units))
    digits = csd_weight(weight) * (widths > 0)[:, None]
    count = digits.sum(axis=0)
    used = live & (count > 0)
    adders = np.maximum(count - 1, 0) * used
    narrow = (digits * widths[:, None]).sum(axis=0) / np.maximum(count, 1) + 1
    growth = np.maximum(
        _bits(least, most) - _zeros_below(weight * units[:, None].astype(np.int64)) - narrow, 0
    )
    offset: NDArray[np.floating] = np.zeros(layer.n_out)
    if bias is not None and layer.bias is not None:
        offset = bias * 2.0 ** (accum.fraction - layer.bias.fraction)
    added, rounded = constants(design, number)
    whole = np.ldexp(added, accum.fraction).astype(np.int64)
    biased = (whole != 0) & used
    scale = 2.0 ** (accum.fraction - source.fraction - layer.weight.fraction)
    least, most = least * scale + offset, most * scale + offset
    passed = _bits(least, most)
    rectified = saturated = 0.0
    added_bits = float(significant_bits(whole)[used].sum())
    grids = Grids(design.own_results(number), result, layer.n_out)
    step = 2.0 ** (accum.fraction - result.fraction) * _units(grids)
    if result != accum or layer.activation == "relu" or design.own_results(number):
        if layer.activation == "relu":
            passed = _bits(np.maximum(least, 0), np.maximum(most, 0))
        dropped = np.maximum(np.log2(step), 0)
        passed = np.clip(passed - dropped, 0, _bits(grids.low, grids.high)) * used
        rectified = float(passed[least < 0].sum()) if layer.activation == "relu" else 0.0
        if result.overflow != "WRAP":
            saturated = float(passed[most / step > grids.high].sum())
        if rounded.rounding != "TRN":
            added_bits += float(((dropped > 0) & used).sum())
    terms = (count + biased)[used]
    found = Sums(
        neurons=float(used.sum()),
        digits=float((count * used).sum()),
        adders=float(adders.sum()),
        narrow=float((adders * narrow).sum()),
        growth=float((adders * growth).sum()),
        constants=added_bits,
        rectified=rectified,
        saturated=saturated,
        levels=float(np.ceil(np.log2(terms.max(initial=1)))),
        result=float((passed * live).sum()),
    )
    half = 0.0 if result.rounding == "TRN" else 0.5
    if layer.activation == "relu":
        least, most = np.maximum(least, 0), np.maximum(most, 0)
    low = np.clip(np.floor(least / step + half), grids.low, grids.high) * grids.step
    high = np.clip(np.floor(most / step + half), grids.low, grids.high) * grids.step
    return found, low, high


def _bits(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bits of the integers from ``low`` to ``high``, with a sign if they need one."""
    magnitude = np.maximum(np.maximum(high, -low - 1), 0)
    found: NDArray[np.float64] = np.ceil(np.log2(magnitude + 1)) + (low < 0)
    return found


def _zeros_below(weight: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each neuron, the number of low bits that are zero in all its weights."""
    lowest = np.where(weight != 0, np.abs(weight) & -np.abs(weight), np.iinfo(np.int64).max).min(axis=0)
    found: NDArray[np.float64] = np.where((weight != 0).any(axis=0), np.log2(lowest.astype(np.float64)), 0.0)
    return found
