"""The synthesizer ``ecp5``: open synthesis up to a routed circuit, for Lattice's ECP5 parts."""

from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path
from statistics import geometric_mean
from typing import TYPE_CHECKING, ClassVar

from hwnas_hls.errors import ErrorKind, HwnasError, UserError
from hwnas_hls.network.design import ADDER_LEVELS, Design
from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer
from hwnas_hls.protocols.target import Target
from hwnas_hls_plugins.synthesizers.open_synthesis import nextpnr
from hwnas_hls_plugins.synthesizers.open_synthesis.config import Ecp5Config
from hwnas_hls_plugins.synthesizers.open_synthesis.flow import Generator, PlainMultipliers
from hwnas_hls_plugins.synthesizers.open_synthesis.measurement import Measurement
from hwnas_hls_plugins.synthesizers.open_synthesis.nextpnr import Routing
from hwnas_hls_plugins.synthesizers.open_synthesis.route_report import Route
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import routed_law
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import Rtl
from hwnas_hls_plugins.synthesizers.open_synthesis.synthesizer import OpenSynthesizer
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import TRIED_LEVELS
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import version
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)
_POST_ROUTE = "post_route"
#: A circuit is routed if its predicted latency, corrected by the routed circuits of the design and less this
#: share, is the lowest. Of 94 circuits of 34 networks this routes 39, among them the best one of each.
_DOUBT = 0.15
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

        Of the circuits with two to six adder levels per stage, the one with the lowest predicted latency is
        routed with all seeds. Another one is routed once if it may be better according to the law,
        corrected by what was routed of this design. The design gets the clock that the slowest placement of
        the best circuit reaches. A design that cannot be routed stays unchanged.
        """
        if self._missing(target, _POST_ROUTE):
            return design
        every = Ecp5Synthesizer(dataclasses.replace(self.config, bitstream=False))
        once = Ecp5Synthesizer(dataclasses.replace(self.config, seeds=1, bitstream=False))
        best: tuple[float, Design] | None = None
        ratios: list[float] = []
        for expected_ns, stages, trial in self._trials(design, target):
            likely_ns = expected_ns * (geometric_mean(ratios) if ratios else 1.0)
            if best is not None and likely_ns * (1.0 - _DOUBT) > best[0]:
                continue
            report = (once if ratios else every).synthesize(trial, target, rows=rows)
            if report.failure:
                log.info("no route of a circuit of %s: %s", design.hardware_name, report.failure)
                if report.failure_kind is ErrorKind.TIME_LIMIT:
                    # Other pipelines of the same adders take as long.
                    break
                continue
            # Of the first placement, which every circuit has.
            latency_ns = stages * 1000.0 / report.counts["fmax_mhz_seed_1"]
            ratios.append(latency_ns / expected_ns)
            if best is None or latency_ns < best[0]:
                best = latency_ns, trial
        if best is None:
            return design
        return self._at_its_clock(best[1], every.synthesize(best[1], target, rows=rows), target, rows)

    def _at_its_clock(
        self, design: Design, report: SynthesisReport, target: Target, rows: NDArray[np.int64] | None
    ) -> Design:
        """A design at the clock that it reaches according to a report.

        Another clock gives its modules other names. Should that change the routes so that they miss the
        clock, the period grows.
        """
        for _ in range(_ATTEMPTS):
            if report.failure:
                break
            period_ns = 1000.0 / report.estimates["fmax_mhz"].value
            design = _at(design, period_ns)
            report = self.synthesize(design, target, rows=rows)
            if report.failure or 1000.0 / report.estimates["fmax_mhz"].value <= _clock_ns(design):
                break
        return design

    def _trials(self, design: Design, target: Target) -> list[tuple[float, int, Design]]:
        """(Predicted latency in ns, stages, design) of each number of pipeline stages, the lowest first."""
        found: dict[int, tuple[float, int, Design]] = {}
        for levels in [self.config.latency_cutoff] if self.config.latency_cutoff else TRIED_LEVELS:
            trial = dataclasses.replace(design, meta={**design.meta, ADDER_LEVELS: levels})
            try:
                circuit = self.circuit(trial, target)
            except HwnasError as error:
                log.info("no circuit of %s adder levels a stage: %s", levels, error)
                continue
            if circuit.stages not in found:
                found[circuit.stages] = _latency_ns(circuit, target.part), circuit.stages, trial
        return sorted(found.values(), key=lambda item: item[0])

    def _missing(self, target: Target, stage: str) -> str:
        if target.family != ECP5:
            return (
                f"{self.name} routes Lattice ECP5 parts only, {target.name} is of the family "
                f"{target.family}: choose the synthesizer open, or an ECP5 part as the target "
                "(for example ulx3s)"
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


class Ecp5MultiplierSynthesizer(Ecp5Synthesizer):
    """Plain multipliers, placed and routed on a Lattice ECP5 part: a routed count of MULT18X18D.

    The circuit is that of ``open-multiplier``, one register rank a layer, whatever the clock.
    """

    name: ClassVar[str] = "ecp5-multiplier"
    _distributed: ClassVar[bool] = False
    hls_strategies: tuple[str, ...] = ()
    #: The pipeline of this circuit has no settings, so no clock is searched.
    clocked = Synthesizer.clocked

    def _generator(self, design: Design, family: str) -> Generator:
        return PlainMultipliers()

    def _package(self) -> str:
        return ""

    def _tool(self) -> str:
        return f"{self.name}: yosys {version('pyosys')}, {nextpnr.tool()}"


def _latency_ns(circuit: Rtl, part: str) -> float:
    """The predicted latency of a circuit at the highest clock frequency that it reaches."""
    law, facts = routed_law(), circuit.facts
    lut = law.lut(facts["cost_lut"]).value
    return circuit.stages * law.period_ns(facts["path_bits"] / circuit.stages, lut, part).value


def _clock_ns(design: Design) -> float:
    return design.architecture.clock_ns or 0.0


def _at(design: Design, clock_ns: float) -> Design:
    """The design with a clock period, rounded up to a tenth of a nanosecond."""
    rounded = round(math.ceil(clock_ns / _STEP_NS) * _STEP_NS, 3)
    return dataclasses.replace(
        design, architecture=dataclasses.replace(design.architecture, clock_ns=rounded)
    )


def _too_large(route: Route, target: Target) -> str:
    """Why a routed circuit does not fit into a part; empty if it does.

    nextpnr uses the whole die. The LFE5U-12F has the die of the LFE5U-25F, of which only half is specified.
    """
    for name in ("lut", "ff", "dsp", "bram_18k"):
        used, held = getattr(route, name), getattr(target, name)
        if used > held:
            return f"{target.name} has {held} {name}; the routed circuit takes {used}"
    return ""
