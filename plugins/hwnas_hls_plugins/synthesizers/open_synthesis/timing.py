"""The period a routed distributed-arithmetic design will reach: a formula, never a measurement.

No open tool times UltraScale+ parts. The formula was fitted to 23 published post-route
designs made by da4ml: the 20 of JEDI-linear (github.com/calad0i/JEDI-linear, xcvu13p-2,
2 adder levels), da4ml's own jet tagger (5 levels) and two of HGQ's (1 level).
"""

from __future__ import annotations

from dataclasses import dataclass

_OFFSET_NS = 0.87
_LEVEL_NS = 0.80
_KILO_LUT_NS = 0.0071
#: Largest relative error over the 23 designs; the root mean square is 0.07.
WORST_ERROR = 0.19
CUTOFFS = (1, 5)
#: The fit's smallest design has 6k LUTs; below, the LUT term is under 0.05 ns, 1 % of a period.
LUTS = (0, 300_000)
FAMILY = "ultrascale+"
PROVENANCE = (
    "T = 0.87 + 0.80 x adder levels + 0.0071 x kLUT ns, fitted to 23 published post-route designs "
    "(JEDI-linear, da4ml, HGQ; -2 UltraScale+, 1 to 5 levels, 6k to 300k LUTs; 7 % rms, 19 % worst, "
    "in sample)"
)


@dataclass(frozen=True, slots=True)
class Period:
    """A predicted clock period in ns, with the worst-case interval of the fit."""

    value_ns: float
    low_ns: float
    high_ns: float
    in_domain: bool


def period(latency_cutoff: int, lut: float, family: str) -> Period | None:
    """Predicted period; ``None`` for a family that no design of the fit came from.

    Args:
        latency_cutoff: adder levels between two register ranks.
        lut: LUTs of the design.
        family: the target's.
    """
    if family != FAMILY:
        return None
    value = _OFFSET_NS + _LEVEL_NS * latency_cutoff + _KILO_LUT_NS * lut / 1000
    inside = CUTOFFS[0] <= latency_cutoff <= CUTOFFS[1] and LUTS[0] <= lut <= LUTS[1]
    # The error was (measured - fitted) / measured at most 19 % either way.
    return Period(value, value * (1 - WORST_ERROR), value * (1 + WORST_ERROR), inside)


def latency_cutoff(clock_ns: float, lut: float) -> int:
    """The most adder levels a stage whose predicted period fits ``clock_ns``, within the fit's range."""
    levels = (clock_ns - _OFFSET_NS - _KILO_LUT_NS * lut / 1000) / _LEVEL_NS
    return max(CUTOFFS[0], min(CUTOFFS[1], int(levels)))
