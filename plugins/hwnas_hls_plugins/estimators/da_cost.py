"""The estimator ``da-cost``: costs of distributed arithmetic in trained designs, by da4ml's solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.protocols.estimator import Estimator
from hwnas_hls.values.estimate import Estimate, Estimates
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import DaCost, costs
from hwnas_hls_plugins.synthesizers.open_synthesis.estimates import builds_what_is_asked
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import period
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import installed, version
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

if TYPE_CHECKING:
    from hwnas_hls.protocols.estimator import Context
    from hwnas_hls.values.candidate import Candidate

#: LUTs over da4ml's cost, low and high: all of 20 networks of 0.3k to 20k LUTs by Yosys (0.947 to 1.036,
#: docs/open-synthesis.md) and of 23 published post-route designs of 6k to 302k (0.969 to 1.132).
LUT_OVER_COST = (0.94, 1.14)
#: The same where alkaid writes the RTL, with adders of three operands: low, middle, high. Of the same 20
#: networks by Yosys 0.73 to 0.82, mean 0.76; no post-route design is published with its weights.
ALKAID_LUT_OVER_COST = (0.70, 0.76, 0.88)
#: ECP5: LUT4 after routing over the cost, low, middle, high: 1.98 to 2.10 in ten placements of two
#: networks of 0.4k to 2.6k LUT4 (docs/ecp5.md); low and high are set wider by hand.
ECP5_LUT_OVER_COST = (1.7, 2.03, 2.4)
#: Flip-flops over register bits: Yosys drops dead and equal bits (0.40 to 1.00 in the same 20 networks),
#: Vivado kept 0.4 to 0.95 of Yosys' on three.
FF_OVER_BITS = (0.16, 0.92, 1.0)


@dataclass(frozen=True, slots=True)
class DaCostConfig:
    """Settings of ``da-cost``.

    Args:
        latency_cutoff: as in the synthesizer ``open``.
        time_limit_s: wall-clock seconds for one batch.
    """

    latency_cutoff: int | None = None
    time_limit_s: float = 600.0

    def __post_init__(self) -> None:
        if self.latency_cutoff is not None and self.latency_cutoff < 1:
            raise ValueError(f"latency_cutoff must be at least 1 adder level, not {self.latency_cutoff}")
        if self.time_limit_s <= 0:
            raise ValueError(f"time_limit_s must be above zero, not {self.time_limit_s}")


class DaCostEstimator(Estimator):
    """LUT, FF and cycles of trained designs in which all layers use distributed arithmetic.

    For other candidates, and without da4ml, it returns no estimates; those of other estimators remain.
    """

    name = "da-cost"
    Config = DaCostConfig
    config: DaCostConfig
    provides = ("latency_cycles", "latency_ns", "ii_cycles", "lut", "ff", "dsp", "bram_18k", "uram")
    version = "3"
    cost = 0.5
    uses_weights = True
    contends_by = "da-law"

    def __init__(self, config: DaCostConfig | None = None) -> None:
        self.config = config or DaCostConfig()

    def estimate(self, candidates: Sequence[Candidate], context: Context) -> list[Estimates]:
        """One :class:`Estimates` per candidate, possibly empty."""
        out = [Estimates() for _ in candidates]
        designs = {
            place: context.designs[candidate.key]
            for place, candidate in enumerate(candidates)
            if candidate.key in context.designs
            and builds_what_is_asked(context.designs[candidate.key].architecture, distributed=True)
        }
        if not designs or not installed("da4ml"):
            return out
        found = costs(
            list(designs.values()),
            context.clock_ns,
            self.config.latency_cutoff,
            Deadline.after(self.config.time_limit_s),
            context.target.family,
        )
        for (place, design), cost in zip(designs.items(), found, strict=True):
            clock_ns = design.architecture.clock_ns or context.clock_ns
            if not cost.refused:
                out[place] = Estimates(values=estimates_of(cost, clock_ns, context.target.family))
        return out


def estimates_of(cost: DaCost, clock_ns: float, family: str) -> dict[str, Estimate]:
    """Estimates that follow from da4ml's cost and stages."""
    tool = f"da4ml {version('da4ml')}"
    out: dict[str, Estimate] = {}

    def add(
        metric: str, value: float, low: float, high: float, evidence: str, coverage: float | None
    ) -> None:
        out[metric] = Estimate(metric, value, low, high, "predicted", f"{tool}: {evidence}", coverage)

    lut = cost.cost_lut
    if family == ECP5:
        low, middle, high = (share * lut for share in ECP5_LUT_OVER_COST)
        evidence = f"{ECP5_LUT_OVER_COST[1]} LUT4 for each LUT of its cost of {lut:,.0f}, not calibrated"
        add("lut", middle, low, high, evidence, None)
    elif installed("alkaid"):
        low, middle, high = (share * lut for share in ALKAID_LUT_OVER_COST)
        evidence = (
            f"{ALKAID_LUT_OVER_COST[1]} of its own cost of {lut:,.0f}, for RTL by alkaid with adders of "
            "three operands; 20 networks by Yosys all lie in the interval"
        )
        add("lut", middle, low, high, evidence, 0.9)
    else:
        evidence = (
            "its own cost; 20 networks by Yosys and 23 published post-route designs all lie in the interval"
        )
        add("lut", lut, LUT_OVER_COST[0] * lut, LUT_OVER_COST[1] * lut, evidence, 0.9)
    low, middle, high = (share * cost.register_bits for share in FF_OVER_BITS)
    add("ff", middle, low, high, f"of {cost.register_bits} register bits; interval not calibrated", None)
    stages = cost.stages
    evidence = "its pipeline stages, which every simulated network took"
    add("latency_cycles", stages, stages, stages, evidence, 0.9)
    add("ii_cycles", 1, 1, 1, "a pipeline without feedback", 0.9)
    for metric in ("dsp", "bram_18k", "uram"):
        add(metric, 0, 0, 0, "adders only", 0.9)
    timing = period(cost.adder_levels, out["lut"].value if family == ECP5 else lut, family)
    if timing is not None:
        slow = stages * max(clock_ns, timing.high_ns)
        evidence = (
            f"{stages} stages x clock {clock_ns:g} ns, also the lower end; upper end: that of the period, "
            f"{timing.provenance}"
        )
        add("latency_ns", stages * clock_ns, stages * clock_ns, slow, evidence, None)
    return out
