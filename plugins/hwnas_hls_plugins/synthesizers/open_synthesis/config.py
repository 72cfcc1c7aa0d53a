"""What a user may set for open synthesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class OpenConfig:
    """Settings of the synthesizers ``open`` and ``open-multiplier``.

    Args:
        latency_cutoff: adder levels between two register ranks (``open`` only); ``None`` takes
            the most that the predicted period allows at the design's clock, from 1 to 5.
        generator: of the RTL (``open`` only): ``alkaid``, ``da4ml``, or ``auto`` for alkaid where it is
            installed.
        operands: of one adder, 2 or 3 (alkaid only); three take one LUT a bit in these families.
        rows: how many deterministic random inputs are simulated and compared.
        seed: of those inputs.
        simulator: ``cxxrtl`` compiles the RTL by Yosys and a C++ compiler; ``netlist`` runs the
            mapped netlist, the very one whose cells are counted, and needs no compiler; ``auto``
            takes ``netlist`` where the netlist is made and has no DSP block, else ``cxxrtl``.
        time_limit_s: wall-clock seconds for one design, all steps together.
        cache_dir: where results are kept by content; ``None`` means the user's cache folder.
        cache: whether a result kept earlier is taken; without it everything runs anew.
    """

    latency_cutoff: int | None = None
    generator: Literal["auto", "alkaid", "da4ml"] = "auto"
    operands: Literal[2, 3] = 3
    rows: int = 1000
    seed: int = 0
    simulator: Literal["auto", "cxxrtl", "netlist"] = "auto"
    time_limit_s: float = 900.0
    cache_dir: str | None = None
    cache: bool = True

    def __post_init__(self) -> None:
        if self.latency_cutoff is not None and self.latency_cutoff < 1:
            raise ValueError(f"latency_cutoff is at least 1 adder level, not {self.latency_cutoff}")
        if self.generator not in ("auto", "alkaid", "da4ml"):
            raise ValueError(f"generator is auto, alkaid or da4ml, not {self.generator!r}")
        if self.operands not in (2, 3):
            raise ValueError(f"operands of an adder are 2 or 3, not {self.operands}")
        if self.rows < 2:
            raise ValueError(f"rows is at least 2 (one row shows no latency), not {self.rows}")
        if self.simulator not in ("auto", "cxxrtl", "netlist"):
            raise ValueError(f"simulator is auto, cxxrtl or netlist, not {self.simulator!r}")
        if self.time_limit_s <= 0:
            raise ValueError(f"time_limit_s is above zero, not {self.time_limit_s}")
