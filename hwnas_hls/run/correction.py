"""What a run's own syntheses teach: shrunken correction factors, and which synthesis is worth most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwnas_hls.network.architecture import Architecture, Conv2D, Pool2D
from hwnas_hls.network.layers import Weighted
from hwnas_hls.values.estimate import Estimate
from hwnas_hls.values.front import hypervolume
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record

#: Syntheses at which a regime's own ratio weighs as much as no correction at all.
_SHRINK = 2.0
#: A count below this says nothing of a ratio (0 DSPs predicted, 1 measured).
_FLOOR = 1.0
#: A pipeline has no half cycle.
_WHOLE = ("latency_cycles", "ii_cycles")
_WORTH_STRADDLE = 1.0
_WORTH_UNKNOWN = 0.5


@dataclass(frozen=True, slots=True)
class Observation:
    """A prediction and the measurement that followed it.

    Args:
        key: of the design.
        regime: see :func:`regime_of`.
        predicted: as it stood just before the measurement, corrections included.
        measured: the same metric.
        raw: the prediction without any correction of this run.
    """

    key: str
    regime: str
    predicted: Estimate
    measured: Estimate
    raw: Estimate


@dataclass(frozen=True, slots=True)
class Correction:
    """One factor for the predictions of one metric in one regime.

    Args:
        factor: multiplies the predicted value.
        spread: standard deviation of the logarithmic residuals around the factor.
        n: observations.
    """

    factor: float
    spread: float
    n: int


def regime_of(architecture: Architecture) -> str:
    """Designs whose predictions err alike: of the same HLS strategies, unrolled or not, and shape."""
    kinds = {
        f"{layer.strategy}{'' if layer.reuse_factor == 1 else ' reused'}"
        for layer in architecture.layers
        if isinstance(layer, Weighted)
    }
    if not architecture.is_chain:
        images = any(isinstance(layer, Conv2D | Pool2D) for layer in architecture.layers)
        kinds.add("convolution" if images else "graph")
    return " + ".join(sorted(kinds))


def corrections(observations: Sequence[Observation]) -> dict[tuple[str, str], Correction]:
    """(metric, regime) -> correction, from all observations so far.

    The mean log ratio of measured to raw predicted values, shrunk towards 0 by ``n / (n + 2)``:
    one synthesis moves predictions by a third of its surprise, ten by five sixths.
    """
    ratios: dict[tuple[str, str], list[float]] = {}
    for item in observations:
        if item.raw.value >= _FLOOR and item.measured.value >= _FLOOR:
            ratio = math.log(item.measured.value / item.raw.value)
            ratios.setdefault((item.measured.metric, item.regime), []).append(ratio)
    found = {}
    for place, logs in ratios.items():
        shift = sum(logs) / (len(logs) + _SHRINK)
        spread = math.sqrt(sum((log - shift) ** 2 for log in logs) / len(logs))
        found[place] = Correction(math.exp(shift), spread, len(logs))
    return found


def corrected(estimate: Estimate, correction: Correction) -> Estimate:
    """A prediction moved by a correction; its interval narrows as observations allow.

    In logarithms, the half-widths go from the predictor's own to twice the observed spread with
    the weight ``n / (n + 4)``; they never fall below that spread. The coverage that the predictor
    stated is kept only while its own interval is kept.
    """
    if not estimate.is_predicted or estimate.value < _FLOOR:
        return estimate
    weight = correction.n / (correction.n + 4.0)
    value = estimate.value * correction.factor

    def half(end: float) -> float:
        if not 0 < end < math.inf:
            return math.inf
        own = abs(math.log(end / estimate.value))
        return max((1 - weight) * own + weight * 2 * correction.spread, correction.spread)

    below, above = half(estimate.low), half(estimate.high)
    low, high = 0.0 if math.isinf(below) else value * math.exp(-below), value * math.exp(above)
    if estimate.metric in _WHOLE:
        value, low = max(round(value), 1.0), max(math.floor(low), 1.0)
        high = max(high if math.isinf(high) else math.ceil(high), value)
    return replace(
        estimate,
        value=value,
        low=low,
        high=high,
        evidence=(
            f"{estimate.evidence}; x {correction.factor:.3f} by {correction.n} syntheses of this run in its "
            "regime (interval moved with it, not recalibrated)"
        ),
        coverage=None,
    )


def revise(
    estimates: Mapping[str, Estimate],
    regime: str,
    factors: Mapping[tuple[str, str], Correction],
    measured: Mapping[str, Estimate],
    clock_ns: float,
) -> dict[str, Estimate]:
    """Estimates with this run's knowledge: measured beats predicted, predictions are corrected.

    A latency in ns follows its cycles where those were corrected or measured.
    """
    out = dict(estimates)
    for name, estimate in estimates.items():
        correction = factors.get((name, regime))
        if correction is not None and name != "latency_ns":
            out[name] = corrected(estimate, correction)
    # Numbers of another circuit than the one asked for teach nothing about it.
    known = {name: estimate for name, estimate in measured.items() if estimate.in_domain}
    out |= known
    cycles = out.get("latency_cycles")
    if cycles is not None and "latency_ns" in out and cycles != estimates.get("latency_cycles"):
        ends = (cycles.value * clock_ns, cycles.low * clock_ns, cycles.high * clock_ns)
        text = f"{cycles.value:g} cycles x {clock_ns:g} ns, if that clock is met; cycles: {cycles.evidence}"
        value, low, high = ends
        out["latency_ns"] = replace(
            cycles, metric="latency_ns", value=value, low=low, high=high, evidence=text
        )
    return out


def most_worth(
    records: Sequence[Record],
    regimes: Mapping[str, str],
    seen: Mapping[str, int],
    goal: Goal,
    count: int,
) -> list[Record]:
    """The records whose synthesis is worth most, best first.

    The worth of a record adds up: the share by which the front's hypervolume would grow if the
    costs came out at the good end of their intervals; whether an interval straddles a limit;
    and how few syntheses its regime has seen.

    Args:
        records: complete and not measured yet.
        regimes: key -> regime.
        seen: regime -> syntheses so far.
        goal: of the run.
        count: how many are wanted.
    """
    losses = np.array([record.losses for record in records], np.float64).reshape(len(records), goal.n_losses)
    reference = [1.0] * goal.n_losses
    whole = max(hypervolume(losses, reference), 1e-12) if len(records) else 1.0

    def worth(record: Record) -> float:
        hopeful = goal.losses(
            {
                name: replace(e, value=e.high if _larger_is_better(goal, name) else e.low)
                if e.is_predicted
                else e
                for name, e in record.estimates.items()
            }
        )
        gain = 0.0
        if hopeful is not None:
            gain = hypervolume([*losses.tolist(), list(hopeful)], reference) / whole - 1.0
        straddles = any(
            limit.metric in record.estimates
            and record.estimates[limit.metric].low <= limit.bound <= record.estimates[limit.metric].high
            for limit in goal.limits
        )
        unknown = 1.0 / (1.0 + seen.get(regimes[record.key], 0))
        return gain + _WORTH_STRADDLE * straddles + _WORTH_UNKNOWN * unknown

    order = sorted(records, key=lambda record: (-worth(record), record.number))
    return order[:count]


def _larger_is_better(goal: Goal, metric: str) -> bool:
    return any(o.metric == metric and o.direction == "max" for o in goal.objectives)
