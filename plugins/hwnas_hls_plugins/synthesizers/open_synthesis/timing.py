"""Predicted clock periods of routed distributed-arithmetic designs: formulas, never measurements.

No open tool times UltraScale+ parts. Their formula was fitted to 23 published post-route
designs made by da4ml: the 20 of JEDI-linear (github.com/calad0i/JEDI-linear, xcvu13p-2,
2 adder levels), da4ml's own jet tagger (5 levels) and two of HGQ's (1 level).

ECP5's was fitted to designs of our own, routed by nextpnr (``docs/ecp5.md``). The synthesizer ``ecp5``
measures the period instead.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fit:
    """A period model of one family: ``offset_ns + level_ns * adder levels + kilo_lut_ns * LUT / 1000``.

    Args:
        worst_error: largest error over the designs of the fit, relative to the measured period.
        cutoffs: minimum and maximum adder levels of these designs.
        luts: range of LUTs in which the model is used.
        provenance: formula, designs and errors, for evidence.
        lut_of_cost: LUTs of the family for each LUT of da4ml's or alkaid's cost.
    """

    offset_ns: float
    level_ns: float
    kilo_lut_ns: float
    worst_error: float
    cutoffs: tuple[int, int]
    luts: tuple[int, int]
    provenance: str
    lut_of_cost: float = 1.0

    def period_ns(self, levels: int, lut: float) -> float:
        return self.offset_ns + self.level_ns * levels + self.kilo_lut_ns * lut / 1000


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
    "ecp5": Fit(
        5.3,
        0.7,
        1.8,
        0.30,
        (1, 6),
        (400, 2_600),
        "T = 5.3 + 0.7 x adder levels + 1.8 x kLUT ns, fitted to ten placements of two networks by nextpnr "
        "(1 to 6 levels, 0.4k to 2.6k LUT4, speed grade 6; 19 % worst, in sample; 30 % is assumed)",
        # 1.98 to 2.10 in the same placements.
        2.03,
    ),
}


@dataclass(frozen=True, slots=True)
class Period:
    """A predicted clock period in ns, with the worst-case interval of the fit and its provenance."""

    value_ns: float
    low_ns: float
    high_ns: float
    in_domain: bool
    provenance: str


def period(latency_cutoff: int, lut: float, family: str) -> Period | None:
    """The predicted period; ``None`` for a family without a fit.

    Args:
        latency_cutoff: adder levels between two register ranks.
        lut: LUTs of the design.
        family: the target's.
    """
    fit = FITS.get(family)
    if fit is None:
        return None
    value = fit.period_ns(latency_cutoff, lut)
    inside = fit.cutoffs[0] <= latency_cutoff <= fit.cutoffs[1] and fit.luts[0] <= lut <= fit.luts[1]
    # The error was (measured - fitted) / measured at most ``worst_error`` either way.
    low, high = value / (1 + fit.worst_error), value / (1 - fit.worst_error)
    return Period(value, low, high, inside, fit.provenance)


def lut_of_cost(cost: float, family: str) -> float:
    """LUTs of a family for a cost of da4ml or alkaid, in the period model."""
    return FITS.get(family, FITS[FAMILY]).lut_of_cost * cost


def latency_cutoff(clock_ns: float, cost: float, family: str = FAMILY) -> int:
    """The maximum adder levels per stage whose predicted period meets ``clock_ns``, within the fit's range.

    Args:
        cost: of da4ml or alkaid.
        family: family of the target; one without a fit uses the rule of UltraScale+.
    """
    fit = FITS.get(family, FITS[FAMILY])
    levels = (clock_ns - fit.offset_ns - fit.kilo_lut_ns * fit.lut_of_cost * cost / 1000) / fit.level_ns
    return max(fit.cutoffs[0], min(fit.cutoffs[1], int(levels)))
