"""Bit-exactness of a project: its C simulation is compared with the integer emulator."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas_hls.errors import ErrorKind, HwnasError, ToolMissing
from hwnas_hls.hls4ml.csim import TIMEOUT_S, SimulationStopped, simulate
from hwnas_hls.network.design import Design

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of comparing the C simulation of a project with the emulator.

    Args:
        n_rows: number of feature rows compared.
        n_grid_rows: number of random rows of the input grid compared in addition.
        n_outputs: values per row.
        n_different: number of differing values in all rows.
        first: the first difference: (row, output, emulator, C simulation), both values
            in units of the output's least significant bit.
        failure: why there is no comparison; empty on success.
        failure_kind: what that failure is about.
        compile_s, run_s: duration of g++ and of the simulation in seconds.
        log: output of g++ and the program.
    """

    n_rows: int
    n_grid_rows: int
    n_outputs: int
    n_different: int = 0
    first: tuple[int, int, int, int] | None = None
    failure: str = ""
    failure_kind: ErrorKind | None = None
    compile_s: float = 0.0
    run_s: float = 0.0
    log: Path | None = None

    @property
    def exact(self) -> bool:
        """Whether all bits of all outputs are equal."""
        return not self.failure and self.n_different == 0 and self.n_rows + self.n_grid_rows > 0

    def __str__(self) -> str:
        rows = self.n_rows + self.n_grid_rows
        if self.failure:
            return f"NOT VERIFIED: {self.failure}"
        if self.exact:
            return f"bit-exact on {rows} rows x {self.n_outputs} outputs"
        if self.first is None:
            return "NOT VERIFIED: no rows were compared"
        row, output, emulated, simulated = self.first
        return (
            f"NOT BIT-EXACT: {self.n_different} of {rows * self.n_outputs} values differ; first in row "
            f"{row}, output {output}: emulator {emulated}, C simulation {simulated} (least significant bits)"
        )

    def to_json(self) -> dict[str, Any]:
        data = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "log"}
        return data | {"first": list(self.first) if self.first else None, "exact": self.exact}


def verify(
    design: Design,
    folder: Path,
    features: NDArray[np.floating],
    *,
    n_grid_rows: int = 256,
    optimisation: str | None = None,
    timeout_s: float = TIMEOUT_S,
    stop: threading.Event | None = None,
) -> Verification:
    """Compare the project in ``folder`` with the emulation of ``design``, bit by bit.

    Args:
        features: raw rows (rows, n_in), as the host receives them.
        n_grid_rows: number of random rows of the input grid that are also compared, including the
            extremes; real features seldom make an accumulator overflow.

    Raises:
        ToolMissing: g++ is not installed.
        SimulationStopped: ``stop`` was set. Other failures are in the result.
    """
    import numpy as np

    from hwnas_hls.network.emulator import emulate, input_integers

    n_rows, n_outputs = len(features), design.architecture.n_out
    empty = Verification(n_rows, n_grid_rows, n_outputs, log=folder / "csim.log")
    inputs = np.concatenate([input_integers(design, features), _grid_rows(design, n_grid_rows)])
    try:
        found = simulate(folder, inputs, optimisation=optimisation, timeout_s=timeout_s, stop=stop)
    except (ToolMissing, SimulationStopped):
        raise
    except HwnasError as error:
        return dataclasses.replace(empty, failure=str(error), failure_kind=error.kind)
    emulated = emulate(design, inputs)
    different = emulated != found.outputs
    first = None
    if different.any():
        row, output = (int(place) for place in np.argwhere(different)[0])
        first = (row, output, int(emulated[row, output]), int(found.outputs[row, output]))
    return dataclasses.replace(
        empty,
        n_different=int(different.sum()),
        first=first,
        compile_s=found.compile_s,
        run_s=found.run_s,
    )


def _grid_rows(design: Design, n_rows: int) -> NDArray[np.int64]:
    import numpy as np

    kind, n_in = design.architecture.input, design.architecture.n_in
    rng = np.random.default_rng(int(design.digest(), 16))
    rows = rng.integers(kind.lowest, kind.highest, (n_rows, n_in), endpoint=True)
    rows[::4] = np.where(rng.random((len(rows[::4]), n_in)) < 0.5, kind.lowest, kind.highest)
    rows[:1], rows[1:2] = kind.lowest, kind.highest
    return rows
