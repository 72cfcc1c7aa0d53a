"""hls4ml projects of graphs: what is written, and that it computes what the emulator computes (real g++)."""

from __future__ import annotations

import importlib.util
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind, HwnasError
from hwnas_hls.hls4ml.csim import simulate
from hwnas_hls.hls4ml.graph import graph_of
from hwnas_hls.hls4ml.project import write_project
from hwnas_hls.hls4ml.settings_check import check_project
from hwnas_hls.hls4ml.written import read_written
from hwnas_hls.network.architecture import INPUT, Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate
from hwnas_hls.network.layers import Conv2D, Dense, Layer, Merge, Pool2D, Weighted
from hwnas_hls.network.precision import FixedType
from hwnas_hls.testing.samples import sample_target

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine")
needs_da4ml = pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed")

DA = "distributed_arithmetic"
TARGET = sample_target()
WEIGHT, BIAS = FixedType(4, 1), FixedType(6, 2)
HIDDEN = FixedType(8, 4, True, "RND", "SAT")
POSITIVE = FixedType(7, 5, False, "RND_CONV", "SAT")


def dense(n_in: int, n_out: int, source: int, activation: str = "linear", **more: object) -> Dense:
    settings = {"weight": WEIGHT, "bias": BIAS, "result": HIDDEN, "inputs": (source,)} | more
    return Dense(n_in, n_out, activation, **settings)  # type: ignore[arg-type]


def conv(
    shape: tuple[int, int, int], filters: int, kernel: tuple[int, int], source: int, **more: object
) -> Conv2D:
    settings = {"activation": "relu", "weight": WEIGHT, "bias": BIAS, "result": POSITIVE} | more
    return Conv2D(*shape, filters, *kernel, inputs=(source,), **settings)  # type: ignore[arg-type]


def design(layers: tuple[Layer, ...], seed: int, grid: FixedType) -> Design:
    """Random integers over the whole grid of every type; the extremes are there for certain."""
    rng = np.random.default_rng(seed)
    weights, biases = [], []
    for layer in layers:
        weight = bias = None
        if isinstance(layer, Weighted):
            shape = layer.weight_shape
            weight = rng.integers(layer.weight.lowest, layer.weight.highest, shape, endpoint=True)
            weight.flat[0], weight.flat[-1] = layer.weight.lowest, layer.weight.highest
            if layer.bias is not None:
                bias = rng.integers(layer.bias.lowest, layer.bias.highest, shape[-1], endpoint=True)
        weights.append(weight)
        biases.append(bias)
    return Design(Architecture(grid, layers, 5.0), tuple(weights), tuple(biases))


DESIGNS = {
    # A residual cell: branches, both merges, an activation behind a merge, three ways of rounding.
    "cell": design(
        (
            dense(6, 8, INPUT, "leaky_relu"),
            dense(8, 8, 0, "relu", strategy="Resource", reuse_factor=4),
            Merge("add", (8, 8), (0, 1), "relu", POSITIVE),
            dense(8, 5, 2, "leaky_relu", result=None),
            Merge("concatenate", (5, 8), (3, 2), result=FixedType(8, 4, True, "TRN_ZERO", "SAT_SYM")),
            Merge("concatenate", (6, 13), (INPUT, 4), "leaky_relu"),
            dense(19, 3, 5, result=None),
        ),
        1,
        FixedType(6, 2),
    ),
    # Every layer of images: 3 x 3, 5 x 5, 1 x 1 and depthwise, both paddings, both poolings, both merges.
    "image": design(
        (
            conv((6, 5, 2), 3, (3, 3), INPUT, activation="leaky_relu", result=HIDDEN, reuse_factor=2),
            conv((6, 5, 3), 3, (3, 3), 0, depthwise=True),
            Merge("add", (90, 90), (0, 1), "leaky_relu", HIDDEN),
            conv((6, 5, 2), 2, (5, 5), INPUT, strategy="Resource", reuse_factor=10, bias=None),
            Merge("concatenate", (90, 60), (2, 3), channels=(3, 2)),
            Pool2D(6, 5, 5, 2, 2, "max", inputs=(4,)),
            Pool2D(6, 5, 5, 2, 2, "average", FixedType(8, 3, True, "RND", "SAT"), (4,)),
            Merge("concatenate", (30, 30), (5, 6), channels=(5, 5)),
            conv((3, 2, 10), 4, (1, 1), 7, strategy="Resource", reuse_factor=5),
            conv((3, 2, 4), 3, (3, 1), 8, padding="valid", activation="linear", result=HIDDEN),
            dense(6, 3, 9, result=None),
        ),
        2,
        FixedType(5, 2),
    ),
    # A time series, an average that is kept whole, and distributed arithmetic throughout.
    "series": design(
        (
            conv((1, 9, 2), 3, (1, 5), INPUT, strategy=DA),
            Pool2D(1, 9, 3, 1, 4, "average"),
            conv((1, 2, 3), 3, (1, 3), 1, depthwise=True, activation="leaky_relu", strategy=DA),
            Merge("add", (6, 6), (1, 2)),
            dense(6, 4, 3, "leaky_relu", strategy=DA),
            dense(4, 3, 4, strategy=DA),
        ),
        3,
        FixedType(6, 3, False),
    ),
}
PARTS = [("cell", "Vitis"), ("image", "Vitis"), ("image", "Vivado"), ("series", "Vitis")]


