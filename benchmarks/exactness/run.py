"""Bit-exactness of exported random designs: hls4ml's C simulation against the emulator.

    python benchmarks/exactness/run.py --designs 20 --rows 10000
    python benchmarks/exactness/run.py --designs 24 --rows 2000 --graphs

Each design is drawn from a seed: shape, strategies (mixed within a network too), reuse factors,
2 to 8 bit weights, sparsity, biases, rounding and overflow modes, io type, and weights that are
either uniform over their grid or normal as after training. Half of the rows are uniform over
the whole input grid, half are normal. Ends with 1 where any value differs.

``--graphs`` draws networks that are no chains (``hwnas_hls.testing.graphs``): residual cells and
branches of dense layers, and every other one convolutions, poolings and merges of images,
by turns for Vitis and for Vivado.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import itertools
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hwnas_hls.errors import HwnasError
from hwnas_hls.hls4ml.project import verify, write_project
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, input_integers, output_fraction
from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS, FixedType
from hwnas_hls.network.reuse import legal_reuse_factors
from hwnas_hls.protocols.target import shipped_targets
from hwnas_hls.testing.graphs import random_graph

SHAPES = (
    (16, 64, 32, 32, 5),
    (16, 32, 16, 5),
    (64, 32, 32, 10),
    (16, 16, 10),
    (10, 8, 8, 8, 2),
    (7, 13, 11, 3),
    (4, 1, 6),
    (32, 24, 26),
)
PART = shipped_targets().find("xcvu9p")


def draw(rng: np.random.Generator, kind: str) -> Design:
    """A random design; ``kind`` is a strategy or ``mixed``."""
    shape: tuple[int, ...] = SHAPES[rng.integers(len(SHAPES))]
    if kind in ("distributed_arithmetic", "mixed"):
        # g++ takes minutes for the unrolled code of large layers.
        shape = tuple(min(width, 24) for width in SHAPES[rng.integers(1, len(SHAPES))])
    bits, sparsity = int(rng.integers(2, 9)), float(rng.choice([0.0, 0.3, 0.6, 0.8]))
    trained, biased, usual = (bool(rng.integers(2)) for _ in range(3))
    first = FixedType(int(rng.integers(4, 11)), int(rng.integers(1, 5)))
    design: Design | None = None
    for number, (n_in, n_out) in enumerate(itertools.pairwise(shape)):
        strategies = ("Latency", "Resource", "distributed_arithmetic") if kind == "mixed" else (kind,)
        strategy = strategies[rng.integers(len(strategies))]
        weight_type = FixedType(max(2, bits + int(rng.integers(-1, 2))), int(rng.integers(0, 3)))
        bias_type = FixedType(int(rng.integers(3, 11)), int(rng.integers(0, 4))) if biased else None
        last = number == len(shape) - 2
        activation = "linear" if last or not rng.integers(5) else "relu"
        layer = Dense(n_in, n_out, activation, weight_type, bias_type, None, None, 1, strategy)
        layer = dataclasses.replace(layer, reuse_factor=_reuse_factor(layer, rng))
        low, high = weight_type.lowest, weight_type.highest
        if trained:
            weight = np.clip(np.rint(rng.normal(0, (high - low) / 6, (n_in, n_out))), low, high)
        else:
            weight = rng.integers(low, high, (n_in, n_out), endpoint=True)
        weight = np.where(rng.random(weight.shape) < sparsity, 0, weight).astype(np.int64)
        bias = None
        if bias_type is not None:
            bias = rng.integers(bias_type.lowest, bias_type.highest, n_out, endpoint=True)
        longer = _longer(design, first, layer, weight, bias)
        if rng.random() > (0.6 if last else 0.1):
            layer = dataclasses.replace(layer, result=_result(longer, usual, rng))
            longer = _longer(design, first, layer, weight, bias)
        design = longer
    assert design is not None
    io_type = "io_stream" if not rng.integers(4) else "io_parallel"
    clock_ns = float(rng.choice([2.5, 3.3, 5.0, 10.0]))
    return dataclasses.replace(
        design, architecture=dataclasses.replace(design.architecture, io_type=io_type, clock_ns=clock_ns)
    )


def _reuse_factor(layer: Dense, rng: np.random.Generator) -> int:
    if layer.strategy == "Resource":
        legal = legal_reuse_factors(layer.n_in, layer.n_out, "Resource")
        return legal[rng.integers(len(legal))]
    return int(rng.choice([1, 1, 1, 2, 5])) if layer.strategy == "Latency" else 1


def _longer(
    design: Design | None, first: FixedType, layer: Dense, weight: np.ndarray, bias: np.ndarray | None
) -> Design:
    """``design`` with one layer more."""
    if design is None:
        return Design(Architecture(first, (layer,)), (weight,), (bias,))
    layers = (*design.architecture.layers, layer)
    return Design(Architecture(first, layers), (*design.weights, weight), (*design.biases, bias))


def _result(design: Design, usual: bool, rng: np.random.Generator) -> FixedType:
    """A type for the last layer's outputs that the larger ones of them leave."""
    values = np.abs(emulate(design, input_integers(design, rows_of(design, 200, rng))))
    reach = float(np.quantile(values, 0.9)) * 2.0 ** -output_fraction(design)
    signed = design.architecture.layers[-1].activation != "relu" or bool(rng.integers(2))
    modes = ("RND", "SAT") if usual else (str(rng.choice(ROUNDINGS)), str(rng.choice(OVERFLOWS)))
    integer = math.ceil(math.log2(max(reach, 2.0**-20))) + signed
    return FixedType(int(rng.integers(4, 11)), integer, signed, *modes)


