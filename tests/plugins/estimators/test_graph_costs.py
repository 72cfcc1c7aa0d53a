"""Graphs through every estimator and report: mixed with chains, never failing the batch."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from feature_types import featured
from json_schema import faults
from places import ROOT
from refusal import expect_mentioned
from synthetic_front import make_front

from hwnas_hls.cli.validate_command import _scope
from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import INPUT, Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import Conv2D, Dense, Merge, Pool2D
from hwnas_hls.network.precision import FixedType
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.protocols.exporter import Front
from hwnas_hls.protocols.task import Split
from hwnas_hls.run.correction import regime_of
from hwnas_hls.testing import FakeTools
from hwnas_hls.testing.graphs import random_graph
from hwnas_hls.testing.samples import MixedSpace, sample_context, sample_design, sample_target
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates
from hwnas_hls_plugins.estimators.da_cost import DaCostEstimator
from hwnas_hls_plugins.estimators.hls_model.estimator import HlsModelEstimator
from hwnas_hls_plugins.estimators.static_cost import StaticConfig, StaticEstimator, count, count_design
from hwnas_hls_plugins.exporters.front_json import FrontJsonExporter
from hwnas_hls_plugins.exporters.html_report import HtmlReportExporter
from hwnas_hls_plugins.exporters.html_report.drawing import COLUMN_PX, draw
from hwnas_hls_plugins.exporters.html_report.layer_rows import layer_rows
from hwnas_hls_plugins.synthesizers.open_synthesis import OpenConfig, OpenSynthesizer
from hwnas_hls_plugins.synthesizers.vendor_tools import VitisSynthesizer

needs_da4ml = pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed")
needs_yosys = pytest.mark.skipif(importlib.util.find_spec("pyosys") is None, reason="pyosys is not installed")

GRID, WEIGHT = FixedType(6, 2), FixedType(4, 1)
PART = "xcvu9p-flga2104-2L-e"
#: Estimators that cannot judge a graph, and fail it by name.
CHAINS_ONLY = ("weight-sharing", "zero-cost")


def batch(*designs: Design, known: bool) -> tuple[list[Candidate], Context]:
    """A chain and the given graphs, as candidates of one batch."""
    made = [sample_design(), *designs]
    candidates = [Candidate("mixed", {"depth": number}) for number in range(len(made))]
    held = {candidate.key: design for candidate, design in zip(candidates, made, strict=True)}
    context = dataclasses.replace(
        sample_context(MixedSpace()),
        architecture=lambda candidate: held[candidate.key].architecture,
        designs=held if known else {},
        target=dataclasses.replace(sample_target(), part=PART),
    )
    return candidates, context


def cell(strategy: str = "Latency") -> Design:
    """A residual cell: 6-8-8-add8-3."""
    layers = (
        Dense(6, 8, "relu", WEIGHT, None, None, GRID, strategy=strategy, inputs=(INPUT,)),
        Dense(8, 8, "leaky_relu", WEIGHT, None, None, GRID, strategy=strategy, inputs=(0,)),
        Merge("add", (8, 8), (0, 1), "relu", GRID),
        Dense(8, 3, "linear", WEIGHT, None, strategy=strategy, inputs=(2,)),
    )
    return filled(layers)


def filled(layers: tuple[Dense | Conv2D | Pool2D | Merge, ...], grid: FixedType = GRID) -> Design:
    rng = np.random.default_rng(5)
    weights = tuple(
        None if layer.weight_shape is None else rng.integers(-8, 8, layer.weight_shape) for layer in layers
    )
    return Design(Architecture(grid, layers, 5.0), weights, (None,) * len(layers))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize(
    "estimator", [HlsModelEstimator(), StaticEstimator(StaticConfig())], ids=["hls", "static"]
)
def test_chains_and_graphs_in_one_batch(estimator: HlsModelEstimator | StaticEstimator, known: bool) -> None:
    graphs = [cell(), random_graph(1), random_graph(1, image=True)]
    found = estimator.estimate(*batch(*graphs, known=known))
    alone = estimator.estimate(*batch(known=known))
    assert found[0] == alone[0]
    for estimates in found:
        assert not estimates.failure
        assert set(estimator.provides) == set(estimates.values)
        assert all(item.low <= item.value <= item.high for item in estimates.values.values())


def model(design: Design, *, known: bool = True) -> Estimates:
    return HlsModelEstimator().estimate(*batch(design, known=known))[1]


def test_graphs_have_a_note_that_they_were_not_measured() -> None:
    found = model(cell())
    for estimate in found.values.values():
        assert not estimate.in_domain
        assert estimate.coverage is None
        assert "uncalibrated" in estimate.evidence
    assert len(found.layers) == 4
    lut = sum(layer["lut"].value for layer in found.layers)
    assert found.values["lut"].value == pytest.approx(lut, abs=2)


def test_graph_cost_is_sum_of_dense_layers_and_merges() -> None:
    made = cell()
    chain = filled(
        (
            Dense(6, 8, "relu", WEIGHT, None, None, GRID),
            Dense(8, 8, "relu", WEIGHT, None, None, GRID),
            Dense(8, 3, "linear", WEIGHT, None),
        )
    )
    chain = dataclasses.replace(chain, weights=tuple(w for w in made.weights if w is not None))
    graph, plain = model(made).values, model(chain).values
    # Eight adders of seven bits, a rectifier and a saturation of six bits each behind it.
    assert 8 * 7 <= graph["lut"].value - plain["lut"].value <= 8 * 7 + 2 * 8 * 6
    assert graph["latency_cycles"].value - plain["latency_cycles"].value in (0, 1)
    assert graph["ii_cycles"].value == plain["ii_cycles"].value
    assert graph["lut"].high / graph["lut"].value > plain["lut"].high / plain["lut"].value


def test_latency_is_that_of_the_longest_path() -> None:
    """Two branches side by side take as long as one of them, not as both."""

    def network(branches: int) -> Design:
        layers: list[Dense | Merge] = [Dense(8, 8, "relu", WEIGHT, None, None, GRID, inputs=(INPUT,))]
        for _ in range(branches):
            layers.append(Dense(8, 8, "relu", WEIGHT, None, None, GRID, inputs=(0,)))
        last = 1
        for branch in range(2, branches + 1):
            layers.append(Merge("add", (8, 8), (last, branch), "linear", GRID))
            last = len(layers) - 1
        layers.append(Dense(8, 3, "linear", WEIGHT, None, inputs=(last,)))
        return filled(tuple(layers))

    one, two = (model(network(count)).values for count in (1, 2))
    assert two["lut"].value > 1.2 * one["lut"].value
    assert two["latency_cycles"].value <= one["latency_cycles"].value + 1


def test_a_convolution_shares_one_product_among_its_positions() -> None:
    def network(side: int, reuse_factor: int = 1) -> Design:
        layer = Conv2D(*(side, side, 2, 4, 3, 3, "relu", WEIGHT, None, None, GRID), reuse_factor=reuse_factor)
        return filled((layer, Dense(layer.n_out, 3, "linear", WEIGHT, None, reuse_factor=reuse_factor)))

    small, large, slow = (model(network(*case)).values for case in ((3,), (5,), (3, 2)))
    assert large["ii_cycles"].value == 25
    assert small["ii_cycles"].value == 9
    assert slow["ii_cycles"].value == 18
    assert large["latency_cycles"].value >= small["latency_cycles"].value + 25 - 9


def test_counts_of_a_graph_by_hand() -> None:
    layers = (
        Conv2D(4, 4, 2, 3, 3, 3, "relu", WEIGHT, GRID, None, GRID, inputs=(INPUT,)),
        Pool2D(4, 4, 3, 2, 2, "average", inputs=(0,)),
        Dense(12, 2, "linear", WEIGHT, None, inputs=(1,)),
    )
    found = count(Architecture(GRID, layers))
    assert found.parameters == 3 * 3 * 2 * 3 + 3 + 12 * 2
    assert found.macs == 54 * 16 + 24
    assert found.size_bits == 54 * 4 + 3 * 6 + 24 * 4
    average = 6 + 2  # two more bits hold the average of four exactly
    assert found.bit_operations == 54 * 16 * 4 * 6 + 24 * 4 * average
    depthwise = dataclasses.replace(layers[0], depthwise=True, filters=2, sparsity=0.5)
    assert count(Architecture(GRID, (depthwise,))).macs == 9 * 16


def test_counts_of_a_trained_graph_leave_zeros_out() -> None:
    made = cell()
    weights = tuple(None if weight is None else np.zeros_like(weight) for weight in made.weights)
    weights[3][0, 0] = 1  # type: ignore[index]
    found = count_design(dataclasses.replace(made, weights=weights))
    assert (found.parameters, found.macs) == (1, 1)
    assert found.add_bits == 8 * 7  # the merge's sums are left


@needs_da4ml
def test_da_cost_of_a_graph_or_nothing() -> None:
    adders = dataclasses.replace(cell("distributed_arithmetic"))
    image = random_graph(1, image=True, strategies=("distributed_arithmetic",))
    chain, plain, graph, picture = DaCostEstimator().estimate(*batch(cell(), adders, image, known=True))
    assert not any(item.failure for item in (chain, plain, graph, picture))
    assert not chain.values
    assert not plain.values
    assert not picture.values
    assert graph.values["lut"].value > 100


@needs_da4ml
@needs_yosys
@pytest.mark.parametrize("seed", [4])
def test_open_synthesis_builds_graphs_of_distributed_arithmetic(seed: int, tmp_path: Path) -> None:
    """Its RTL is simulated against the emulator on every row."""
    design = random_graph(seed, strategies=("distributed_arithmetic",), usual=True)
    assert any(isinstance(layer, Merge) for layer in design.architecture.layers)
    synthesizer = OpenSynthesizer(OpenConfig(rows=100, cache_dir=str(tmp_path)))
    report = synthesizer.synthesize(design, sample_target(), "cosim")
    assert not report.failure
    assert report.estimates["latency_cycles"].source == "simulated_rtl"


def test_open_synthesis_refuses_images_with_the_reason(tmp_path: Path) -> None:
    design = random_graph(1, image=True, usual=True)
    synthesizer = OpenSynthesizer(OpenConfig(cache_dir=str(tmp_path)))
    report = synthesizer.synthesize(design, sample_target(), "cosim")
    assert report.failure_kind is ErrorKind.UNSUPPORTED
    expect_mentioned(report.failure, ["layer 0"])


def graph_front(design: Design) -> Front:
    front = make_front(members=1)
    (member,) = front.members
    n_in, n_out = design.architecture.n_in, design.architecture.n_out
    test = front.dataset.test
    rows = Split(np.resize(test.x, (len(test.y), n_in)), test.y % n_out)
    dataset = dataclasses.replace(
        front.dataset, test=rows, labels=tuple(map(str, range(n_out))), features=tuple(map(str, range(n_in)))
    )
    members = [dataclasses.replace(member, design=design, layer_estimates=())]
    return dataclasses.replace(front, members=members, dataset=dataset)


@pytest.mark.parametrize(
    "design",
    [cell(), random_graph(9, image=True), random_graph(1, image=True)],
    ids=["cell", "image", "pooled"],
)
def test_graphs_fit_the_published_schema(design: Design, tmp_path: Path) -> None:
    schema = json.loads((ROOT / "docs" / "front.schema.json").read_text())
    (path,) = FrontJsonExporter().export(graph_front(design), tmp_path)
    data = json.loads(path.read_text())
    assert faults(data, schema) == []
    written = data["members"][0]["architecture"]["layers"]
    assert [layer["kind"] for layer in written] == [layer.kind for layer in design.architecture.layers]
    assert written[-1]["inputs"] == list(design.architecture.sources(len(written) - 1))


def test_the_report_lists_and_draws_a_graph(tmp_path: Path) -> None:
    design = cell()
    (path,) = HtmlReportExporter().export(graph_front(design), tmp_path)[:1]
    text = path.read_text()
    assert "add: 8 + 8 → 8 (of 1, 2)" in text
    drawing = draw(design)
    assert len(drawing.columns) == 5
    arcs = [path for path in drawing.edges if "C" in path]
    assert len(arcs) == 1  # from layer 1 past layer 2 into the merge
    start = float(arcs[0][1:].split()[0])
    assert start == 1.5 * COLUMN_PX
    assert all(node > 0 for column in drawing.columns for node in column.nodes)


def test_rows_of_layers_without_weights_are_empty_where_nothing_is() -> None:
    design = random_graph(1, image=True)
    (member,) = graph_front(design).members
    rows = layer_rows(design, member, ())
    pooling = next(n for n, layer in enumerate(design.architecture.layers) if isinstance(layer, Pool2D))
    assert (rows[pooling].weight, rows[pooling].strategy, rows[pooling].zeros) == ("none", "", "")
    assert rows[pooling].shape.startswith(design.architecture.layers[pooling].pooling)  # type: ignore[union-attr]


def test_rows_state_the_bits_of_narrow_neurons() -> None:
    design = featured(neurons=True)
    (member,) = graph_front(design).members
    rows = layer_rows(design, member, ())
    bits = sum(own.width for own in design.neurons[0] if own is not None)
    assert rows[0].result == f"ap_ufixed<4,2,AP_RND,AP_SAT>, {bits} of 20 bits"
    assert "bits" not in rows[2].result


def test_regimes_and_scope_name_what_a_graph_is() -> None:
    assert regime_of(cell().architecture) == "Latency + graph"
    assert regime_of(random_graph(1, image=True).architecture).startswith("Latency")
    assert "convolution" in regime_of(random_graph(1, image=True).architecture)
    assert "3 dense, 1 merging layers with their activations" in _scope(cell())
    assert "2 dense layers with their activations" in _scope(sample_design())


def test_vendor_tools_get_graphs_as_any_other_project(
    fake_tools: FakeTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    fake_tools.vendor("vitis-run")
    config = VitisSynthesizer.Config(folder=str(tmp_path / "work"), timeout_s=60.0)
    report = VitisSynthesizer(config).synthesize(cell(), Registry().target("xcvu9p"), "csynth")
    assert report.failure == ""
    assert report.estimates["lut_csynth"].source == "csynth"


@pytest.mark.parametrize("name", sorted(Registry().offers("estimator")))
def test_no_estimator_stops_at_a_graph(name: str) -> None:
    """It judges it, says nothing, or fails that candidate alone: the chain beside it is judged."""
    registry, candidates = Registry(), [Candidate("mixed", {"depth": number}) for number in range(3)]
    image = (
        Conv2D(2, 3, 1, 2, 1, 3, "relu", WEIGHT, None, None, GRID, inputs=(INPUT,)),
        Pool2D(2, 3, 2, 2, 1, "max", inputs=(0,)),
        Dense(6, 3, "linear", WEIGHT, None, inputs=(1,)),
    )
    made = [sample_design().architecture, cell().architecture, Architecture(GRID, image)]
    held = {candidate.key: architecture for candidate, architecture in zip(candidates, made, strict=True)}
    context = dataclasses.replace(
        sample_context(MixedSpace()),
        architecture=lambda candidate: held[candidate.key],
        target=dataclasses.replace(sample_target(), part=PART),
    )
    (offer,) = registry.offers("estimator")[name]
    settings = {field.name for field in dataclasses.fields(offer.config)}
    table = {key: value for key, value in {"epochs": 1, "steps": 10}.items() if key in settings}
    estimator = registry.build(
        offer, table, "test", space=MixedSpace(), target=context.target, dataset=context.dataset
    )
    found = estimator.estimate(candidates, context)
    assert len(found) == 3
    assert not found[0].failure
    # Those that know chains only say so of each graph; nobody else fails.
    refused = [estimates.failure_kind for estimates in found[1:] if estimates.failure]
    assert set(refused) <= {ErrorKind.UNSUPPORTED}
    assert bool(refused) == (name in CHAINS_ONLY)
