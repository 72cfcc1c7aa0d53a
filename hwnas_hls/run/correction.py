"""Corrections of predictions by a run's own syntheses, and the choice of the next synthesis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwnas_hls.network.architecture import Architecture, Conv2D, Pool2D
from hwnas_hls.network.layers import Weighted
from hwnas_hls.values.estimate import Estimate, in_ns
from hwnas_hls.values.front import hypervolume, non_dominated
from hwnas_hls.values.objective import Goal
from hwnas_hls.values.record import Record

#: Number of syntheses at which the measured ratio and "no correction" have equal weight.
_SHRINK = 2.0
#: Minimum count for a ratio (not 0 DSPs predicted, 1 measured).
_FLOOR = 1.0
#: Metrics that are integers.
_WHOLE = ("latency_cycles", "ii_cycles")
_WORTH_STRADDLE = 1.0
_WORTH_UNKNOWN = 0.5


@dataclass(frozen=True, slots=True)
class Observation:
    """A prediction and the later measurement.

    Args:
        key: key of the design.
        regime: see :func:`regime_of`.
        predicted: the prediction just before the measurement, including corrections.
        measured: the measurement of the same metric.
        raw: the prediction without corrections.
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
        n: number of observations.
    """

    factor: float
    spread: float
    n: int


def regime_of(architecture: Architecture) -> str:
    """The group of designs with similar prediction errors: HLS strategies, reuse, and kind of network."""
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
    one synthesis shifts predictions by a third of the log ratio, ten by five sixths.
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
    """A corrected prediction; its interval narrows with the number of observations.

    In logarithms, the half-widths move from the predictor's to twice the observed spread with the
    weight ``n / (n + 4)``, but stay at least as wide as the spread. The result states no coverage.
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
            f"{estimate.evidence}; x {correction.factor:.3f} from {correction.n} syntheses of this run in "
            "its regime (interval scaled, not recalibrated)"
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
    """Current estimates: measurements replace predictions, and the other predictions are corrected.

    If the latency in cycles was corrected or measured, the latency in ns follows from it, unless routed
    designs correct the latency in ns itself, or the measurement has a prediction of the period: then the
    synthesizer's latency in ns is used.
    """
    out = dict(estimates)
    for name, estimate in estimates.items():
        correction = factors.get((name, regime))
        if correction is not None:
            out[name] = corrected(estimate, correction)
    # Measurements of a different circuit than the requested one are ignored.
    known = {name: estimate for name, estimate in measured.items() if estimate.in_domain}
    out |= known
    cycles = out.get("latency_cycles")
    before = estimates.get("latency_cycles")
    if cycles is None or "latency_ns" not in out or cycles == before:
        return out
    timed = known.get("latency_ns")
    if timed is not None:
        if not math.isfinite(timed.high):
            out["latency_ns"] = in_ns(cycles, clock_ns)
    elif ("latency_ns", regime) not in factors:
        out["latency_ns"] = _follows(out["latency_ns"], before, cycles, clock_ns)
    return out


def _follows(ns: Estimate, before: Estimate | None, cycles: Estimate, clock_ns: float) -> Estimate:
    """A latency in ns for corrected cycles: at the period that was predicted, if that is not the clock."""
    if before is None or math.isclose(ns.value, before.value * clock_ns, rel_tol=1e-9):
        return in_ns(cycles, clock_ns)
    return replace(
        ns,
        value=ns.value * cycles.value / before.value,
        low=ns.low * cycles.low / before.low,
        high=ns.high * cycles.high / before.high,
        evidence=f"{ns.evidence}; for {cycles.value:g} cycles by {cycles.source}: {cycles.evidence}",
    )


def most_worth(
    records: Sequence[Record],
    regimes: Mapping[str, str],
    seen: Mapping[str, int],
    goal: Goal,
    count: int,
) -> list[Record]:
    """The ``count`` records whose synthesis is most useful, best first.

    The score of a record is the sum of the relative growth of the hypervolume if its costs were at
    the optimistic ends of their intervals; 1 if an interval contains a limit; and a term that
    decreases with the number of syntheses in its regime.

    Args:
        records: complete and not yet measured.
        regimes: key -> regime.
        seen: regime -> number of syntheses so far.
        goal: goal of the run.
        count: maximum number of records.
    """
    losses = np.array([record.losses for record in records], np.float64).reshape(len(records), goal.n_losses)
    front = losses[non_dominated(losses)].tolist()
    reference = [1.0] * goal.n_losses
    whole = max(hypervolume(front, reference), 1e-12) if front else 1.0

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
            gain = hypervolume([*front, list(hopeful)], reference) / whole - 1.0
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
