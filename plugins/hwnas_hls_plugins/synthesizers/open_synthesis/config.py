"""Settings of open synthesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class OpenConfig:
    """Settings of the synthesizers ``open`` and ``open-multiplier``.

    Args:
        latency_cutoff: adder levels between two register ranks (``open`` only); ``None`` means the
            maximum that the predicted period allows at the design's clock, from 1 to 5.
        generator: generator of the RTL (``open`` only): ``alkaid``, ``da4ml``, or ``auto`` for alkaid if
            installed, else da4ml.
        operands: operands per adder, 2 or 3 (alkaid only); ``None`` means 3 where slices add three numbers
            with one LUT per bit (AMD), else 2.
        rows: number of deterministic random inputs to simulate and compare.
        seed: seed of these inputs.
        simulator: ``cxxrtl`` compiles the RTL with Yosys and a C++ compiler; ``netlist`` simulates the
            mapped netlist, whose cells are also counted, without a compiler; ``auto`` means ``netlist``
            if there is a netlist without DSP blocks, else ``cxxrtl``.
        time_limit_s: time limit per design in wall-clock seconds, for all steps together.
        cache_dir: folder of cached results; ``None`` means the user's cache folder.
        cache: whether to use cached results.
    """

    latency_cutoff: int | None = None
    generator: Literal["auto", "alkaid", "da4ml"] = "auto"
    operands: int | None = None
    rows: int = 1000
    seed: int = 0
    simulator: Literal["auto", "cxxrtl", "netlist"] = "auto"
    time_limit_s: float = 900.0
    cache_dir: str | None = None
    cache: bool = True

    def __post_init__(self) -> None:
        if self.latency_cutoff is not None and self.latency_cutoff < 1:
            raise ValueError(f"latency_cutoff must be at least 1 adder level, not {self.latency_cutoff}")
        if self.generator not in ("auto", "alkaid", "da4ml"):
            raise ValueError(f"generator must be auto, alkaid or da4ml, not {self.generator!r}")
        if self.operands not in (None, 2, 3):
            raise ValueError(f"operands must be 2 or 3, not {self.operands}")
        if self.rows < 2:
            raise ValueError(f"rows must be at least 2 (one row does not show the latency), not {self.rows}")
        if self.simulator not in ("auto", "cxxrtl", "netlist"):
            raise ValueError(f"simulator must be auto, cxxrtl or netlist, not {self.simulator!r}")
        if self.time_limit_s <= 0:
            raise ValueError(f"time_limit_s must be above zero, not {self.time_limit_s}")


@dataclass(frozen=True, slots=True)
class Ecp5Config(OpenConfig):
    """Settings of the synthesizer ``ecp5``: those of ``open``, and how to route.

    Args:
        Other settings: as in :class:`OpenConfig`.
        seeds: number of placements; the worst Fmax of all is the result.
        bitstream: whether the fastest placement is packed into a bitstream.
        pins: file of pin constraints (LPF) for the ports ``clk``, ``load``, ``shift_in`` and ``shift_out`` of
            the bitstream; ``None`` leaves them to the placer.
    """

    seeds: int = 3
    bitstream: bool = True
    pins: str | None = None

    def __post_init__(self) -> None:
        # The decorator with slots makes a new class, which super() without arguments does not know.
        OpenConfig.__post_init__(self)
        if not 1 <= self.seeds <= 100:
            raise ValueError(f"seeds must be between 1 and 100, not {self.seeds}")
