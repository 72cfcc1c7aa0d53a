"""Predicted clock periods of routed distributed-arithmetic designs: never measurements.

No open tool times UltraScale+ parts. Their formula was fitted to 23 published post-route
designs made by da4ml: the 20 of JEDI-linear (github.com/calad0i/JEDI-linear, xcvu13p-2,
2 adder levels), da4ml's own jet tagger (5 levels) and two of HGQ's (1 level).

ECP5's law is fitted to designs of our own, routed by nextpnr, with intervals that hold on networks left out
(:mod:`~hwnas_hls_plugins.synthesizers.open_synthesis.routed_law`). The synthesizer ``ecp5`` measures the
period instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls_plugins.synthesizers.open_synthesis.adder_graph import Shape
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import GRAPH, routed_law
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5


@dataclass(frozen=True, slots=True)
class Fit:
    """A period model of one family: ``offset_ns + level_ns * adder levels + kilo_lut_ns * LUT / 1000``.

    Args:
        worst_error: largest error over the designs of the fit, relative to the measured period.
        cutoffs: minimum and maximum adder levels of these designs.
        luts: range of LUTs in which the model is used.
        provenance: formula, designs and errors, for evidence.
    """

    offset_ns: float
    level_ns: float
    kilo_lut_ns: float
    worst_error: float
    cutoffs: tuple[int, int]
    luts: tuple[int, int]
    provenance: str

    def period_ns(self, levels: int, lut: float) -> float:
        return self.offset_ns + self.level_ns * levels + self.kilo_lut_ns * lut / 1000


#: Adder levels per stage that are tried where the clock is searched.
TRIED_LEVELS = (2, 3, 4, 6)
#: In place of a cutoff: that of :func:`fastest_levels`.
FASTEST = -1
#: The family whose rule divides the pipeline if a family has no fit; the evidence says so.
FAMILY = "ultrascale+"
FITS = {
    FAMILY: Fit(
        0.87,
        0.80,
        0.0071,
        # The root mean square is 0.07.
        0.19,
        (1, 5),
        # The fit's smallest design has 6k LUTs; below, the LUT term is under 0.05 ns, 1 % of a period.
        (0, 300_000),
        "T = 0.87 + 0.80 x adder levels + 0.0071 x kLUT ns, fitted to 23 published post-route designs "
        "(JEDI-linear, da4ml, HGQ; -2 UltraScale+, 1 to 5 levels, 6k to 300k LUTs; 7 % rms, 19 % worst, "
        "in sample)",
    ),
}


@dataclass(frozen=True, slots=True)
class Period:
    """A predicted clock period in ns, its interval and its provenance.

    Args:
        coverage: share of designs left out whose period lay in the interval; ``None`` for the worst errors of
            a fit to the same designs.
    """

    value_ns: float
    low_ns: float
    high_ns: float
    in_domain: bool
    provenance: str
    coverage: float | None = None

    @property
    def evidence(self) -> str:
        """The period and its evidence, for an estimate."""
        text = f"period {self.value_ns:.2f} ns ({self.low_ns:.2f}-{self.high_ns:.2f}) by {self.provenance}"
        return text if self.in_domain else f"{text} (this design is outside that range)"

    def at_clock(self, clock_ns: float) -> tuple[float, float, float]:
        """(Period, low, high) at which a circuit runs that was divided for a clock.

        A model that covers designs left out says where that clock is missed. Worst errors of a fit say only
        where it may be, so the clock is then the value and the lower end.
        """
        slowest = max(clock_ns, self.high_ns)
        if self.coverage is None:
            return clock_ns, clock_ns, slowest
        return max(clock_ns, self.value_ns), max(clock_ns, self.low_ns), slowest


def period(
    levels: int,
    lut: float,
    family: str,
    stage_bits: float | None = None,
    part: str = "",
    origin: str = GRAPH,
) -> Period | None:
    """The predicted period; ``None`` for a family without a model.

    Args:
        levels: maximum adder levels between two register ranks.
        lut: LUTs of the design.
        family: the target's.
        stage_bits: bits of the adder levels on the path with most of them, divided by the stages; ECP5 has no
            model without it.
        part: full name of the part, whose speed grade matters for ECP5.
        origin: of ``stage_bits``, as in :class:`RoutedLaw`.
    """
    if family == ECP5:
        return None if stage_bits is None else _routed(levels, lut, stage_bits, part, origin)
    fit = FITS.get(family)
    if fit is None:
        return None
    value = fit.period_ns(levels, lut)
    inside = fit.cutoffs[0] <= levels <= fit.cutoffs[1] and fit.luts[0] <= lut <= fit.luts[1]
    # The error was (measured - fitted) / measured at most ``worst_error`` either way.
    low, high = value / (1 + fit.worst_error), value / (1 - fit.worst_error)
    return Period(value, low, high, inside, fit.provenance)


def _routed(levels: int, lut: float, stage_bits: float, part: str, origin: str) -> Period:
    law = routed_law()
    found = law.period_ns(stage_bits, lut, part, origin)
    inside = law.covers(levels, lut, part)
    words = law.evidence("period_ns", origin)
    return Period(found.value, found.low, found.high, inside, words, law.coverage)


def fastest_levels(cost: float, shape: Shape, origin: str = GRAPH) -> int:
    """The adder levels per stage with the lowest predicted latency in ns on ECP5, each at its highest Fmax.

    Args:
        cost, shape, origin: as for :func:`latency_cutoff`.
    """
    law = routed_law()
    lut = law.lut(cost, origin).value

    def latency_ns(levels: int) -> float:
        stages = shape.stages(levels)
        return stages * law.period_ns(shape.path_bits / stages, lut, origin=origin).value

    return min(TRIED_LEVELS, key=latency_ns)


def latency_cutoff(
    clock_ns: float, cost: float, family: str = FAMILY, shape: Shape | None = None, origin: str = GRAPH
) -> int:
    """The maximum adder levels per stage whose predicted period meets ``clock_ns``, within the model's range.

    Args:
        cost: of da4ml or alkaid.
        family: family of the target; one without a model uses the formula of UltraScale+.
        shape: of the graph of adders; necessary for ECP5.
        origin: of cost and shape, as in :class:`RoutedLaw`.
    """
    if family == ECP5 and shape is not None:
        law = routed_law()
        lut = law.lut(cost, origin).value
        fewest, most = law.levels
        for levels in range(most, fewest, -1):
            stage_bits = shape.path_bits / shape.stages(levels)
            if law.period_ns(stage_bits, lut, origin=origin).value <= clock_ns:
                return levels
        return fewest
    fit = FITS.get(family, FITS[FAMILY])
    found = (clock_ns - fit.offset_ns - fit.kilo_lut_ns * cost / 1000) / fit.level_ns
    return max(fit.cutoffs[0], min(fit.cutoffs[1], int(found)))
