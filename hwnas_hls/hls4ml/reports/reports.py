"""The contents of reports, in the same units for all tools and versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

RESOURCES = ("lut", "ff", "dsp", "bram_18k", "uram")


class OfTool:
    """What reports have that name the tool that wrote them and its version."""

    __slots__ = ()
    tool: str
    version: str

    @property
    def tool_version(self) -> str:
        return f"{self.tool} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class Resources:
    """Counts of primitives; ``None`` if not in the report.

    ``bram_18k`` counts units of 18 kbit; a 36 kbit tile is two.
    """

    lut: int | None = None
    ff: int | None = None
    dsp: int | None = None
    bram_18k: int | None = None
    uram: int | None = None


@dataclass(frozen=True, slots=True)
class Module:
    """One sub-module of a design.

    Args:
        name: name of the module (the function after specialisation).
        used: its resources, including its sub-modules.
        latency_min, latency_max, ii_min, ii_max: in cycles; ``None`` if not given.
        pipeline: as written: ``function``, ``dataflow``, ``yes``, ``no``, ``none``.
        instance: name of the instance, if given.
        clock_estimated_ns: of this module only.
    """

    name: str
    used: Resources
    latency_min: int | None = None
    latency_max: int | None = None
    ii_min: int | None = None
    ii_max: int | None = None
    pipeline: str = ""
    instance: str = ""
    clock_estimated_ns: float | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """One port of the RTL.

    Args:
        name: in the RTL: ``fc1_input_V``, ``layer5_out_0_V_ap_vld``.
        bits: its width.
        protocol: as written: ``ap_vld``, ``ap_none``, ``ap_ctrl_hs``, ``axis`` ...
    """

    name: str
    bits: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Csynth(OfTool):
    """A C-synthesis report of a whole design or of one module.

    Args:
        path: its file.
        tool: ``vivado_hls`` or ``vitis_hls``.
        version: for example ``2019.2``; empty if not given.
        part: as written, for example ``xcvu9p-flga2104-2L-e``.
        family: the tool's name of the product family.
        top: its function.
        clock_target_ns, clock_estimated_ns, clock_uncertainty_ns: in ns.
        latency_min, latency_max, ii_min, ii_max: in cycles; ``None`` if undefined.
        pipeline: as in :class:`Module`.
        used, available: resources of the design and of the part.
        modules: rows of sub-modules in this report (XML: each module once; text: each instance).
        ports: of its function; empty if the report has none.
    """

    path: Path
    tool: str
    version: str
    part: str
    family: str
    top: str
    clock_target_ns: float
    clock_estimated_ns: float | None
    clock_uncertainty_ns: float | None
    latency_min: int | None
    latency_max: int | None
    ii_min: int | None
    ii_max: int | None
    pipeline: str
    used: Resources
    available: Resources
    modules: tuple[Module, ...] = ()
    ports: tuple[Port, ...] = ()

    stage = "csynth"


@dataclass(frozen=True, slots=True)
class Cosim:
    """A C/RTL co-simulation report: the row of the simulated language.

    Args:
        rtl: ``Verilog`` or ``VHDL``; empty if nothing was simulated.
        status: ``Pass``, ``Fail`` or ``NA``.
        latency_min, latency_avg, latency_max, ii_min, ii_avg, ii_max: in cycles; ``None``
            if not measured (for example the interval of a single transaction).
    """

    path: Path
    rtl: str
    status: str
    top: str
    tool: str
    latency_min: int | None
    latency_avg: int | None
    latency_max: int | None
    ii_min: int | None
    ii_avg: int | None
    ii_max: int | None

    stage = "cosim"

    @property
    def passed(self) -> bool:
        return self.status.lower() == "pass"


@dataclass(frozen=True, slots=True)
class Utilisation(OfTool):
    """Vivado's utilisation report after logic synthesis, placement or routing.

    Args:
        tool: ``vivado``.
        state: as written: ``Synthesized``, ``Optimized``, ``Fully Placed``, ``Routed`` ...
        stage: ``logic_synth`` or ``post_route``.
        lutram, srl, carry, ramb36, ramb18: parts of the counts above; ``None`` if not given.
        modules: rows of a hierarchical report.
    """

    path: Path
    tool: str
    version: str
    part: str
    top: str
    state: str
    stage: str
    used: Resources
    available: Resources
    lutram: int | None = None
    srl: int | None = None
    carry: int | None = None
    ramb36: int | None = None
    ramb18: int | None = None
    modules: tuple[Module, ...] = ()


@dataclass(frozen=True, slots=True)
class Timing(OfTool):
    """Slack after timing analysis, and the resulting clock period.

    Args:
        wns_ns, tns_ns, whs_ns: worst and total setup slack, worst hold slack.
        clock: name of the clock with the worst setup slack.
        period_ns: its target period.
        achieved_ns: ``period_ns - wns_ns``, the shortest period that would have been met.
        stage: ``post_route`` if the design is routed, else ``logic_synth``.
    """

    path: Path
    tool: str
    version: str
    part: str
    top: str
    state: str
    stage: str
    wns_ns: float | None
    tns_ns: float | None
    whs_ns: float | None
    clock: str
    period_ns: float | None
    achieved_ns: float | None

    @property
    def fmax_mhz(self) -> float | None:
        return None if not self.achieved_ns else 1000.0 / self.achieved_ns

    @property
    def met(self) -> bool | None:
        """Whether setup timing was met; ``None`` if no clock was constrained."""
        return None if self.wns_ns is None else self.wns_ns >= 0.0


@dataclass(frozen=True, slots=True)
class Export(OfTool):
    """The summary that HLS writes after running Vivado on its result, out of context."""

    path: Path
    tool: str
    version: str
    part: str
    stage: str
    used: Resources
    clock_target_ns: float | None
    achieved_ns: float | None


@dataclass(frozen=True, slots=True)
class Solution:
    """The reports of one HLS solution: at most one per stage, and its modules."""

    name: str
    csynth: Csynth | None = None
    cosim: Cosim | None = None
    export: Export | None = None
    modules: tuple[Csynth, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectReports:
    """All reports of a project folder.

    Args:
        solutions: by name; a folder with only reports is one solution with the name of the folder.
        utilisations, timings: reports of Vivado, in order of their paths.
        problems: one message per unreadable report.
    """

    folder: Path
    solutions: tuple[Solution, ...]
    utilisations: tuple[Utilisation, ...]
    timings: tuple[Timing, ...]
    problems: tuple[str, ...] = field(default=())

    @property
    def csynth(self) -> Csynth | None:
        """The first solution's C-synthesis report."""
        return next((solution.csynth for solution in self.solutions if solution.csynth), None)

    @property
    def cosim(self) -> Cosim | None:
        """The first co-simulation report with a simulated language."""
        return next((s.cosim for s in self.solutions if s.cosim is not None and s.cosim.rtl), None)

    def utilisation(self, stage: str) -> Utilisation | None:
        """The first utilisation report of ``stage`` (``logic_synth`` or ``post_route``)."""
        return next((report for report in self.utilisations if report.stage == stage), None)

    def timing(self, stage: str) -> Timing | None:
        return next((report for report in self.timings if report.stage == stage), None)
