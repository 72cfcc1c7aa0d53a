"""Designs that are graphs: exact types, files, and an emulator that computes what a naive one does."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.hls4ml.config import hls_config
from hwnas_hls.hls4ml.graph import graph_of
from hwnas_hls.hls4ml.lint import lint_design
from hwnas_hls.network.architecture import INPUT, Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, output_fraction
from hwnas_hls.network.layers import Conv2D, Dense, Merge, Pool2D
from hwnas_hls.network.precision import FixedType
from hwnas_hls.testing.graphs import random_graph
from hwnas_hls.testing.samples import sample_design, sample_target

GRID = FixedType(6, 2)
WEIGHT = FixedType(4, 1)


def rows_of(design: Design, n_rows: int, seed: int = 0) -> np.ndarray:
    kind = design.architecture.input
    rng = np.random.default_rng(seed)
    rows = rng.integers(kind.lowest, kind.highest, (n_rows, design.architecture.n_in), endpoint=True)
    rows[0], rows[1] = kind.lowest, kind.highest
    return rows


def cast(value: Fraction, kind: FixedType) -> Fraction:
    """One value onto the grid of ``kind``, one at a time and by fractions."""
    scaled = value * Fraction(2) ** kind.fraction
    floor = scaled.numerator // scaled.denominator
    # Two more bits say whether what is cut off is nothing, less than, exactly or more than a half.
    rest = scaled - floor
    quarter = 0 if rest == 0 else 2 if rest == Fraction(1, 2) else 1 if rest < Fraction(1, 2) else 3
    integer = int(kind.requantise(np.array([4 * floor + quarter]), kind.fraction + 2)[0])
    return Fraction(integer) / Fraction(2) ** kind.fraction


def naive(design: Design, row: np.ndarray) -> list[Fraction]:
    """The network on one row, neuron by neuron: an implementation that shares nothing with the emulator."""
    architecture, types = design.architecture, design.layer_types()
    held = {INPUT: [Fraction(int(v)) / Fraction(2) ** architecture.input.fraction for v in row]}
    for number, layer in enumerate(architecture.layers):
        _, accum, result = types[number]
        given = [held[source] for source in architecture.sources(number)]
        if isinstance(layer, Merge):
            values = merged(layer, given)
        elif isinstance(layer, Pool2D):
            values = pooled(layer, given[0])
        else:
            values = [cast(value, accum) for value in products(design, number, given[0])]
        activation = getattr(layer, "activation", "linear")
        if activation == "relu":
            values = [max(value, Fraction(0)) for value in values]
        elif activation == "leaky_relu":
            values = [value if value > 0 else value / 8 for value in values]
        held[number] = [cast(value, result) for value in values]
    return held[len(types) - 1]


def products(design: Design, number: int, given: list[Fraction]) -> list[Fraction]:
    layer, weight, bias = design.architecture.layers[number], design.weights[number], design.biases[number]
    assert isinstance(layer, Dense | Conv2D)
    assert weight is not None
    unit = Fraction(1) / Fraction(2) ** layer.weight.fraction
    columns = weight.shape[-1]
    offsets = [Fraction(0)] * columns
    if bias is not None and layer.bias is not None:
        offsets = [Fraction(int(value)) / Fraction(2) ** layer.bias.fraction for value in bias]
    if isinstance(layer, Dense):
        return [
            sum((given[row] * int(weight[row, column]) * unit for row in range(layer.n_in)), offsets[column])
            for column in range(columns)
        ]
    above, left = (layer.kernel_height // 2, layer.kernel_width // 2) if layer.padding == "same" else (0, 0)
    out = []
    for y, x, f in itertools.product(range(layer.out_height), range(layer.out_width), range(columns)):
        total = offsets[f]
        for dy, dx in itertools.product(range(layer.kernel_height), range(layer.kernel_width)):
            row, column = y + dy - above, x + dx - left
            if 0 <= row < layer.in_height and 0 <= column < layer.in_width:
                place = (row * layer.in_width + column) * layer.in_channels
                for channel in [f] if layer.depthwise else range(layer.in_channels):
                    factor = int(weight[dy, dx, 0 if layer.depthwise else channel, f])
                    total += given[place + channel] * factor * unit
        out.append(total)
    return out


def pooled(layer: Pool2D, given: list[Fraction]) -> list[Fraction]:
    out = []
    for y, x, channel in itertools.product(
        range(layer.out_height), range(layer.out_width), range(layer.in_channels)
    ):
        window = [
            given[
                ((y * layer.pool_height + dy) * layer.in_width + x * layer.pool_width + dx)
                * layer.in_channels
                + channel
            ]
            for dy, dx in itertools.product(range(layer.pool_height), range(layer.pool_width))
        ]
        out.append(max(window) if layer.pooling == "max" else sum(window, Fraction(0)) / len(window))
    return out


def merged(layer: Merge, given: list[list[Fraction]]) -> list[Fraction]:
    first, second = given
    if layer.merge == "add":
        return [a + b for a, b in zip(first, second, strict=True)]
    if layer.channels is None:
        return first + second
    a, b = layer.channels
    pixels = len(first) // a
    return [v for p in range(pixels) for v in (*first[p * a : p * a + a], *second[p * b : p * b + b])]


@pytest.mark.parametrize("image", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_the_emulator_computes_what_a_naive_one_does(seed: int, image: bool) -> None:
    design = random_graph(seed, image=image)
    rows = rows_of(design, 6, seed)
    wanted = [[value * 2 ** output_fraction(design) for value in naive(design, row)] for row in rows]
    np.testing.assert_array_equal(emulate(design, rows), np.array(wanted, object).astype(np.int64))


@pytest.mark.parametrize("seed", range(6))
def test_no_sum_leaves_an_exact_accumulator(seed: int) -> None:
    """Eight more integer bits in every accumulator change nothing, the extremes of the inputs included."""
    design = random_graph(seed, image=True)
    wider = dataclasses.replace(
        design,
        architecture=dataclasses.replace(
            design.architecture,
            layers=tuple(
                dataclasses.replace(layer, accum=FixedType(accum.width + 8, accum.integer + 8))
                if isinstance(layer, Dense | Conv2D) and layer.result is not None
                else layer
                for layer, (_, accum, _) in zip(design.architecture.layers, design.layer_types(), strict=True)
            ),
        ),
    )
    rows = rows_of(design, 500, seed)
    np.testing.assert_array_equal(emulate(design, rows), emulate(wider, rows))


def test_an_exact_accumulator_is_no_wider_than_its_worst_sum() -> None:
    layer = Conv2D(3, 3, 1, 1, 3, 3, "linear", WEIGHT, None)
    weight = np.full((3, 3, 1, 1), WEIGHT.lowest)
    design = Design(Architecture(GRID, (layer,)), (weight,), (None,))
    _, accum, _ = design.layer_types()[0]
    rows = np.full((1, 9), GRID.lowest)
    worst = int(emulate(design, rows).max())
    assert worst == 9 * GRID.lowest * WEIGHT.lowest  # the middle position sees all nine
    assert accum.highest // 2 < worst <= accum.highest


def test_graph_designs_survive_saving(tmp_path: Path) -> None:
    design = random_graph(2, image=True)
    assert any(weight is None for weight in design.weights)
    design.save(tmp_path)
    rows = rows_of(design, 20)
    for again in (Design.load(tmp_path), Design.from_bytes(design.to_bytes())):
        assert again.digest() == design.digest()
        assert again.architecture == design.architecture
        np.testing.assert_array_equal(emulate(again, rows), emulate(design, rows))


def test_digests_of_chains_stay_what_they_were() -> None:
    """Runs keep designs by digest: it is part of the format."""
    assert sample_design().digest() == "349f0dc9f1dec2a6"


def test_weights_fit_their_layers() -> None:
    pool = Pool2D(2, 2, 1, 2, 2, "max")
    dense = Dense(1, 2, "linear", WEIGHT, GRID)
    architecture = Architecture(GRID, (pool, dense))
    weight, bias = np.ones((1, 2), np.int64), np.ones(2, np.int64)
    Design(architecture, (None, weight), (None, bias))
    with refused(ErrorKind.MISMATCH, found=(1, 2), mentions=["layer 0", None]):
        Design(architecture, (weight, weight), (None, bias))
    with refused(ErrorKind.MISMATCH, found=(3,), mentions=["layer 1", (2,)]):
        Design(architecture, (None, weight), (None, np.ones(3, np.int64)))
    with refused(ErrorKind.MISMATCH, mentions=["layer 0"]):
        Design(architecture, (None, weight), (bias, bias))


def a_design(*layers: object, grid: FixedType = GRID) -> Design:
    architecture = Architecture(grid, layers)  # type: ignore[arg-type]
    weights = [
        None if layer.weight_shape is None else np.ones(layer.weight_shape, np.int64)
        for layer in architecture.layers
    ]
    return Design(architecture, tuple(weights), (None,) * len(weights))


def conv(source: int = INPUT, filters: int = 2, channels: int = 2, **more: object) -> Conv2D:
    settings = {"activation": "linear", "weight": WEIGHT, "bias": None, "inputs": (source,)} | more
    return Conv2D(4, 4, channels, filters, 3, 3, **settings)  # type: ignore[arg-type]


def dense(n_in: int, n_out: int, source: int, activation: str = "linear") -> Dense:
    return Dense(n_in, n_out, activation, WEIGHT, None, inputs=(source,))


REFUSED = {
    "equal inputs": a_design(Merge("add", (4, 4), (INPUT, INPUT)), dense(4, 2, 0)),
    "reuse above window times channels": a_design(conv(reuse_factor=36, strategy="Resource")),
    "depthwise under Resource": a_design(conv(depthwise=True, strategy="Resource")),
    "two dense layers on one image": a_design(
        conv(), dense(32, 3, 0), dense(32, 3, 0), Merge("add", (3, 3), (1, 2))
    ),
    "flat tensor as image": a_design(dense(8, 32, INPUT), conv(0)),
    "images end to end": a_design(conv(), conv(), Merge("concatenate", (32, 32), (0, 1)), dense(64, 2, 2)),
    "image and flat tensor": a_design(
        conv(), dense(32, 32, 0), Merge("add", (32, 32), (0, 1)), dense(32, 2, 2)
    ),
    "input of two shapes": a_design(
        conv(),
        Conv2D(8, 4, 1, 1, 3, 3, "linear", WEIGHT, None, inputs=(INPUT,)),
        Merge("add", (32, 32), (0, 1)),
    ),
    "table": a_design(dense(4, 4, INPUT, "tanh"), Merge("add", (4, 4), (INPUT, 0))),
}


#: What each refusal names: layers, reuse factors, shapes.
NAMED: dict[str, list[object]] = {
    "equal inputs": ["layer 0"],
    "reuse above window times channels": ["layer 0", 36, 18],
    "depthwise under Resource": ["layer 0"],
    "two dense layers on one image": ["layers 1, 2"],
    "flat tensor as image": ["layer 1", (4, 4, 2)],
    "images end to end": ["layer 2", (4, 4, 2)],
    "image and flat tensor": ["layer 2", (4, 4, 2), None],
    "input of two shapes": [[(4, 4, 2), (8, 4, 1)]],
    "table": ["layer 0", "tanh"],
}


@pytest.mark.parametrize("case", REFUSED)
def test_graphs_that_hls4ml_misbuilds_are_refused(case: str) -> None:
    design = REFUSED[case]
    kind = ErrorKind.INEXACT if case == "table" else ErrorKind.UNSUPPORTED
    with refused(kind, Unsupported, mentions=NAMED[case]) as caught:
        hls_config(graph_of(design))
    errors = [finding for finding in lint_design(design, sample_target()) if finding.severity == "error"]
    # Tables have a rule of their own, which chains need too.
    rule = "table-activation" if case == "table" else "graph"
    (found,) = (finding for finding in errors if finding.rule == rule)
    assert case == "table" or found.what == str(caught.value)


def test_streams_of_graphs_are_refused() -> None:
    design = a_design(dense(4, 4, INPUT), Merge("add", (4, 4), (INPUT, 0)))
    streamed = dataclasses.replace(
        design, architecture=dataclasses.replace(design.architecture, io_type="io_stream")
    )
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["io_parallel", "io_stream"]):
        graph_of(streamed)


def test_every_type_is_given_by_name() -> None:
    design = random_graph(3, image=True)
    config = hls_config(graph_of(design))["LayerName"]
    nodes = graph_of(design).nodes
    assert set(config) == {"x", *(node.name for node in nodes)}
    assert {node.kind for node in nodes} >= {"conv2d", "concatenate", "flatten", "dense"}
    for node in nodes:
        precision = config[node.name]["Precision"]
        assert precision["result"] == str(node.result)
        if node.kind in ("dense", "conv2d"):
            assert set(precision) == {"weight", "bias", "accum", "result"}
            assert {"ReuseFactor", "Strategy"} <= set(config[node.name])


def test_lint_knows_images_and_forks() -> None:
    wide = Conv2D(24, 24, 16, 32, 5, 5, "relu", WEIGHT, None, inputs=(INPUT,))
    found = {finding.rule: finding for finding in lint_design(a_design(wide), sample_target())}
    assert "unroll-limit" in found
    forked = a_design(conv(), Merge("add", (32, 32), (INPUT, 0)), conv(1))
    rules = {finding.rule for finding in lint_design(forked, sample_target())}
    assert "dataflow-fork" in rules
    pipelined = a_design(dense(4, 4, INPUT), Merge("add", (4, 4), (INPUT, 0)), dense(4, 2, 1))
    assert "dataflow-fork" not in {finding.rule for finding in lint_design(pipelined, sample_target())}
