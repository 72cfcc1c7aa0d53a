"""The steps of one synthesis: generate RTL, map it, simulate it, compare it with the emulator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, output_fraction
from hwnas_hls.protocols.target import Target
from hwnas_hls_plugins.synthesizers.open_synthesis import cxxrtl, multiplier_rtl, netlist, nextpnr
from hwnas_hls_plugins.synthesizers.open_synthesis.counts import Counts
from hwnas_hls_plugins.synthesizers.open_synthesis.measurement import Measurement
from hwnas_hls_plugins.synthesizers.open_synthesis.nextpnr import Routing
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline, ToolFailureError, run_module
from hwnas_hls_plugins.synthesizers.open_synthesis.result_cache import ResultCache
from hwnas_hls_plugins.synthesizers.open_synthesis.route_report import Route
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import Rtl
from hwnas_hls_plugins.synthesizers.open_synthesis.streaming import MARGIN_CLOCKS, observe, streams
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import version
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5, FAMILIES, synthesis_passes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CLOCKS_A_STREAM = 64
_WORD_STREAMS = 64


class MismatchError(ToolFailureError):
    """The simulated circuit and the emulator differ."""

    kind = ErrorKind.MISMATCH


@dataclass(slots=True)
class Job:
    """One running synthesis.

    Args:
        design, target: the design, and the part.
        stage: ``cosim``, ``logic_synth`` or ``post_route``.
        rows: int64 (rows, n_in) to compare.
        simulator: ``auto``, ``cxxrtl`` or ``netlist``.
        folder: receives all files.
        deadline: for all steps together.
        seconds: step -> wall-clock seconds, ``STEP_cpu`` -> CPU seconds; filled as steps finish.
        routing: how to route at the stage ``post_route``.
        routed_earlier: keeps placements of netlists.
    """

    design: Design
    target: Target
    stage: str
    rows: NDArray[np.int64]
    simulator: str
    folder: Path
    deadline: Deadline
    seconds: dict[str, float] = field(default_factory=dict)
    routing: Routing | None = None
    routed_earlier: ResultCache | None = None

    @property
    def clock_ns(self) -> float:
        return self.design.architecture.clock_ns or self.target.clock_ns

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        start_s, start_cpu_s = time.perf_counter(), self._cpu_s()
        try:
            yield
        finally:
            self.seconds[step] = round(time.perf_counter() - start_s, 3)
            self.seconds[f"{step}_cpu"] = round(self._cpu_s() - start_cpu_s, 3)

    def _cpu_s(self) -> float:
        return time.thread_time() + self.deadline.children_cpu_s


class Generator(Protocol):
    """Writes RTL; ``adders`` is the argument of :func:`synthesis_passes` for it."""

    @property
    def adders(self) -> str | None: ...

    def write(self, job: Job) -> Rtl: ...


@dataclass(frozen=True, slots=True)
class DistributedArithmetic:
    """da4ml's RTL, in a child process so that the time limit holds."""

    latency_cutoff: int | None
    adders: str | None = None

    def write(self, job: Job) -> Rtl:
        job.design.save(job.folder / "design")
        run_module(
            "da_rtl",
            [
                "design",
                "rtl",
                str(job.clock_ns),
                str(self.latency_cutoff or 0),
                job.target.part,
                job.target.family,
            ],
            folder=job.folder,
            log=job.folder / "rtl.log",
            deadline=job.deadline,
        )
        return Rtl.load(job.folder / "rtl")


@dataclass(frozen=True, slots=True)
class SuccessorArithmetic:
    """alkaid's RTL, in a child process so that the time limit holds.

    Args:
        latency_cutoff: adder levels between two register ranks; ``None`` derives them from the clock.
        operands: operands per adder, 2 or 3.
    """

    latency_cutoff: int | None
    operands: int
    adders: str | None = None

    def write(self, job: Job) -> Rtl:
        job.design.save(job.folder / "design")
        part, family = job.target.part, job.target.family
        numbers = (str(job.clock_ns), str(self.latency_cutoff or 0), part, family, str(self.operands))
        run_module(
            "alkaid_rtl",
            ["design", "rtl", *numbers],
            folder=job.folder,
            log=job.folder / "rtl.log",
            deadline=job.deadline,
        )
        return Rtl.load(job.folder / "rtl")


