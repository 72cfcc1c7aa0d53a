"""Synthesizers: what puts real hardware numbers behind a design."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind
from hwnas_hls.protocols.plugin import Isolatable

if TYPE_CHECKING:
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.values.estimate import Estimate


class Stage(StrEnum):
    """How far a synthesis goes."""

    #: C synthesis.
    CSYNTH = "csynth"
    #: Simulation of the RTL against the C simulation.
    COSIM = "cosim"
    #: Logic synthesis of the RTL.
    LOGIC_SYNTH = "logic_synth"
    #: Placed and routed.
    POST_ROUTE = "post_route"


STAGES = tuple(Stage)


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """What a synthesis found.

    Args:
        tool: name and version, for example ``vitis_hls 2023.2``.
        stage: a :class:`Stage`, or a synthesizer's own.
        estimates: metric -> measured number.
        files: role -> path of logs, reports and netlists.
        failure: why there is no result; empty on success.
        counts: what the tool counted besides the metrics (``carry_bits``, ``inv``, ...), raw.
        seconds: step -> wall-clock seconds it took when it ran (``STEP_cpu``: CPU seconds).
        warnings: for the record and the report.
        cached: whether an earlier run's result was handed back.
        failure_kind: what the failure is about; without meaning where there is none.
    """

    tool: str
    stage: str
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    failure: str = ""
    counts: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    cached: bool = False
    failure_kind: ErrorKind = ErrorKind.FAILED


class Synthesizer(Isolatable):
    """Measures a design by building its hardware. The constructor may ask for ``config``."""

    #: The stage it runs to where nobody asks for one.
    default_stage: str = Stage.CSYNTH
    #: The HLS strategies that it builds as asked; spaces search these where a spec names none.
    #: Empty: those that the hardware model is calibrated for.
    hls_strategies: Sequence[str] = ()
    #: Whether it simulates the circuit: :meth:`synthesize` then has a fourth, optional argument ``rows``,
    #: the integers of the input type to run through it, int64 (rows, n_in).
    takes_rows: bool = False

    @abstractmethod
    def available(self, target: Target) -> str:
        """Empty where it can run for ``target`` here, else what is missing and how to get it."""

    @abstractmethod
    def synthesize(self, design: Design, target: Target, stage: str) -> SynthesisReport:
        """Run; a design that fails is a report with ``failure``, a missing tool raises ToolMissing."""