def rows_of(made: Design, n_rows: int) -> np.ndarray:
    kind = made.architecture.input
    rng = np.random.default_rng(7)
    rows = rng.integers(kind.lowest, kind.highest, (n_rows, made.architecture.n_in), endpoint=True)
    rows[0], rows[1] = kind.lowest, kind.highest
    return rows


def write(name: str, folder: Path, backend: str = "Vitis", **more: object) -> Path:
    return write_project(DESIGNS[name], TARGET, folder, clock_ns=5.0, backend=backend, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], np.ndarray]:
    """What each project computes on 400 rows, two compilers at a time."""
    folder = tmp_path_factory.mktemp("graphs")
    parts = [part for part in PARTS if part[0] != "series" or importlib.util.find_spec("da4ml")]
    jobs = [(part, write(part[0], folder / "-".join(part), part[1])) for part in parts]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(
            lambda job: simulate(job[1], rows_of(DESIGNS[job[0][0]], 400), optimisation="-O0").outputs, jobs
        )
        return dict(zip(parts, found, strict=True))


@needs_compiler
@pytest.mark.parametrize(
    "part", [pytest.param(p, marks=needs_da4ml if p[0] == "series" else (), id="-".join(p)) for p in PARTS]
)
def test_c_simulation_is_bit_exact(proofs: dict[tuple[str, str], np.ndarray], part: tuple[str, str]) -> None:
    made = DESIGNS[part[0]]
    wanted = emulate(made, rows_of(made, 400))
    np.testing.assert_array_equal(proofs[part], wanted)
    # The test is worth something only where the network does not saturate to a constant.
    assert len(np.unique(wanted, axis=0)) > 100


def test_written_project_matches_graph(tmp_path: Path) -> None:
    firmware = read_written(write("image", tmp_path / "p"))
    kinds = [layer.kind for layer in firmware.layers]
    assert kinds.count("conv2d") == 5
    assert {"pool2d", "add", "concatenate", "leaky_relu", "relu", "dense"} <= set(kinds)
    named = {layer.name: layer for layer in firmware.layers}
    assert named["add"].inputs == ("layer0_act", "layer1_act")
    assert named["cat"].inputs == ("layer2_act", "layer3_act")
    assert named["layer0"].settings["pad_top"] == "1"
    assert named["layer9"].settings["pad_top"] == "0"
    assert firmware.pipeline_style == "dataflow"
    assert str(named["layer0_act"].param) == "ap_ufixed<1,-2>"
    # Zeros off the diagonal make a depthwise convolution of an ordinary one.
    assert int(named["layer1"].settings["n_zeros"]) >= 9 * 6


def test_a_wrongly_connected_graph_is_found(tmp_path: Path) -> None:
    folder = write("cell", tmp_path / "p")
    code = folder / "firmware" / "hwnas.cpp"
    written = code.read_text()
    call = next(line for line in written.splitlines() if line.endswith("// add"))
    inside = call[call.index("(") + 1 : call.index(")")]
    _, second, out = inside.split(", ")
    code.write_text(written.replace(inside, f"{second}, {second}, {out}"))
    with refused(ErrorKind.MISMATCH, HwnasError, mentions=["inputs", "layer 2"]):
        check_project(graph_of(DESIGNS["cell"]), TARGET, folder, 5.0, "Vitis", "changed")
    code.write_text(written.replace("0.125", "0.25"))
    with refused(ErrorKind.MISMATCH, HwnasError, mentions=["slope", "layer 0", "0.25", "0.125"]):
        check_project(graph_of(DESIGNS["cell"]), TARGET, folder, 5.0, "Vitis", "changed")


def test_a_pooling_of_another_kind_is_found(tmp_path: Path) -> None:
    folder = write("image", tmp_path / "p")
    parameters = folder / "firmware" / "parameters.h"
    parameters.write_text(parameters.read_text().replace("nnet::Average", "nnet::Max"))
    with refused(ErrorKind.MISMATCH, HwnasError, mentions=["pool_op", "layer 6", "Max", "Average"]):
        check_project(graph_of(DESIGNS["image"]), TARGET, folder, 5.0, "Vitis", "changed")


def test_a_single_wrong_weight_of_a_kernel_is_found(tmp_path: Path) -> None:
    folder = write("image", tmp_path / "p")
    named = {layer.name: layer for layer in read_written(folder).layers}
    path = folder / "firmware" / "weights" / f"{named['layer3'].weights[0]}.txt"
    values = path.read_text().split(",")
    values[7] = "0.125" if float(values[7]) != 0.125 else "0.25"
    path.write_text(",".join(values))
    with refused(ErrorKind.MISMATCH, HwnasError, mentions=[path.name, "value 7", values[7]]):
        check_project(graph_of(DESIGNS["image"]), TARGET, folder, 5.0, "Vitis", "changed")
