"""Synthesizers ``vitis`` and ``vivado``: hls4ml's build scripts, with our own Tcl for routing."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hwnas_hls.errors import ErrorKind, HwnasError, ReportError, ToolMissing, UserError
from hwnas_hls.network.design import Design
from hwnas_hls.protocols.synthesizer import STAGES, SynthesisReport, Synthesizer
from hwnas_hls.protocols.target import Target
from hwnas_hls.render import render
from hwnas_hls.values.candidate import digest
from hwnas_hls_plugins.synthesizers.vendor_tools.toolchain import Ended, require_program, run_tool

TOP = "hwnas"
_SOLUTION = f"{TOP}_prj/solution1"
_SAFE = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class VendorConfig:
    """Settings of the vendor's tools.

    Args:
        folder: folder for projects and logs; ``None`` means the user's cache folder.
        licences: maximum number of parallel tools on this machine, over all processes.
        timeout_s: time limit per program, in seconds.
        cosim_rows: number of random rows of the input grid for a co-simulation.
    """

    folder: str | None = None
    licences: int = 1
    timeout_s: float = 4 * 3600.0
    cosim_rows: int = 64

    def __post_init__(self) -> None:
        if self.licences < 1 or self.timeout_s <= 0 or self.cosim_rows < 1:
            raise ValueError("licences and cosim_rows must be at least 1, timeout_s above 0")


class _VendorSynthesizer(Synthesizer):
    """The common part: write the project, build it up to a stage, read the reports."""

    _backend: ClassVar[str]
    default_stage: str = "csynth"
    Config = VendorConfig
    config: VendorConfig

    def available(self, target: Target) -> str:
        try:
            self._hls_command({})
        except ToolMissing as error:
            return str(error)
        return ""

    def synthesize(self, design: Design, target: Target, stage: str) -> SynthesisReport:
        """Build the design's hls4ml project up to ``stage`` and read its reports.

        If a design fails, the report has a ``failure``, which begins with ``no licence``, ``time limit`` or
        ``ended with code`` if the tool itself states that cause.

        Raises:
            UserError: no such stage.
            ToolMissing: a program is not installed.
        """
        if stage not in STAGES:
            raise UserError("unknown stage of a synthesis", where="--stage", found=stage, choices=STAGES)
        self._hls_command({})
        if stage == "post_route":
            require_program("vivado")
        clock_ns = design.architecture.clock_ns or target.clock_ns
        folder = self._folder(design, target, clock_ns, stage)
        with self._licence():
            try:
                self._write(design, target, folder, clock_ns)
            except HwnasError as error:
                return SynthesisReport(
                    self.name, stage, failure=f"no project: {error}", failure_kind=error.kind
                )
            ended = self._build(folder, stage)
            if ended.failure_kind is None and stage == "post_route":
                ended = self._implement(folder, target, clock_ns)
        if ended.failure_kind is not None:
            return SynthesisReport(
                self.name,
                stage,
                files={"log": ended.log},
                failure=ended.failure,
                failure_kind=ended.failure_kind,
            )
        return self._read(folder, stage, ended)

    # -- steps ---------------------------------------------------------------------------

    def _folder(self, design: Design, target: Target, clock_ns: float, stage: str) -> Path:
        if self.config.folder is not None:
            root = Path(self.config.folder)
        else:
            import platformdirs

            root = Path(platformdirs.user_cache_dir("hwnas-hls")) / "synthesis"
        content = digest([design.digest(), target.part, clock_ns, self._backend])
        return root / self.name / f"{content}-{stage}"

    def _write(self, design: Design, target: Target, folder: Path, clock_ns: float) -> None:
        import numpy as np

        from hwnas_hls.hls4ml.project import write_project

        grid = design.architecture.input
        rng = np.random.default_rng(0)
        shape = (self.config.cosim_rows, design.architecture.n_in)
        rows = rng.integers(grid.lowest, grid.highest, shape, np.int64, endpoint=True)
        write_project(
            design, target, folder, clock_ns=clock_ns, name=TOP, backend=self._backend, test_inputs=rows
        )

    def _build(self, folder: Path, stage: str) -> Ended:
        options = {
            "reset": 1,
            "csim": int(stage == "cosim"),
            "synth": 1,
            "cosim": int(stage == "cosim"),
            "validation": int(stage == "cosim"),
            "export": 0,
            "vsynth": int(stage == "logic_synth"),
            "fifo_opt": 0,
        }
        # hls4ml's scripts read their options from this file (Vitis) or from arguments (Vivado).
        text = "\n".join(f"    {name:<10} {value}" for name, value in options.items())
        (folder / "build_opt.tcl").write_text(f"array set opt {{\n{text}\n}}\n")
        return run_tool(self._hls_command(options), folder, folder / "hls.log", self.config.timeout_s)

    def _implement(self, folder: Path, target: Target, clock_ns: float) -> Ended:
        # Values for Tcl are checked instead of quoted; a part name has no brackets.
        if not _SAFE.fullmatch(target.part):
            raise UserError("not a part name", where=f"target {target.name}", found=target.part)
        script = render(
            "synth/implement.tcl.j2",
            verilog=f"{_SOLUTION}/syn/verilog",
            top=TOP,
            part=target.part,
            clock_ns=clock_ns,
        )
        (folder / "implement.tcl").write_text(script)
        vivado = str(require_program("vivado"))
        command = [vivado, "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", "implement.tcl"]
        return run_tool(command, folder, folder / "implement.log", self.config.timeout_s)

    def _read(self, folder: Path, stage: str, ended: Ended) -> SynthesisReport:
        from hwnas_hls.hls4ml.reports import project_estimates, read_project

        files = {"log": ended.log, "project": folder}
        said = f"; its first error: {ended.first_error}" if ended.first_error else ""
        try:
            reports = read_project(folder, TOP)
            estimates = project_estimates(reports, stage)
        except ReportError as error:
            text = f"the tool succeeded, but {error}{said}"
            return SynthesisReport(self.name, stage, {}, files, text, failure_kind=error.kind)
        if not estimates:
            unread = f"; not readable: {'; '.join(reports.problems)}" if reports.problems else ""
            text = f"the tool succeeded but wrote no {stage} report{unread}{said} (log: {ended.log})"
            return SynthesisReport(self.name, stage, {}, files, text, failure_kind=ErrorKind.MISSING)
        tool = reports.csynth.tool_version if reports.csynth else self.name
        # C synthesis determines the cycles for all later stages.
        if stage != "csynth":
            schedule = project_estimates(reports, "csynth")
            for metric in ("latency_cycles", "latency_ns", "ii_cycles"):
                if metric in schedule:
                    estimates.setdefault(metric, schedule[metric])
        return SynthesisReport(tool, stage, estimates, files)

    @abstractmethod
    def _hls_command(self, options: dict[str, int]) -> list[str]:
        """Program and arguments of the build; raises ToolMissing."""

    @contextmanager
    def _licence(self) -> Iterator[None]:
        """Acquire one of the configured licences, which all processes of this user share."""
        import time

        import platformdirs
        from filelock import FileLock, Timeout

        place = Path(platformdirs.user_state_dir("hwnas-hls")) / "licences"
        place.mkdir(parents=True, exist_ok=True)
        while True:
            for number in range(self.config.licences):
                lock = FileLock(place / f"{self.name}-{number}.lock")
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    continue
                try:
                    yield
                finally:
                    lock.release()
                return
            time.sleep(0.5)


class VitisSynthesizer(_VendorSynthesizer):
    """Vitis HLS (``vitis-run``, or ``vitis_hls`` up to 2023.1), with Vivado for routing."""

    name = "vitis"
    _backend = "Vitis"

    def _hls_command(self, options: dict[str, int]) -> list[str]:
        program = require_program("vitis-run", "vitis_hls")
        if program.name == "vitis-run":
            return [str(program), "--tcl", "build_prj.tcl", "--mode", "hls"]
        return [str(program), "-f", "build_prj.tcl"]


class VivadoSynthesizer(_VendorSynthesizer):
    """Vivado HLS up to 2020.1 (``vivado_hls``), with Vivado for routing."""

    name = "vivado"
    _backend = "Vivado"

    def _hls_command(self, options: dict[str, int]) -> list[str]:
        program = require_program("vivado_hls")
        arguments = " ".join(f"{name}={value}" for name, value in options.items())
        return [str(program), "-f", "build_prj.tcl", arguments]
