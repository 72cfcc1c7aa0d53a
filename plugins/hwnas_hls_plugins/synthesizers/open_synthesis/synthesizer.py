"""The synthesizers ``open`` (distributed arithmetic) and ``open-multiplier``."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwnas_hls.errors import ErrorKind, ReportError, ToolMissing, Unsupported, UserError
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import Weighted
from hwnas_hls.protocols.synthesizer import SynthesisReport, Synthesizer
from hwnas_hls.protocols.target import Target
from hwnas_hls.values.candidate import digest
from hwnas_hls_plugins.synthesizers.open_synthesis.circuit import BUILDER
from hwnas_hls_plugins.synthesizers.open_synthesis.config import OpenConfig
from hwnas_hls_plugins.synthesizers.open_synthesis.estimates import builds_what_is_asked, estimates, table
from hwnas_hls_plugins.synthesizers.open_synthesis.flow import (
    DistributedArithmetic,
    Generator,
    Job,
    PlainMultipliers,
    SuccessorArithmetic,
    measure,
)
from hwnas_hls_plugins.synthesizers.open_synthesis.measurement import Measurement
from hwnas_hls_plugins.synthesizers.open_synthesis.nextpnr import Routing
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline, TimeLimitError, ToolFailureError
from hwnas_hls_plugins.synthesizers.open_synthesis.result_cache import ResultCache
from hwnas_hls_plugins.synthesizers.open_synthesis.result_files import copied, files_of
from hwnas_hls_plugins.synthesizers.open_synthesis.routed_law import routed_law
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import Rtl, check, unbuilt
from hwnas_hls_plugins.synthesizers.open_synthesis.streaming import random_inputs
from hwnas_hls_plugins.synthesizers.open_synthesis.timing import FAMILY, FITS
from hwnas_hls_plugins.synthesizers.open_synthesis.tools import installed, missing, version
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import ECP5, FLOW

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Number of deterministic rows simulated after those of the caller; they make the latency unique.
_OWN_ROWS_AFTER_GIVEN = 256
_RTL = "rtl"


class OpenSynthesizer(Synthesizer):
    """Open synthesis with distributed arithmetic: adder RTL, simulated, mapped and counted.

    A trained design becomes RTL; a new input every clock is simulated and compared bit for bit
    with the integer emulator; latency and initiation interval are read off that stream; Yosys
    maps the RTL to the part's family and the cells are counted. Results are kept by content.

    Args:
        config: settings; ``None`` for the defaults.
    """

    name: ClassVar[str] = "open"
    Config: ClassVar[type[OpenConfig]] = OpenConfig
    config: OpenConfig
    default_stage: str = "logic_synth"
    #: ``cosim``: RTL simulated only; ``logic_synth``: also mapped and counted.
    _stages: ClassVar[tuple[str, ...]] = ("cosim", "logic_synth")
    takes_rows: bool = True
    _distributed: ClassVar[bool] = True
    #: The strategy whose circuit it measures; designs of other strategies get a different circuit with
    #: equal outputs.
    hls_strategies: tuple[str, ...] = ("distributed_arithmetic",)

    def unbuilt(self, architecture: Architecture) -> str:
        """Why it builds no design of this architecture, whatever the weights; empty if it may build some."""
        return unbuilt(architecture, graphs=self._distributed)

    def available(self, target: Target) -> str:
        """Empty if it can run for ``target`` on this machine, else what is missing and how to install it."""
        return self._missing(target, self.default_stage)

    def _missing(self, target: Target, stage: str) -> str:
        return missing(target, package=self._package(), compiled=self._compiled(stage))

    def synthesize(
        self,
        design: Design,
        target: Target,
        stage: str = "",
        *,
        rows: NDArray[np.int64] | None = None,
        folder: Path | None = None,
    ) -> SynthesisReport:
        """Build, simulate, map and count one design.

        Args:
            design: trained; relu and linear layers.
            target: the part; its family and default clock matter.
            stage: ``cosim`` or ``logic_synth``, with ``ecp5`` also ``post_route``; empty for the default.
            rows: int64 (rows, n_in) on the input grid, for example the task's test rows; compared
                before some deterministic random rows. ``None``: random rows only.
            folder: takes a copy of RTL, logs and results.

        Returns:
            Estimates on success. A design that cannot be built, that differs from the emulator or
            that runs out of time is a report with ``failure``.

        Raises:
            ToolMissing: a program or package is not installed.
            UserError: an unknown stage, or rows of the wrong shape.
        """
        stage = stage or self.default_stage
        if stage not in self._stages:
            raise UserError(f"synthesizer {self.name} has no such stage", found=stage, choices=self._stages)
        inputs = self._rows(design, rows)
        if lacks := self._missing(target, stage):
            raise ToolMissing(f"open synthesis cannot run here, missing: {lacks}")
        try:
            check(design, graphs=self._distributed)
        except Unsupported as error:
            return SynthesisReport(self._tool(), stage, failure=str(error), failure_kind=error.kind)
        cache = self._cache()
        key = self._key(design, target, stage, inputs)
        report = self._kept(cache, key, design, target, stage)
        if report is None:
            work = cache.work_folder()
            deadline = Deadline.after(self.config.time_limit_s)
            routing = self._routing() if stage == "post_route" else None
            job = Job(
                design,
                target,
                stage,
                inputs,
                self.config.simulator,
                work,
                deadline,
                routing=routing,
                routed_earlier=cache if self.config.cache else None,
            )
            report = self._run(job, cache, key)
        return report if folder is None else copied(report, folder)

    def _run(self, job: Job, cache: ResultCache, key: str) -> SynthesisReport:
        try:
            rtl = self._built(job, cache)
            measurement = measure(job, rtl, self._generator(job.design, job.target.family).adders)
        except (Unsupported, TimeLimitError, ToolFailureError, ReportError) as error:
            # The folder is kept for its logs until the next failure of the same content.
            failed = cache.root / f"failed-{key}"
            shutil.rmtree(failed, ignore_errors=True)
            shutil.move(job.folder, failed)
            failure = str(error).replace(str(job.folder), str(failed))
            return SynthesisReport(
                self._tool(),
                job.stage,
                failure=failure,
                failure_kind=error.kind,
                files=files_of(failed),
                seconds=job.seconds,
            )
        except BaseException:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise
        result = {"measurement": measurement.to_json(), "seconds": job.seconds}
        kept = cache.keep(key, job.folder, result)
        return self._report(measurement, job.design, job.target, job.stage, kept, job.seconds, cached=False)

    def circuit(self, design: Design, target: Target) -> Rtl:
        """The sources of the circuit that :meth:`synthesize` measures, in the cache, without a measurement.

        Raises:
            ToolMissing: the generator's package is not installed.
            Unsupported: the design cannot be built.
            HwnasError: writing it failed, or took longer than the time limit.
        """
        package = self._package()
        if package and not installed(package):
            raise ToolMissing(f"the Python package {package} is missing (pip install 'hwnas-hls[open]')")
        check(design, graphs=self._distributed)
        cache = self._cache()
        deadline = Deadline.after(self.config.time_limit_s)
        no_rows = np.zeros((0, design.architecture.n_in), np.int64)
        job = Job(design, target, "cosim", no_rows, self.config.simulator, cache.work_folder(), deadline)
        try:
            built = self._built(job, cache)
            kept = cache.folder(self._circuit_key(job))
            return dataclasses.replace(built, folder=kept / _RTL)
        finally:
            shutil.rmtree(job.folder, ignore_errors=True)

    def _built(self, job: Job, cache: ResultCache) -> Rtl:
        """The job's circuit below its folder: a copy from the cache, which is filled first if necessary."""
        key = self._circuit_key(job)
        with job.timed("rtl"):
            if self.config.cache and cache.read(key) is not None:
                shutil.copytree(cache.folder(key) / _RTL, job.folder / _RTL)
                job.design.save(job.folder / "design")
                return Rtl.load(job.folder / _RTL)
            rtl = self._generator(job.design, job.target.family).write(job)
            work = cache.work_folder()
            shutil.copytree(job.folder / _RTL, work / _RTL)
            cache.keep(key, work, {"circuit": rtl.circuit})
        return rtl

    def _circuit_key(self, job: Job) -> str:
        """Everything that the text of a circuit depends on."""
        package = self._package()
        return "circuit-" + digest(
            {
                "design": job.design.digest(),
                "clock_ns": job.clock_ns,
                "synthesizer": self.name,
                "builder": BUILDER,
                "versions": {package: version(package)} if package else {},
                "operands": self._operands(job.target.family),
                "latency_cutoff": self._levels(job.design),
                "period": _rule(job.target.family),
            }
        )

    def _generator(self, design: Design, family: str) -> Generator:
        if self._package() == "alkaid":
            return SuccessorArithmetic(self._levels(design), self._operands(family))
        return DistributedArithmetic(self._levels(design))

    def _levels(self, design: Design) -> int | None:
        """Adder levels per stage: the setting, else those found for the design; ``None``: from the clock."""
        return self.config.latency_cutoff or design.adder_levels

    def _operands(self, family: str) -> int:
        """Operands per adder: the setting, or 3 if the family adds three numbers with one LUT per bit."""
        if self._package() != "alkaid":
            return 2
        return self.config.operands or (2 if family == ECP5 else 3)

    def _routing(self) -> Routing | None:
        """How to route; ``None`` for a synthesizer that does not route."""
        return None

    def _package(self) -> str:
        """The package that writes the RTL."""
        wanted = self.config.generator
        if wanted == "auto":
            return "alkaid" if installed("alkaid") else "da4ml"
        return wanted

    def _compiled(self, stage: str) -> bool:
        """Whether a C++ compiler is needed."""
        return self.config.simulator == "cxxrtl" or stage == "cosim" or not self._distributed

    def _rows(self, design: Design, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
        architecture = design.architecture
        if rows is None:
            return random_inputs(architecture, self.config.rows, self.config.seed)
        if rows.ndim != 2 or rows.shape[1] != architecture.n_in or not np.issubdtype(rows.dtype, np.integer):
            raise UserError(
                f"rows are integers of shape (rows, {architecture.n_in})",
                found=f"{rows.dtype} {rows.shape}",
                kind=ErrorKind.MISMATCH,
            )
        kind = architecture.input
        if rows.size and (rows.min() < kind.lowest or rows.max() > kind.highest):
            raise UserError(f"rows leave the input type {kind}", found=f"{rows.min()} .. {rows.max()}")
        own = random_inputs(architecture, _OWN_ROWS_AFTER_GIVEN, self.config.seed)
        return np.concatenate([rows.astype(np.int64), own])

    def _key(self, design: Design, target: Target, stage: str, rows: NDArray[np.int64]) -> str:
        """Everything that the result depends on."""
        config = self.config
        return digest(
            {
                "design": design.digest(),
                "family": target.family,
                "clock_ns": design.architecture.clock_ns or target.clock_ns,
                "synthesizer": self.name,
                "stage": stage,
                "flow": FLOW,
                "builder": BUILDER,
                "versions": {name: version(name) for name in filter(None, (self._package(), "pyosys"))},
                "operands": self._operands(target.family),
                "latency_cutoff": self._levels(design),
                "period": _rule(target.family),
                "simulator": config.simulator,
                "rows": hashlib.sha256(np.ascontiguousarray(rows, "<i8").tobytes()).hexdigest(),
            }
            | self._key_of_route(target, stage)
        )

    def _key_of_route(self, target: Target, stage: str) -> dict[str, object]:
        """What a routed result depends on in addition."""
        return {}

    def _cache(self) -> ResultCache:
        if self.config.cache_dir is None:
            return ResultCache.of_user()
        return ResultCache(Path(self.config.cache_dir).expanduser().resolve())

    def _kept(
        self, cache: ResultCache, key: str, design: Design, target: Target, stage: str
    ) -> SynthesisReport | None:
        if not self.config.cache:
            return None
        result = cache.read(key)
        if result is None:
            return None
        try:
            measurement = Measurement.from_json(result["measurement"])
            seconds = result["seconds"]
        except (KeyError, TypeError):  # damaged, or of another version: measured anew
            return None
        return self._report(measurement, design, target, stage, cache.folder(key), seconds, cached=True)

    def _report(
        self,
        measurement: Measurement,
        design: Design,
        target: Target,
        stage: str,
        folder: Path,
        seconds: dict[str, float],
        *,
        cached: bool,
    ) -> SynthesisReport:
        warnings: tuple[str, ...] = ()
        if not builds_what_is_asked(design.architecture, distributed=self._distributed):
            kind = "distributed arithmetic" if self._distributed else "plain multipliers"
            layers = [x for x in design.architecture.layers if isinstance(x, Weighted)]
            asked = sorted({f"{x.strategy}, reuse factor {x.reuse_factor}" for x in layers})
            warnings = (
                f"the design asks for {'; '.join(asked)}; {self.name} builds {kind}: "
                "the same outputs by another circuit",
            )
        report = SynthesisReport(
            self._tool(),
            stage,
            estimates(measurement, design.architecture, target, distributed=self._distributed),
            files_of(folder),
            counts=table(measurement.counts, measurement.facts),
            seconds=seconds,
            warnings=warnings,
            cached=cached,
        )
        return self._completed(report, measurement, target)

    def _completed(
        self, report: SynthesisReport, measurement: Measurement, target: Target
    ) -> SynthesisReport:
        """The report, with additions of a subclass."""
        return report

    def _tool(self) -> str:
        package = self._package()
        return f"{self.name}: {package} {version(package)}, yosys {version('pyosys')}"


class OpenMultiplierSynthesizer(OpenSynthesizer):
    """Open synthesis of plain multipliers, one register rank a layer: an open count of DSP blocks."""

    name: ClassVar[str] = "open-multiplier"
    _distributed: ClassVar[bool] = False
    hls_strategies: tuple[str, ...] = ()

    def _generator(self, design: Design, family: str) -> Generator:
        return PlainMultipliers()

    def _package(self) -> str:
        return ""

    def _tool(self) -> str:
        return f"{self.name}: yosys {version('pyosys')}"


def _rule(family: str) -> object:
    """The period model that divides the pipeline, as part of the key of a result."""
    if family == ECP5:
        return dataclasses.asdict(routed_law())
    fit = FITS.get(family, FITS[FAMILY])
    return [fit.offset_ns, fit.level_ns, fit.kilo_lut_ns, *fit.cutoffs]
