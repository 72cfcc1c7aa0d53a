"""LUTs, registers and clock period of ECP5 circuits before routing: laws fitted to routed designs of our own.

``benchmarks/timing/ecp5.py`` routes the designs, ``fit.py`` in the same folder writes the coefficients to
``hw_targets/calibration/ecp5_routed.json``.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas_hls.resources import data_folder
from hwnas_hls.spec.notation import percent

FILE = "ecp5_routed.json"
#: Added to every size before its logarithm, so that empty circuits have one.
OFFSETS = {"lut": (4.0,), "ff": (4.0,), "period_ns": (4.0, 4.0)}
#: Where the sizes come from: alkaid's graph of adders, or the closed form of ``da-law``.
GRAPH, CLOSED_FORM = "graph", "closed_form"
_SPEED = re.compile(r"-([678])[A-Z]{2}\d+")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Prediction:
        return Prediction(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """A constant times powers of sizes.

    Args:
        constant: natural logarithm.
        powers: one for each size.
        low, high: natural logarithms of the ends of the interval over the value.
        left_out: errors on networks left out of the fit: ``median_error``, and ``coverage`` of the interval.
    """

    constant: float
    powers: tuple[float, ...]
    low: float
    high: float
    left_out: Mapping[str, float]

    def at(self, sizes: Sequence[float], offsets: Sequence[float]) -> Prediction:
        terms = zip(self.powers, sizes, offsets, strict=True)
        value = math.exp(
            self.constant + sum(power * math.log(size + offset) for power, size, offset in terms)
        )
        return Prediction(value, value * math.exp(self.low), value * math.exp(self.high))

    @property
    def words(self) -> str:
        """Its errors, for evidence."""
        error, covered = (percent(self.left_out[name]) for name in ("median_error", "coverage"))
        return (
            f"on networks left out of the fit, the median error is {error} and {covered} lie in the interval"
        )


@dataclass(frozen=True, slots=True)
class RoutedLaw:
    """Laws of circuits by alkaid on ECP5.

    Args:
        laws: origin of the sizes (:data:`GRAPH`, :data:`CLOSED_FORM`) -> metric -> law.
        speed: speed grade -> period over that of the grade of the fit.
        coverage: share of the designs of networks left out that the intervals are made for.
        levels: minimum and maximum adder levels per stage.
        luts: LUT4 of the smallest and the largest design.
        provenance: designs, versions and date, for evidence.
    """

    laws: Mapping[str, Mapping[str, PowerLaw]]
    speed: Mapping[str, float]
    coverage: float
    levels: tuple[int, int]
    luts: tuple[float, float]
    provenance: str

    def lut(self, cost: float, origin: str = GRAPH) -> Prediction:
        """LUT4 after routing, from the cost of the graph."""
        return self.laws[origin]["lut"].at((cost,), OFFSETS["lut"])

    def registers(self, register_bits: float, origin: str = GRAPH) -> Prediction:
        """Registers after routing, from the bits of the ranks."""
        return self.laws[origin]["ff"].at((register_bits,), OFFSETS["ff"])

    def period_ns(self, stage_bits: float, lut: float, part: str = "", origin: str = GRAPH) -> Prediction:
        """The clock period in ns that a routed circuit reaches.

        Args:
            stage_bits: bits of the adder levels on the path with most of them, divided by the stages.
            lut: LUT4 of the circuit.
            part: full part name; without a known speed grade, that of the fit.
        """
        found = self.laws[origin]["period_ns"].at((stage_bits, lut), OFFSETS["period_ns"])
        return found.times(self.speed.get(_grade(part), 1.0))

    def covers(self, levels: int, lut: float, part: str = "") -> bool:
        """Whether the fit has such designs."""
        known = not part or _grade(part) in self.speed
        return known and self.levels[0] <= levels <= self.levels[1] and self.luts[0] <= lut <= self.luts[1]

    def evidence(self, metric: str, origin: str = GRAPH) -> str:
        """The evidence of a prediction."""
        return f"{self.provenance}; {self.laws[origin][metric].words}"


@functools.cache
def routed_law() -> RoutedLaw:
    """The shipped law."""
    return law_of(json.loads((data_folder("hw_targets") / "calibration" / FILE).read_text()))


def law_of(data: Mapping[str, Any]) -> RoutedLaw:
    """The law of a calibration file."""
    source = data["provenance"]
    first, last = data["domain"]["levels"]
    fewest, most = data["domain"]["lut"]
    versions = ", ".join(f"{name} {number}" for name, number in source["versions"].items())
    provenance = (
        f"law fitted to {source['designs']} circuits of {source['networks']} networks, routed for "
        f"{source['part']} ({first} to {last} adder levels a stage, {fewest:g} to {most:g} LUT4; {versions}; "
        f"{source['date']})"
    )
    laws = {
        origin: {
            metric: PowerLaw(law["constant"], tuple(law["powers"]), law["low"], law["high"], law["left_out"])
            for metric, law in metrics.items()
        }
        for origin, metrics in data["laws"].items()
    }
    return RoutedLaw(laws, data["speed"], data["coverage"], (first, last), (fewest, most), provenance)


def _grade(part: str) -> str:
    found = _SPEED.search(part.upper())
    return found[1] if found else ""
