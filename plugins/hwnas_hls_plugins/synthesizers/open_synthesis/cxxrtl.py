"""Cycle-by-cycle simulation of the RTL in C++, with Yosys's CXXRTL and a C++ compiler."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.errors import ToolMissing
from hwnas_hls.render import render
from hwnas_hls_plugins.synthesizers.open_synthesis.ports import WORD_BITS, from_words, to_words
from hwnas_hls_plugins.synthesizers.open_synthesis.process import Deadline, run, run_module
from hwnas_hls_plugins.synthesizers.open_synthesis.rtl import Rtl
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import simulation_passes

NAME = "CXXRTL"
_COMPILERS = ("g++", "clang++", "c++")


def compiler() -> str | None:
    """The path of a C++ compiler: ``CXX`` if set, else the first one on PATH."""
    wanted = os.environ.get("CXX", "").strip()
    for name in (wanted,) if wanted else _COMPILERS:
        path = shutil.which(name)
        if path:
            return path
    return None


def simulate(rtl: Rtl, stream: NDArray[np.uint8], folder: Path, deadline: Deadline) -> NDArray[np.uint8]:
    """Feed one row of bits per clock; returns the output bits after each rising edge.

    Args:
        rtl: the design.
        stream: (clocks, input width).
        folder: for generated code, logs and data.
        deadline: for all steps together.

    Returns:
        (clocks, output width).
    """
    program = _build(rtl, folder, deadline)
    (folder / "stimulus.bin").write_bytes(to_words(stream).tobytes())
    run(
        [str(program), "stimulus.bin", "response.bin"],
        folder=folder,
        log=folder / "simulation.log",
        deadline=deadline,
    )
    words = np.fromfile(folder / "response.bin", "<u4").reshape(len(stream), -1)
    for name in ("stimulus.bin", "response.bin"):
        (folder / name).unlink()
    return from_words(words, rtl.output.width)


def _build(rtl: Rtl, folder: Path, deadline: Deadline) -> Path:
    sources = [os.path.relpath(rtl.folder / source, folder) for source in rtl.sources]
    script = folder / "cxxrtl.ys"
    script.write_text("\n".join(simulation_passes(sources, rtl.top, "model.cc")) + "\n")
    run_module("yosys", [script.name], folder=folder, log=folder / "cxxrtl.log", deadline=deadline)
    driver = render(
        "synth/open_cxxrtl.cpp.j2",
        top=rtl.top.replace("_", "__"),  # CXXRTL's way of writing a name
        generated="model.cc",
        input_words=max(1, -(-rtl.input.width // WORD_BITS)),
        output_words=max(1, -(-rtl.output.width // WORD_BITS)),
        unused_input_bits=-rtl.input.width % WORD_BITS,
    )
    (folder / "driver.cc").write_text(driver)
    path = compiler()
    if path is None:
        raise ToolMissing("no C++ compiler is on PATH")
    # -O0: a run of some thousand clocks is too short for an optimised compilation to pay off.
    arguments = [path, "-std=c++17", "-O0", "-I", str(_runtime()), "-o", "simulation", "driver.cc"]
    run(arguments, folder=folder, log=folder / "compile.log", deadline=deadline)
    return folder / "simulation"


def _runtime() -> Path:
    """Folder of the CXXRTL headers inside the pyosys package."""
    spec = importlib.util.find_spec("pyosys")
    if spec is None or not spec.submodule_search_locations:
        raise ToolMissing("the Python package pyosys is not installed")
    return Path(spec.submodule_search_locations[0]) / "share/include/backends/cxxrtl/runtime"
