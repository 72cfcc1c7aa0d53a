"""C simulation: compiles the C++ of a project with g++ and runs it.

hls4ml's ``model.compile()`` compiles two files with ``-O3`` and loads the library into the running
interpreter. This module compiles the same sources, headers and weights as one translation unit, with
a driver that calls the project's ``NAME_double`` bridge function (which ``model.predict`` calls for
float64). The result is a separate program: it cannot crash the tool, and several designs run in
parallel.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas_hls.errors import ErrorKind, HwnasError, ToolMissing
from hwnas_hls.hls4ml.written import WrittenProject, read_written
from hwnas_hls.network.limits import DOUBLE_BITS
from hwnas_hls.system.programs import run_program

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COMPILER = "g++"
#: Time limit of the compilation, and of the run.
TIMEOUT_S = 900.0
# -O0 compiles the unrolled code of distributed arithmetic in 3/4 of the time, but it runs ten times slower.
_FEW_ROWS = 2000
_LOG_LINES = 30

_DRIVER = """\
#include "firmware/{name}.cpp"
#include "{name}_bridge.cpp"
#include <cstdio>

int main(int argc, char **argv) {{
    static double in[{n_in}], out[{n_out}];
    std::FILE *source = argc == 3 ? std::fopen(argv[1], "rb") : nullptr;
    std::FILE *sink = argc == 3 ? std::fopen(argv[2], "wb") : nullptr;
    if (!source || !sink)
        return 2;
    while (std::fread(in, sizeof(double), {n_in}, source) == {n_in}) {{
        {name}_double(in, out);
        if (std::fwrite(out, sizeof(double), {n_out}, sink) != {n_out})
            return 3;
    }}
    return std::fclose(sink) == 0 ? 0 : 3;
}}
"""


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """The outputs of a project.

    Args:
        outputs: int64 (rows, n_out) on the output grid.
        compile_s, run_s: seconds.
        log: output of g++ and the program.
    """

    outputs: NDArray[np.int64]
    compile_s: float
    run_s: float
    log: Path


class SimulationStopped(HwnasError):
    """The caller ended the work early; the project is not at fault."""


def simulate(
    folder: Path,
    inputs: NDArray[np.int64],
    *,
    optimisation: str | None = None,
    timeout_s: float = TIMEOUT_S,
    stop: threading.Event | None = None,
) -> Simulation:
    """Compile the project in ``folder`` and run it on ``inputs``.

    Args:
        inputs: int64 (rows, n_in) on the grid of the project's input type.
        optimisation: g++ option, for example ``-O1``; default: the fastest in total.
        timeout_s: time limit of the compilation, and of the run.
        stop: ends the work early when set.

    Raises:
        ToolMissing: no g++.
        ReportError: not a project.
        SimulationStopped: ``stop`` was set.
        HwnasError: g++ or the program failed or exceeded its time limit, or an output is not on the
            grid of its type. The message names the log.
    """

    if shutil.which(COMPILER) is None:
        raise ToolMissing(f"C simulation needs {COMPILER} on PATH (Debian, Ubuntu: apt install g++)")
    firmware = read_written(folder)
    if inputs.ndim != 2 or inputs.shape[1] != firmware.n_in:
        raise HwnasError(
            f"{folder} needs rows of {firmware.n_in} values, not an array of shape {inputs.shape}",
            kind=ErrorKind.MISMATCH,
        )
    for kind in (firmware.input, firmware.output):
        if kind.width > DOUBLE_BITS:
            raise HwnasError(
                f"{folder}: {kind} is wider than the {DOUBLE_BITS} bits of a double",
                kind=ErrorKind.INEXACT,
            )
    log = folder / "csim.log"
    try:
        return _simulate(firmware, inputs, log, optimisation, timeout_s, stop)
    except OSError as error:
        raise HwnasError(
            f"C simulation cannot run in {folder}: {error}", kind=ErrorKind.NOT_ACCESSIBLE
        ) from error


def _simulate(
    firmware: WrittenProject,
    inputs: NDArray[np.int64],
    log: Path,
    optimisation: str | None,
    timeout_s: float,
    stop: threading.Event | None,
) -> Simulation:
    import numpy as np

    folder = firmware.folder
    log.write_bytes(b"")
    with tempfile.TemporaryDirectory(prefix=".csim-", dir=folder) as scratch:
        place = Path(scratch)
        (place / "driver.cpp").write_text(
            _DRIVER.format(name=firmware.name, n_in=firmware.n_in, n_out=firmware.n_out)
        )
        np.ascontiguousarray(inputs * 2.0**-firmware.input.fraction, np.float64).tofile(place / "inputs")
        command = [
            COMPILER,
            optimisation or _optimisation(firmware, len(inputs)),
            *_FLAGS,
            f"{place.name}/driver.cpp",
        ]
        compile_s = _run([*command, "-o", f"{place.name}/driver"], folder, place, log, timeout_s, stop)
        program = [f"./{place.name}/driver", f"{place.name}/inputs", f"{place.name}/outputs"]
        run_s = _run(program, folder, place, log, timeout_s, stop)
        values = np.fromfile(place / "outputs", np.float64)
    if values.size != len(inputs) * firmware.n_out:
        raise HwnasError(
            f"C simulation wrote {values.size} values for {len(inputs)} rows; see {log}",
            kind=ErrorKind.TOOL_FAILED,
        )
    scaled = values.reshape(len(inputs), firmware.n_out) * 2.0**firmware.output.fraction
    if not (np.isfinite(scaled).all() and (scaled == np.rint(scaled)).all()):
        raise HwnasError(
            f"C simulation wrote values off the grid of {firmware.output}; see {log}",
            kind=ErrorKind.TOOL_FAILED,
        )
    return Simulation(scaled.astype(np.int64), compile_s, run_s, log)


# Paths are relative to the project folder, where g++ and the program run.
_FLAGS = (
    "-std=c++17",
    "-w",
    "-I.",
    "-Ifirmware/ap_types",
    '-DWEIGHTS_DIR="firmware/weights"',
)


def _optimisation(firmware: WrittenProject, n_rows: int) -> str:
    by_code = any(layer.strategy == "distributed_arithmetic" for layer in firmware.layers)
    return "-O0" if by_code and n_rows <= _FEW_ROWS else "-O1"


def _run(
    command: Sequence[str],
    folder: Path,
    scratch: Path,
    log: Path,
    timeout_s: float,
    stop: threading.Event | None,
) -> float:
    """Run a program with its output in ``log``; returns its duration in seconds."""
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(command)}\n".encode())
    # A killed g++ leaves temporary files; they are removed with the scratch folder.
    environment = {"TMPDIR": str(scratch.resolve()), "LC_ALL": "C"}
    ending = run_program(
        command, folder=folder, log=log, limit_s=timeout_s, environment=environment, stop=stop, append=True
    )
    name = Path(command[0]).name
    if ending.stopped:
        raise SimulationStopped("C simulation was stopped")
    if ending.timed_out:
        raise HwnasError(f"{name} took longer than {timeout_s:.0f} s; see {log}", kind=ErrorKind.TIME_LIMIT)
    if ending.status != 0:
        text = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        raise HwnasError(
            f"{name} ended with {ending.status}; {log} ends with\n" + "\n".join(text),
            kind=ErrorKind.CRASHED if ending.status < 0 else ErrorKind.TOOL_FAILED,
        )
    return ending.wall_s
