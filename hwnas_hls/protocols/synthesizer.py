"""Synthesizers: measure the hardware cost of a design."""

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
    import numpy as np
    from numpy.typing import NDArray

    from hwnas_hls.network.architecture import Architecture
    from hwnas_hls.network.design import Design
    from hwnas_hls.protocols.target import Target
    from hwnas_hls.values.estimate import Estimate


class Stage(StrEnum):
    """The last step of a synthesis."""

    #: C synthesis.
    CSYNTH = "csynth"
    #: RTL simulation compared with C simulation.
    COSIM = "cosim"
    #: Logic synthesis of the RTL.
    LOGIC_SYNTH = "logic_synth"
    #: Placement and routing.
    POST_ROUTE = "post_route"


STAGES = tuple(Stage)


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """The result of a synthesis.

    Args:
        tool: name and version, for example ``vitis_hls 2023.2``.
        stage: a :class:`Stage`, or a stage that only this synthesizer has.
        estimates: metric -> measured number.
        files: role -> path of logs, reports and netlists.
        failure: why there is no result; empty on success.
        counts: further raw counts of the tool (``carry_bits``, ``inv``, ...).
        seconds: step -> wall-clock seconds (``STEP_cpu``: CPU seconds).
        warnings: for the record and the report.
        cached: whether the result comes from the cache.
        failure_kind: the kind of the failure, if there is one.
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
    """Measures a design by synthesising it. The constructor may take ``config``."""

    #: The stage that it runs to by default.
    default_stage: str = Stage.CSYNTH
    #: The HLS strategies that it supports; the default strategies of spaces in a run with it.
    #: Empty: the strategies that the hardware model is calibrated for.
    hls_strategies: Sequence[str] = ()
    #: Whether it simulates the circuit: :meth:`synthesize` then has a fourth, optional argument ``rows``
    #: with the input integers to simulate, int64 (rows, n_in).
    takes_rows: bool = False

    def clocked(self, design: Design, target: Target, rows: NDArray[np.int64] | None = None) -> Design:
        """The design at a clock that the synthesizer found for it; by default, the design itself.

        A run asks for it before it measures a design for export, if its user states no clock.

        Args:
            rows: as for :meth:`synthesize` with :attr:`takes_rows`.
        """
        return design

    def unbuilt(self, architecture: Architecture) -> str:
        """Why it builds no design of this architecture, whatever the weights; empty if it may build some.

        A run asks before its search, for some networks of the space, and outside a process of its own even
        if the synthesizer is ``isolated``: no tool may be needed for the answer.
        """
        return ""

    @abstractmethod
    def available(self, target: Target) -> str:
        """Empty if it can run for ``target`` on this machine, else what is missing and how to install it."""

    @abstractmethod
    def synthesize(self, design: Design, target: Target, stage: str) -> SynthesisReport:
        """Synthesise up to ``stage``; a failed design gives a report with ``failure``.

        Raises:
            ToolMissing: a tool is not installed.
        """
