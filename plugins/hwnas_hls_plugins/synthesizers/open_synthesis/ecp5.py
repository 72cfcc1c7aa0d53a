"""The synthesizer ``ecp5``: open synthesis up to a routed circuit, for Lattice's ECP5 parts."""

from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.synthesizer import SynthesisReport
from hwnas_hls.protocols.target import Target
from hwnas_hls_plugins.synthesizers.open_synthesis import nextpnr
from hwnas_hls_plugins.synthesizers.open_synthesis.config import Ecp5Config
from hwnas_hls_plugins.synthesizers.open_synthesis.measurement import Measurement
from hwnas_hls_plugins.synthesizers.open_synthesis.nextpnr import Routing
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import routed_law
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import Rtl
from hwnas_hls_plugins.synthesizers.open_synthesis.synthesizer import LEVELS, OpenSynthesizer
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)
_POST_ROUTE = "post_route"
#: Adder levels per stage that are tried in the search for a clock.
TRIED_LEVELS = (2, 3, 4, 6)
#: Ratio of the clock period to the period of one placement; other seeds were up to 7 % slower.
_MARGIN = 1.05
_ATTEMPTS = 3
#: Clock periods are multiples of this, in ns.
_STEP_NS = 0.1


class Ecp5Synthesizer(OpenSynthesizer):
    """Open synthesis of distributed arithmetic, placed and routed on a Lattice ECP5 part.

    RTL, simulation and count are those of ``open``; nextpnr places and routes the same netlist several
    times, and reports LUTs, registers and the highest clock frequency. The slowest placement counts.

    Args:
        config: settings; ``None`` for the defaults.
    """

    name: ClassVar[str] = "ecp5"
    Config: ClassVar[type[Ecp5Config]] = Ecp5Config
    config: Ecp5Config
    default_stage: str = _POST_ROUTE
    _stages: ClassVar[tuple[str, ...]] = ("cosim", "logic_synth", _POST_ROUTE)

    def clocked(self, design: Design, target: Target, rows: NDArray[np.int64] | None = None) -> Design:
        """The design at the clock and pipeline of the lowest latency in ns.

        Circuits with two to six adder levels per stage are routed once each, the one with the lowest
        predicted latency first; one whose predicted interval lies above a routed latency is left out. The
        best one gets the clock that it reaches, with a margin, and is routed with all seeds. If the slowest
        placement misses the clock, the period is increased and the routing repeated. A design that cannot be
        routed stays unchanged.
        """
        if self._missing(target, _POST_ROUTE):
            return design
        once = Ecp5Synthesizer(dataclasses.replace(self.config, seeds=1, bitstream=False))
        best: tuple[float, float, Design] | None = None
        for soonest_ns, trial in self._trials(design, target):
            if best is not None and soonest_ns > best[0]:
                continue
            found = once.synthesize(trial, target, rows=rows).estimates
            if "fmax_mhz" in found and "latency_cycles" in found:
                period_ns = 1000.0 / found["fmax_mhz"].value
                latency_ns = found["latency_cycles"].value * period_ns
                if best is None or latency_ns < best[0]:
                    best = latency_ns, period_ns, trial
        if best is None:
            return design
        _, period_ns, chosen = best
        for _ in range(_ATTEMPTS):
            chosen = _at(chosen, _MARGIN * period_ns)
            report = self.synthesize(chosen, target, rows=rows)
            if report.failure:
                break
            period_ns = 1000.0 / report.estimates["fmax_mhz"].value
            if period_ns <= (chosen.architecture.clock_ns or 0.0):
                break
        return chosen

    def _trials(self, design: Design, target: Target) -> list[tuple[float, Design]]:
        """(Lower end of the predicted latency in ns, design) of each different number of pipeline stages.

        The design with the lowest predicted latency comes first.
        """
        found: dict[int, tuple[float, float, Design]] = {}
        for levels in [self.config.latency_cutoff] if self.config.latency_cutoff else TRIED_LEVELS:
            trial = dataclasses.replace(design, meta={**design.meta, LEVELS: levels})
            try:
                circuit = self.circuit(trial, target)
            except HwnasError as error:
                log.info("no circuit of %s adder levels a stage: %s", levels, error)
                continue
            if circuit.stages not in found:
                found[circuit.stages] = (*_latency_ns(circuit, target.part), trial)
        return [(low, trial) for _, low, trial in sorted(found.values(), key=lambda item: item[0])]

    def _missing(self, target: Target, stage: str) -> str:
        if target.family != ECP5:
            return (
                f"ecp5 routes Lattice ECP5 parts only, {target.name} is of the family {target.family}: "
                "choose the synthesizer open, or an ECP5 part as the target (for example ulx3s)"
            )
        lacks = [super()._missing(target, stage), nextpnr.missing() if stage == _POST_ROUTE else ""]
        return "; ".join(filter(None, lacks))

    def _routing(self) -> Routing:
        return Routing(self.config.seeds, self.config.bitstream, self._pins())

    def _pins(self) -> str:
        if self.config.pins is None:
            return ""
        try:
            return Path(self.config.pins).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                "pin constraints cannot be read",
                where="ecp5: pins",
                found=error,
                remedy="give the path of a text file (LPF), or leave pins out",
                kind=ErrorKind.NOT_ACCESSIBLE,
            ) from error

    def _key_of_route(self, target: Target, stage: str) -> dict[str, object]:
        if stage != _POST_ROUTE:
            return {}
        return {
            "part": target.part,
            "router": nextpnr.tool(),
            "routing": dataclasses.asdict(self._routing()),
            "routing_flow": nextpnr.FLOW,
        }

    def _completed(
        self, report: SynthesisReport, measurement: Measurement, target: Target
    ) -> SynthesisReport:
        slowest = measurement.slowest
        if slowest is None:
            return report
        if failure := _too_large(slowest, target):
            return dataclasses.replace(
                report, estimates={}, failure=failure, failure_kind=ErrorKind.TOO_LARGE
            )
        warnings = report.warnings
        if 1000.0 / slowest.fmax_mhz > measurement.clock_ns:
            warnings = (
                *warnings,
                f"the routed circuit reaches {slowest.fmax_mhz:.1f} MHz, not the "
                f"{1000.0 / measurement.clock_ns:.1f} MHz of its clock: choose a longer clock period",
            )
        logic, wires = slowest.path_ns
        counts = {f"fmax_mhz_seed_{route.seed}": route.fmax_mhz for route in measurement.routes}
        counts |= {"path_logic_ns": logic, "path_wires_ns": wires}
        return dataclasses.replace(report, warnings=warnings, counts={**report.counts, **counts})

    def _tool(self) -> str:
        return f"{super()._tool()}, {nextpnr.tool()}"


def _latency_ns(circuit: Rtl, part: str) -> tuple[float, float]:
    """(Predicted latency, lower end) of a circuit at the highest clock frequency that it reaches."""
    law, facts = routed_law(), circuit.facts
    lut = law.lut(facts["cost_lut"]).value
    found = law.period_ns(facts["path_bits"] / circuit.stages, lut, part)
    return circuit.stages * found.value, circuit.stages * found.low


def _at(design: Design, clock_ns: float) -> Design:
    """The design with a clock period, rounded up to a tenth of a nanosecond."""
    rounded = round(math.ceil(clock_ns / _STEP_NS - 1e-6) * _STEP_NS, 3)
    return dataclasses.replace(
        design, architecture=dataclasses.replace(design.architecture, clock_ns=rounded)
    )


def _too_large(route: nextpnr.Route, target: Target) -> str:
    """Why a routed circuit does not fit into a part; empty if it does.

    nextpnr uses the whole die. The LFE5U-12F has the die of the LFE5U-25F, of which only half is specified.
    """
    for name in ("lut", "ff", "dsp", "bram_18k"):
        used, held = getattr(route, name), getattr(target, name)
        if used > held:
            return f"{target.name} has {held} {name}; the routed circuit takes {used}"
    return ""
