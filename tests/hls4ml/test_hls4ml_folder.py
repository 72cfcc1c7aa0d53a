"""Projects written by the installed hls4ml, read back: types, reuse factors and weights bit by bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas_hls.hls4ml.folder import read_config, read_folder
from hwnas_hls.hls4ml.folder.precisions import Precisions
from hwnas_hls.hls4ml.lint import lint_config, lint_folder
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.network.precision import FixedType

PART = "xcvu9p-flga2104-2L-e"


@dataclass
class Project:
    """A project and what was asked of hls4ml."""

    folder: Path
    linears: list[Any]
    config: dict[str, Any]
    graph: Any


def _named(**settings: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def edit(config: dict[str, Any]) -> None:
        for name, values in settings.items():
            for key, value in values.items():
                if isinstance(value, dict):
                    config["LayerName"][name][key].update(value)
                else:
                    config["LayerName"][name][key] = value

    return edit


def _all(**values: Any) -> Callable[[dict[str, Any]], None]:
    def edit(config: dict[str, Any]) -> None:
        for settings in config["LayerName"].values():
            if "weight" in settings.get("Precision", {}):
                settings.update(values)

    return edit


MIXED = {
    "_0": {
        "Precision": {
            "weight": "fixed<6,2>",
            "bias": "fixed<9,3>",
            "accum": "fixed<20,9>",
            "result": "fixed<20,9>",
        }
    },
    "_1": {"Precision": {"result": "ufixed<8,3,RND,SAT>"}},
    "_2": {"Precision": {"weight": "fixed<5,1>", "bias": "fixed<8,3>"}, "ReuseFactor": 3},
    "_4": {"Precision": {"weight": "fixed<7,1,RND_CONV,SAT_SYM>", "result": "fixed<12,5>"}},
}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    torch = pytest.importorskip("torch")
    hls4ml = pytest.importorskip("hls4ml")
    nn = torch.nn
    torch.manual_seed(7)
    root = tmp_path_factory.mktemp("hls4ml")
    out: dict[str, Project] = {}

    def make(name: str, model: Any, n_in: int, backend: str, *edits: Any, **arguments: Any) -> None:
        model.eval()
        config = hls4ml.utils.config_from_pytorch_model(
            model, (n_in,), granularity="name", backend=backend, default_precision="ap_fixed<16,6>"
        )
        for edit in edits:
            edit(config)
        graph = hls4ml.converters.convert_from_pytorch_model(
            model, hls_config=config, output_dir=str(root / name), backend=backend, **arguments
        )
        graph.write()
        linears = [module for module in model if isinstance(module, nn.Linear)]
        out[name] = Project(root / name, linears, config, graph)

    def net() -> Any:
        return nn.Sequential(
            nn.Linear(10, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4), nn.Softmax(dim=-1)
        )

    make("latency", net(), 10, "Vitis", _named(**MIXED), part=PART, clock_period=4)
    make("resource", net(), 10, "Vivado", _all(Strategy="Resource", ReuseFactor=4), part="xc7z020clg400-1")
    make("arithmetic", net(), 10, "Vitis", _all(Strategy="distributed_arithmetic"), part=PART)
    grid = net()
    with torch.no_grad():
        for parameter in grid.parameters():
            parameter.copy_(torch.round(parameter * 16) / 16)
    make("grid", grid, 10, "Vitis", _all(Strategy="distributed_arithmetic"), part=PART)
    stream = _all(Strategy="distributed_arithmetic")
    make("grid_stream", grid, 10, "Vitis", stream, part=PART, io_type="io_stream", namespace="tagger")
    make("stream", net(), 10, "Vitis", part=PART, io_type="io_stream")
    odd = nn.Sequential(
        nn.Linear(6, 5, bias=False),
        nn.Tanh(),
        nn.BatchNorm1d(5),
        nn.Linear(5, 3),
        nn.Sigmoid(),
        nn.Linear(3, 2),
    )
    make("odd", odd, 6, "Vivado", part=PART)
    return out


def _integers(linear: Any, layer: Any) -> np.ndarray:
    return layer.weight.integers(linear.weight.detach().numpy().astype(np.float64).T)


@pytest.mark.parametrize("name", ["latency", "resource", "stream", "odd"])
def test_weights_and_biases_bit_by_bit(projects: dict[str, Project], name: str) -> None:
    project = projects[name]
    query = read_folder(project.folder)
    assert len(query.layers) == len(project.linears)
    for linear, layer in zip(project.linears, query.layers, strict=True):
        assert layer.weights is not None
        assert layer.weights.shape == (linear.in_features, linear.out_features)
        # hls4ml prints as many decimals as the type has bits, so a printed value may be a rounded one
        # next to the grid: what is read must be what C++ makes of the printed text
        printed = np.round(linear.weight.detach().numpy().astype(np.float64).T, layer.weight.fraction)
        np.testing.assert_array_equal(layer.weights, layer.weight.integers(printed))
        assert np.abs(layer.weights - _integers(linear, layer)).max() <= 1
        assert layer.n_nonzeros == int((layer.weights != 0).sum())
        if linear.bias is None:
            assert layer.bias is None
            assert layer.biases is None
        else:
            assert layer.bias is not None
            bias = np.round(linear.bias.detach().numpy().astype(np.float64), layer.bias.fraction)
            np.testing.assert_array_equal(layer.biases, layer.bias.integers(bias))


def test_resource_weights_are_not_transposed(projects: dict[str, Project]) -> None:
    """A square layer would hide a transposition: compare one value by its place."""
    project = projects["resource"]
    layer = read_folder(project.folder).layers[0]
    assert layer.weights is not None
    value = float(project.linears[0].weight.detach()[7, 3]) * 2.0**layer.weight.fraction
    assert abs(layer.weights[3, 7] - value) < 1.01


def test_types_are_those_that_were_asked_for(projects: dict[str, Project]) -> None:
    first, second, last = read_folder(projects["latency"].folder).layers
    parse = FixedType.parse
    assert (first.weight, first.bias) == (parse("ap_fixed<6,2>"), parse("ap_fixed<9,3>"))
    assert (first.accum, first.dense_out) == (parse("ap_fixed<20,9>"), parse("ap_fixed<20,9>"))
    assert first.result == parse("ap_ufixed<8,3,RND,SAT>")
    assert second.input == parse("ap_ufixed<8,3,RND,SAT>")
    assert (second.weight, second.bias, second.reuse_factor) == (
        parse("ap_fixed<5,1>"),
        parse("ap_fixed<8,3>"),
        3,
    )
    assert last.weight == parse("ap_fixed<7,1,RND_CONV,SAT_SYM>")
    assert (last.dense_out, last.activation) == (parse("ap_fixed<12,5>"), "softmax")


def test_auto_types_come_from_graph(projects: dict[str, Project]) -> None:
    """What hls4ml inferred for ``auto`` is read from the firmware, not guessed."""
    for name in ("resource", "stream", "odd"):
        project = projects[name]
        dense = [layer for layer in project.graph.get_layers() if layer.class_name == "Dense"]
        for node, layer in zip(dense, read_folder(project.folder).layers, strict=True):
            for attribute, found in (("accum_t", layer.accum), ("weight_t", layer.weight)):
                precision = node.get_attr(attribute).precision
                assert found is not None
                assert (found.width, found.integer, found.signed) == (
                    precision.width,
                    precision.integer,
                    bool(precision.signed),
                )


def test_settings(projects: dict[str, Project]) -> None:
    latency = read_folder(projects["latency"].folder)
    assert (latency.part, latency.clock_ns, latency.clock_uncertainty) == (PART, 4.0, 0.27)
    assert (latency.backend, latency.io_type, latency.shape) == ("Vitis", "io_parallel", "10-12-8-4")
    assert latency.softmax == "stable"
    assert [layer.activation for layer in latency.layers] == ["relu", "relu", "softmax"]
    assert all(layer.strategy == "Latency" for layer in latency.layers)
    resource = read_folder(projects["resource"].folder)
    assert (resource.part, resource.backend, resource.clock_uncertainty) == (
        "xc7z020clg400-1",
        "Vivado",
        0.125,
    )
    assert resource.tool.startswith("vivado_hls")
    assert [layer.strategy for layer in resource.layers] == ["Resource"] * 3
    # 4 is no legal factor of a layer with 10 inputs
    assert [layer.reuse_factor for layer in resource.layers] == [5, 4, 4]
    assert read_folder(projects["stream"].folder).io_type == "io_stream"


def test_layers_that_are_more_than_dense(projects: dict[str, Project]) -> None:
    query = read_folder(projects["odd"].folder)
    assert [layer.activation for layer in query.layers] == ["tanh", "sigmoid", "linear"]
    assert [layer.normalisation for layer in query.layers] == ["batch", "none", "none"]
    assert query.reasons == ()


def test_distributed_arithmetic_has_its_weights_in_the_adder_graph(projects: dict[str, Project]) -> None:
    """They are nowhere else in the firmware, and hls4ml takes them unrounded."""
    project = projects["arithmetic"]
    query = read_folder(project.folder)
    assert query.shape == "10-12-8-4"
    assert {layer.strategy for layer in query.layers} == {"distributed_arithmetic"}
    for linear, layer in zip(project.linears, query.layers, strict=True):
        assert layer.weights is not None
        assert layer.biases is not None
        assert layer.bias is not None
        # da4ml 0.6 itself is exact only for weights of few bits: with the 24 of an unrounded float the
        # graph it writes is off by up to 1e-6 (an independent evaluation in fractions says the same)
        values = layer.weights * 2.0**-layer.weight.fraction
        np.testing.assert_allclose(values, linear.weight.detach().numpy().T, atol=2e-6, rtol=0)
        biases = layer.biases * 2.0**-layer.bias.fraction
        np.testing.assert_allclose(biases, linear.bias.detach().numpy(), atol=2e-6, rtol=0)
    assert [finding.rule for finding in lint_folder(project.folder)] == ["da-unrounded-weights"] * 3


def test_distributed_arithmetic_on_the_grid(projects: dict[str, Project]) -> None:
    project = projects["grid"]
    for linear, layer in zip(project.linears, read_folder(project.folder).layers, strict=True):
        assert layer.weights is not None
        assert layer.weight.fraction <= 4
        np.testing.assert_array_equal(layer.weights * 2.0**-layer.weight.fraction, linear.weight.detach().T)
    assert lint_folder(project.folder) == []


def test_distributed_arithmetic_streamed_and_in_a_namespace(projects: dict[str, Project]) -> None:
    query = read_folder(projects["grid_stream"].folder)
    assert query.io_type == "io_stream"
    for plain, layer in zip(read_folder(projects["grid"].folder).layers, query.layers, strict=True):
        np.testing.assert_array_equal(layer.weights, plain.weights)
        assert (layer.strategy, layer.result) == (plain.strategy, plain.result)


@pytest.mark.parametrize("name", ["latency", "resource", "stream", "odd"])
def test_a_lone_configuration_gives_what_the_firmware_has(
    projects: dict[str, Project], name: str, tmp_path: Path
) -> None:
    shutil.copy(projects[name].folder / "hls4ml_config.yml", tmp_path)
    lone = read_config(tmp_path / "hls4ml_config.yml")
    built = read_folder(projects[name].folder)
    for field in ("part", "clock_ns", "clock_uncertainty", "io_type", "backend", "tool", "shape", "softmax"):
        assert getattr(lone, field) == getattr(built, field), field
    for asked, layer in zip(lone.layers, built.layers, strict=True):
        for field in (
            "input",
            "weight",
            "accum",
            "dense_out",
            "result",
            "activation",
            "reuse_factor",
            "strategy",
        ):
            assert getattr(asked, field) == getattr(layer, field), field
        assert asked.normalisation == layer.normalisation
        assert asked.weights is None


def test_the_firmware_is_right_where_the_configuration_is_stale(
    projects: dict[str, Project], tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(projects["latency"].folder, folder)
    path = folder / "hls4ml_config.yml"
    path.write_text(
        path.read_text().replace("fixed<6,2>", "fixed<4,2>").replace(PART, "xcku115-flvb2104-2-i")
    )
    query = read_config(path)
    assert str(query.layers[0].weight) == "ap_fixed<6,2>"
    assert query.part == PART
    assert NoteKind.CONFLICT in {note.kind for note in query.warnings}
    stale = [finding for finding in lint_folder(folder) if finding.rule == "stale-config"]
    assert [finding.where for finding in stale] == ["layer _0, weight type"]


def test_quantisers_of_the_model_decide_its_types(projects: dict[str, Project], tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(projects["latency"].folder, folder)
    path = folder / "hls4ml_config.yml"
    text = path.read_text().replace("fixed<6,2>", "fixed<4,2>")
    assert text.count("\n  Model:\n") == 1
    path.write_text(text.replace("\n  Model:\n", "\n  Model:\n    BitExact: true\n"))
    assert "stale-config" not in {finding.rule for finding in lint_folder(folder)}


@pytest.mark.parametrize(
    ("model", "quantised"),
    [
        ({"Precision": "ap_fixed<-1,0>"}, True),
        ({"Precision": {"default": "fixed<-1, 0>"}}, True),
        ({"Precision": "ap_fixed<8,-1>"}, False),
        ({"BitExact": False}, False),
    ],
)
def test_a_default_without_width_leaves_types_to_quantisers(
    model: dict[str, object], quantised: bool
) -> None:
    assert Precisions({"HLSConfig": {"Model": model}}).quantised == quantised


def test_lint_of_real_projects(projects: dict[str, Project], tmp_path: Path) -> None:
    assert lint_folder(projects["latency"].folder) == []
    found = lint_folder(projects["resource"].folder)
    assert [(finding.rule, finding.where) for finding in found] == [("reuse-factor", "layer _0")]
    assert "changes it to 5" in found[0].what
    shutil.copy(projects["resource"].folder / "hls4ml_config.yml", tmp_path)
    assert lint_config(tmp_path / "hls4ml_config.yml") == found
