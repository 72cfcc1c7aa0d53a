"""The estimator ``da-cost``: costs of distributed arithmetic in trained designs, by the solver of adders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import DaCost, costs
from hwnas_hls_plugins.synthesizers.open_synthesis.estimates import builds_what_is_asked
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import GRAPH, routed_law
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import FASTEST, period
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import installed, version
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.values.candidate import Candidate

#: LUTs over da4ml's cost, low and high: all of 20 networks of 0.3k to 20k LUTs by Yosys (0.947 to 1.036,
#: docs/open-synthesis.md) and of 23 published post-route designs of 6k to 302k (0.969 to 1.132).
LUT_OVER_COST = (0.94, 1.14)
#: LUTs from da4ml's cost where alkaid writes the RTL, with adders of three operands: coefficients of the
#: cost and of its square root, because small networks have many inverters and ReLUs for their adders. Fitted
#: to those 20 networks and 37 designs of searches of 20 to 2,100 LUTs by Yosys.
ALKAID_LUT = (0.73, 2.4)
#: Counted LUTs over this law, low and high: 55 of the 57 (all: 0.74 to 1.42); no post-route design is
#: published with its weights.
ALKAID_LUT_SPREAD = (0.85, 1.2)
#: Circuits by alkaid (those of docs/ecp5.md), those with as many cycles as da4ml has stages, and those with
#: at most one more or fewer: da4ml's graph may be deeper or less deep.
SUCCESSORS_STAGES = (170, 139, 164)
#: Flip-flops over register bits: Yosys drops dead and equal bits (0.40 to 1.00 in the same 20 networks),
#: Vivado kept 0.4 to 0.95 of Yosys' on three.
FF_OVER_BITS = (0.16, 0.92, 1.0)
#: Maximum number of solved designs that are remembered.
_MOST_KEPT = 1024


#: Metrics of ``da-cost`` and ``da-law``; ``fmax_mhz`` only for families with a model of the period.
PROVIDES = ("latency_cycles", "latency_ns", "fmax_mhz", "ii_cycles", "lut", "ff", "dsp", "bram_18k", "uram")


@dataclass(frozen=True, slots=True)
class DaLawConfig:
    """Settings of ``da-law``.

    Args:
        latency_cutoff: adder levels between two register ranks; ``None`` means the maximum that the predicted
            period allows at the design's clock, from 1 to 5. Set it as in the synthesizer ``open``.
    """

    latency_cutoff: int | None = None

    def __post_init__(self) -> None:
        if self.latency_cutoff is not None and self.latency_cutoff < 1:
            raise ValueError(f"latency_cutoff must be at least 1 adder level, not {self.latency_cutoff}")


@dataclass(frozen=True, slots=True)
class DaCostConfig(DaLawConfig):
    """Settings of ``da-cost``.

    Args:
        time_limit_s: wall-clock seconds for one batch.
        most_weights: maximum number of weights of a chain that are not zero, about six LUTs each; 0 means
            any. Larger designs keep the estimates of ``da-law``: the solver takes 2 s for a design of 23,000
            LUTs and 4 s for one of 46,000.
    """

    time_limit_s: float = 600.0
    most_weights: int = 4000

    def __post_init__(self) -> None:
        DaLawConfig.__post_init__(self)
        if self.time_limit_s <= 0:
            raise ValueError(f"time_limit_s must be above zero, not {self.time_limit_s}")
        if self.most_weights < 0:
            raise ValueError(f"most_weights must be 0 or more, not {self.most_weights}")


class DaCostEstimator(Estimator):
    """LUT, FF and cycles of trained designs in which all layers use distributed arithmetic.

    For other candidates, for designs that are too large, and without da4ml, it returns no estimates; those of
    other estimators remain.
    """

    name = "da-cost"
    Config = DaCostConfig
    config: DaCostConfig
    provides = PROVIDES
    version = "9"
    cost = 0.5
    uses_weights = True
    contends_by = "da-law"

    def __init__(self, config: DaCostConfig | None = None) -> None:
        self.config = config or DaCostConfig()
        # An export asks about the same designs again.
        self._solved: dict[tuple[object, ...], DaCost] = {}

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """One :class:`Estimates` per candidate, possibly empty."""
        out = [Estimates() for _ in candidates]
        designs = {
            place: context.designs[candidate.key]
            for place, candidate in enumerate(candidates)
            if candidate.key in context.designs
            and builds_what_is_asked(context.designs[candidate.key].architecture, distributed=True)
            and self._is_solved(context.designs[candidate.key])
        }
        if not designs or not installed("da4ml"):
            return out
        cutoff = cutoff_of(self.config, context)
        settings = (context.clock_ns, cutoff, context.target.family)
        keys = [(design.digest(), *settings) for design in designs.values()]
        unknown = {
            key: design for key, design in zip(keys, designs.values(), strict=True) if key not in self._solved
        }
        deadline = Deadline.after(self.config.time_limit_s)
        # Where alkaid writes the RTL, da4ml's graph only predicts it.
        quick, family = installed("alkaid"), context.target.family
        answers = (
            costs(list(unknown.values()), context.clock_ns, cutoff, deadline, family, quick=quick)
            if unknown
            else []
        )
        known = self._solved | dict(zip(unknown, answers, strict=True))
        self._solved = dict(list(known.items())[-_MOST_KEPT:])
        for (place, design), key in zip(designs.items(), keys, strict=True):
            cost = known[key]
            clock_ns = None if cutoff == FASTEST else design.architecture.clock_ns or context.clock_ns
            if not cost.refused:
                out[place] = Estimates(values=estimates_of(cost, clock_ns, context.target))
        return out

    def _is_solved(self, design: Design) -> bool:
        most = self.config.most_weights
        # ``da-law`` estimates chains only.
        if not most or not design.architecture.is_chain:
            return True
        return sum(int(np.count_nonzero(weight)) for weight in design.chain_weights) <= most


def cutoff_of(config: DaLawConfig, context: Context) -> int | None:
    """The adder levels per stage: the setting, ``FASTEST``, or ``None`` for those that the clock allows.

    Without a clock by the user, ``ecp5`` gives every exported design the pipeline of its lowest latency.
    """
    if config.latency_cutoff is None and context.finds_clock and context.target.family == ECP5:
        return FASTEST
    return config.latency_cutoff


def estimates_of(cost: DaCost, clock_ns: float | None, target: Target) -> dict[str, Estimate]:
    """Estimates that follow from the cost and stages of an adder graph.

    Args:
        clock_ns: the clock for which the pipeline is divided; ``None`` for the highest that it reaches.
        target: the part; family and speed grade matter.
    """
    tool = f"{cost.solver} {version(cost.solver)}"
    lut, ff = _on_ecp5(cost) if target.family == ECP5 else _on_amd(cost)
    stages = cost.stages
    fewest, most, taken = _stages(cost)
    found = [lut, ff, _predicted("latency_cycles", stages, fewest, most, taken, 0.9)]
    found.append(_predicted("ii_cycles", 1, 1, 1, "a pipeline without feedback", 0.9))
    found += [_predicted(metric, 0, 0, 0, "adders only", 0.9) for metric in ("dsp", "bram_18k", "uram")]
    size = lut.value if target.family == ECP5 else cost.cost_lut
    stage_bits = cost.path_bits / stages
    timing = period(cost.adder_levels, size, target.family, stage_bits, target.part, cost.origin)
    if timing is not None:
        inside = timing.in_domain and lut.in_domain
        periods = (timing.value_ns, timing.low_ns, timing.high_ns)
        words = f"{stages} stages at the clock that is found for the routed design; {timing.evidence}"
        if clock_ns is not None:
            periods = timing.at_clock(clock_ns)
            words = f"{stages} stages at a clock of {clock_ns:g} ns where it is met; {timing.evidence}"
        value, low, high = (n * ns for n, ns in zip((stages, fewest, most), periods, strict=True))
        found.append(_predicted("latency_ns", value, low, high, words, timing.coverage, inside))
        fastest, slowest = 1000 / timing.low_ns, 1000 / timing.high_ns
        words = timing.evidence
        value = 1000 / timing.value_ns
        found.append(_predicted("fmax_mhz", value, slowest, fastest, words, timing.coverage, inside))
    return {item.metric: replace(item, evidence=f"{tool}: {item.evidence}") for item in found}


def _stages(cost: DaCost) -> tuple[int, int, str]:
    """The fewest and most cycles of the circuit, and what they rest on."""
    if cost.origin == GRAPH and cost.solver == "da4ml" and installed("alkaid"):
        seen, equal, near = SUCCESSORS_STAGES
        words = (
            f"its pipeline stages; of {seen} simulated circuits by alkaid, which writes the RTL, {equal} "
            f"took as many cycles and {near} at most one more or fewer"
        )
        return max(1, cost.stages - 1), cost.stages + 1, words
    return cost.stages, cost.stages, "its pipeline stages, which every simulated network took"


def _predicted(
    metric: str,
    value: float,
    low: float,
    high: float,
    evidence: str,
    coverage: float | None,
    in_domain: bool = True,
) -> Estimate:
    # A coverage applies only to designs of the kinds that were routed.
    coverage = coverage if in_domain else None
    return Estimate(metric, value, low, high, "predicted", evidence, coverage, in_domain)


def _on_ecp5(cost: DaCost) -> tuple[Estimate, Estimate]:
    """LUT and FF, by the laws fitted to routed designs."""
    law = routed_law()
    lut = law.lut(cost.cost_lut, cost.origin)
    ff = law.registers(cost.register_bits, cost.origin)
    # Without alkaid the circuits are da4ml's, which nobody routed for the law.
    inside = law.covers(cost.adder_levels, lut.value) and installed("alkaid")
    words = f"from its cost of {cost.cost_lut:,.0f}: {law.evidence('lut', cost.origin)}"
    first = _predicted("lut", lut.value, lut.low, lut.high, words, law.coverage, inside)
    words = f"from {cost.register_bits:,} register bits: {law.evidence('ff', cost.origin)}"
    return first, _predicted("ff", ff.value, ff.low, ff.high, words, law.coverage, inside)


def _on_amd(cost: DaCost) -> tuple[Estimate, Estimate]:
    """LUT and FF, by the ratios of networks that Yosys mapped and Vivado routed."""
    lut = cost.cost_lut
    if installed("alkaid"):
        middle = ALKAID_LUT[0] * lut + ALKAID_LUT[1] * math.sqrt(lut)
        low, high = (share * middle for share in ALKAID_LUT_SPREAD)
        evidence = (
            f"from its own cost of {lut:,.0f}, for RTL by alkaid with adders of three operands; of 57 "
            "designs by Yosys, 55 lie in the interval"
        )
    else:
        low, middle, high = LUT_OVER_COST[0] * lut, lut, LUT_OVER_COST[1] * lut
        evidence = (
            "its own cost; 20 networks by Yosys and 23 published post-route designs all lie in the interval"
        )
    first = _predicted("lut", middle, low, high, evidence, 0.9)
    low, middle, high = (share * cost.register_bits for share in FF_OVER_BITS)
    words = f"of {cost.register_bits} register bits; interval not calibrated"
    return first, _predicted("ff", middle, low, high, words, None)
