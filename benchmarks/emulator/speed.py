"""The bit-exact emulator against hls4ml's C simulation: the time until a design's outputs are known.

hls4ml converts the design once and then does what it does in a search: ``compile()`` (which writes the
C++ and runs g++ on it) and ``predict()``. The emulator starts from the design in memory. Both get the
same rows; the table says how many of their outputs differ.

    python benchmarks/emulator/speed.py --rows 10000 --shapes 16-16-10 16-64-32-32-5

``predict()`` and the emulator alternate; their times are medians. A compilation is timed once a design.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwnas_hls.hls4ml.graph import graph_of
from hwnas_hls.hls4ml.module import torch_module
from hwnas_hls.hls4ml.project import hls_config
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, input_integers, output_fraction, outputs
from hwnas_hls.network.precision import FixedType

PART = "xcvu9p-flga2104-2L-e"


def design_of(shape: Sequence[int], bits: int, seed: int) -> Design:
    """Random weights; ReLUs whose type some results saturate (0.2 % behind one layer, 9 % behind three)."""
    rng = np.random.default_rng(seed)
    layers: list[Dense] = []
    weights: list[np.ndarray] = []
    biases: list[np.ndarray | None] = []
    for number, (n_in, n_out) in enumerate(itertools.pairwise(shape)):
        last = number == len(shape) - 2
        weight, bias = FixedType(bits, 1), FixedType(bits + 4, 4)
        result = None if last else FixedType(bits, 2, False, "RND", "SAT")
        layers.append(Dense(n_in, n_out, "linear" if last else "relu", weight, bias, result=result))
        spread = (weight.highest - weight.lowest) / 6
        weights.append(
            np.clip(np.rint(rng.normal(0, spread, (n_in, n_out))), weight.lowest, weight.highest).astype(int)
        )
        biases.append(rng.integers(-8, 8, n_out))
    return Design(Architecture(FixedType(8, 3), tuple(layers)), tuple(weights), tuple(biases))


def measure(shape: Sequence[int], bits: int, rows: int, repeats: int, seed: int) -> dict[str, Any]:
    import hls4ml

    design = design_of(shape, bits, seed)
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()):
        model = hls4ml.converters.convert_from_pytorch_model(
            torch_module(graph_of(design)),
            hls_config=hls_config(graph_of(design)),
            output_dir=str(Path(place) / "project"),
            backend="Vitis",
            io_type="io_parallel",
            part=PART,
        )
        home = Path.cwd()
        try:
            began = time.perf_counter()
            model.compile()
            compile_s = time.perf_counter() - began
        finally:
            os.chdir(home)  # hls4ml changes the folder
        # Rows as the host feeds them: on the input grid.
        integers = input_integers(design, rng.normal(0, 1, (rows, shape[0])))
        features = np.ascontiguousarray(integers * 2.0**-design.architecture.input.fraction)
        predicts, emulates, whole = [], [], []
        for _ in range(repeats):
            began = time.perf_counter()
            theirs = model.predict(features)
            predicts.append(time.perf_counter() - began)
            began = time.perf_counter()
            ours = emulate(design, integers)
            emulates.append(time.perf_counter() - began)
            began = time.perf_counter()
            outputs(design, features)
            whole.append(time.perf_counter() - began)
    different = int(np.sum(theirs.reshape(ours.shape) != ours * 2.0 ** -output_fraction(design)))
    predict_s, emulate_s = statistics.median(predicts), statistics.median(whole)
    return {
        "shape": "-".join(map(str, shape)),
        "bits": bits,
        "rows": rows,
        "different": different,
        "compile_s": compile_s,
        "predict_s": predict_s,
        "emulate_s": emulate_s,
        "integers_only_s": statistics.median(emulates),
        "ratio": (compile_s + predict_s) / emulate_s,
        "ratio_predict": predict_s / emulate_s,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--shapes", nargs="+", default=["16-16-10", "16-64-32-32-5"])
    parser.add_argument("--bits", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = []
    for shape in options.shapes:
        widths = [int(width) for width in shape.split("-")]
        found.append(measure(widths, options.bits, options.rows, options.repeats, options.seed))
    if options.json:
        print(json.dumps(found))
        return
    print(
        "| network | compile(), s | predict(), ms | emulator, ms | compile + predict : emulator "
        "| predict : emulator | outputs that differ |\n|---|--:|--:|--:|--:|--:|--:|"
    )
    for row in found:
        print(
            f"| {row['shape']}, {row['bits']} bits | {row['compile_s']:.1f} | {1e3 * row['predict_s']:.1f} "
            f"| {1e3 * row['emulate_s']:.1f} | {row['ratio']:,.0f} | {row['ratio_predict']:.1f} "
            f"| {row['different']} of {row['rows'] * widths_out(row['shape'])} |"
        )


def widths_out(shape: str) -> int:
    return int(shape.rsplit("-", 1)[-1])


if __name__ == "__main__":
    main()