def rows_of(design: Design, n_rows: int, rng: np.random.Generator) -> np.ndarray:
    kind, n_in = design.architecture.input, design.architecture.n_in
    uniform = (
        rng.integers(kind.lowest, kind.highest, (n_rows // 2, n_in), endpoint=True) * 2.0**-kind.fraction
    )
    return np.concatenate([uniform, rng.normal(0.0, 1.0, (n_rows - n_rows // 2, n_in))])


def measure(
    design: Design, folder: Path, n_rows: int, rng: np.random.Generator, backend: str = "Vitis"
) -> tuple[bool, str]:
    """(bit-exact, the table's cells)."""
    marks = {"Latency": "L", "Resource": "R", "distributed_arithmetic": "D"}
    began = time.monotonic()
    weighted = [layer for _, layer, _, _ in design.weighted()]
    strategies = "".join(f"{marks[layer.strategy]}{layer.reuse_factor}" for layer in weighted)
    bits = ",".join(str(layer.weight.width) for layer in weighted)
    zeros = np.mean([float((weight == 0).mean()) for _, _, weight, _ in design.weighted()])
    io_type = design.architecture.io_type.removeprefix("io_")
    cells = f"{design.architecture.shape:17} {strategies:16} {bits:9} {zeros:4.0%} {io_type:8}"
    cells += f" {backend:6}" if backend != "Vitis" else ""
    try:
        write_project(design, PART, folder, clock_ns=design.architecture.clock_ns or 5.0, backend=backend)
    except HwnasError as error:
        return False, f"{cells} NOT WRITTEN: {error}"
    written_s = time.monotonic() - began
    features = rows_of(design, n_rows, rng)
    found = verify(design, folder, features)
    distinct = len(np.unique(emulate(design, input_integers(design, features)), axis=0))
    return found.exact, (
        f"{cells} {written_s:7.2f} {found.compile_s:9.1f} {found.run_s:5.1f} {distinct:8} "
        f"{found.n_different:6}  {found}"
    )


def main(arguments: list[str] | None = None, tell: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--designs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--graphs", action="store_true", help="networks that are no chains")
    asked = parser.parse_args(arguments)
    kinds = ["Latency", "Resource", "Latency"]
    if importlib.util.find_spec("da4ml"):
        kinds += ["distributed_arithmetic", "mixed"]
    else:
        tell("da4ml is not installed: no design uses distributed arithmetic")
    heads = f"{'#':3} {'shape':17} {'strategy+RF':16} {'bits':9} zero io      "
    tell(f"{heads} write_s compile_s run_s distinct differ")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.designs):
            rng = np.random.default_rng([asked.seed, number])
            backend = "Vitis"
            if asked.graphs:
                strategies = tuple(dict.fromkeys(kind for kind in kinds if kind != "mixed"))
                drawn = asked.seed * 1000 + number
                design = random_graph(drawn, image=bool(number % 2), layers=8, strategies=strategies)
                backend = ("Vitis", "Vivado")[number // 2 % 2]
            else:
                design = draw(rng, kinds[number % len(kinds)])
            exact, cells = measure(design, Path(folder) / str(number), asked.rows, rng, backend)
            wrong += not exact
            tell(f"{number:3} {cells}")
    tell(f"{asked.designs - wrong} of {asked.designs} designs bit-exact on {asked.rows} rows each")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