@dataclass(frozen=True, slots=True)
class PlainMultipliers:
    """Our own RTL with one ``*`` per non-zero weight."""

    adders: str | None = f"*{multiplier_rtl.ADDER}*"

    def write(self, job: Job) -> Rtl:
        job.design.save(job.folder / "design")
        return multiplier_rtl.write(job.design, job.folder / "rtl")


def measure(job: Job, rtl: Rtl, adders: str | None) -> Measurement:
    """Run all steps of the job's stage on a circuit.

    Args:
        rtl: the circuit, below the job's folder.
        adders: ``adders`` of its generator.

    Raises:
        ToolFailureError, TimeLimitError, Unsupported, ReportError: the design has no result.
    """
    if rtl.output.width == 0 and job.target.family == ECP5 and job.stage != "cosim":
        # Yosys keeps an empty stage as a cell, which is no cell of the part.
        raise Unsupported("every output is constantly zero: there is no circuit to count, place or route")
    counts = None
    if job.stage != "cosim":
        with job.timed("synthesis"):
            counts = _map(job, rtl, adders)
    with job.timed("simulation"):
        simulator, latency_cycles = _simulate(job, rtl, counts)
    routes: list[Route] = []
    if job.stage == "post_route" and job.routing is not None:
        with job.timed("routing"):
            part, mapped = job.target.part, job.folder / "netlist.json"
            routes = nextpnr.route(
                mapped, rtl.top, part, job.folder, job.deadline, job.routing, job.routed_earlier
            )
    (job.folder / "netlist.json").unlink(missing_ok=True)
    return Measurement(
        job.clock_ns,
        rtl.stages,
        latency_cycles,
        # Every clock had a new input and a correct result, so the interval is 1.
        1,
        len(job.rows),
        simulator,
        counts,
        rtl.facts,
        {"yosys": version("pyosys")} | ({"nextpnr": nextpnr.tool()} if routes else {}),
        rtl.circuit,
        tuple(routes),
    )


def _map(job: Job, rtl: Rtl, adders: str | None) -> Counts:
    passes = synthesis_passes(
        [f"rtl/{rtl.mapped.get(source, source)}" for source in rtl.sources],
        rtl.top,
        FAMILIES[job.target.family],
        adders=adders,
        netlist="netlist.json",
        statistics="statistics.json",
    )
    script = job.folder / "synthesis.ys"
    script.write_text("\n".join(passes) + "\n")
    log = job.folder / "synthesis.log"
    run_module("yosys", [script.name], folder=job.folder, log=log, deadline=job.deadline)
    return Counts.read(job.folder / "statistics.json")


def _simulate(job: Job, rtl: Rtl, counts: Counts | None) -> tuple[str, int | None]:
    """The simulator and the latency in cycles; raises MismatchError if circuit and emulator differ."""
    wanted = job.simulator
    # `cosim` writes no netlist, and a netlist with DSP blocks cannot be simulated: requesting it fails.
    by_netlist = counts is not None and (wanted == "netlist" or (wanted == "auto" and not counts.dsp))
    count = -(-len(job.rows) // (_WORD_STREAMS * _CLOCKS_A_STREAM)) * _WORD_STREAMS if by_netlist else 1
    stream, length = streams(job.rows, count, rtl.stages + MARGIN_CLOCKS)
    number, clocks, n_in = stream.shape
    bits = rtl.input.bits(stream.reshape(-1, n_in), job.design.architecture.input.fraction)
    if by_netlist:
        simulator = netlist.NAME
        mapped = netlist.Netlist(job.folder / "netlist.json", rtl.top)
        response = mapped.simulate(bits.reshape(number, clocks, -1), job.deadline)
    else:
        simulator = cxxrtl.NAME
        response = cxxrtl.simulate(rtl, bits, job.folder, job.deadline)[None]
    outputs = rtl.output.values(response, output_fraction(job.design))
    expected = emulate(job.design, stream[:, :length].reshape(-1, n_in)).reshape(number, length, -1)
    seen = observe(outputs, expected)
    wrong, total = seen.mismatches
    if wrong:
        raise MismatchError(f"{wrong} of {total} simulated rows differ from the emulator ({simulator})")
    if seen.latency_cycles is None and rtl.stages not in seen.shifts:
        raise MismatchError(f"outputs match at shifts {seen.shifts}, but not at {rtl.stages} ({simulator})")
    return simulator, seen.latency_cycles
