"""Torch modules and hls4ml graphs as queries: against the projects that hls4ml writes of them."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import ROOT
from refusal import refused

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.hls4ml.folder import read_folder
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.network.precision import FixedType
from hwnas_hls_plugins.estimators.hls_model import LayerQuery, Query, predict, query_of_graph, query_of_torch

torch = pytest.importorskip("torch")
nn = torch.nn
PART = "xcvu9p-flga2104-2L-e"


def _differences(one: Query, other: Query, *skipped: str) -> list[str]:
    """Fields in which two queries differ, with layer numbers."""
    out = []
    for field in dataclasses.fields(Query):
        if field.name not in ("layers", "warnings", *skipped) and getattr(one, field.name) != getattr(
            other, field.name
        ):
            out.append(f"{field.name}: {getattr(one, field.name)} / {getattr(other, field.name)}")
    if len(one.layers) != len(other.layers):
        return [*out, f"{len(one.layers)} / {len(other.layers)} layers"]
    for number, (left, right) in enumerate(zip(one.layers, other.layers, strict=True)):
        for field in dataclasses.fields(LayerQuery):
            a, b = getattr(left, field.name), getattr(right, field.name)
            if not (
                np.array_equal(a, b) if isinstance(a, np.ndarray) and b is not None else a is b or a == b
            ):
                out.append(f"layer {number} {field.name}: {a} / {b}")
    return out


def _net(last: Any = None) -> Any:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Linear(10, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4), *([last] if last else [])
    ).eval()


def _odd() -> Any:
    torch.manual_seed(4)
    model = nn.Sequential(
        nn.Linear(6, 7, bias=False),
        nn.Tanh(),
        nn.BatchNorm1d(7),
        nn.Linear(7, 5, bias=False),
        nn.BatchNorm1d(5),
        nn.LeakyReLU(0.1),
        nn.Dropout(0.2),
        nn.Linear(5, 3),
        nn.Softmax(dim=-1),
    )
    model.train()
    model(torch.randn(64, 6))  # running statistics that are not 0 and 1
    return model.eval()


def _grid(model: Any) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.round(parameter * 16) / 16)
    return model


def _convert(model: Any, n_in: int, folder: Path, backend: str, edit: Any = None, **arguments: Any) -> Any:
    hls4ml = pytest.importorskip("hls4ml")
    config = hls4ml.utils.config_from_pytorch_model(
        model, (n_in,), granularity="name", backend=backend, default_precision="ap_fixed<16,6>"
    )
    for settings in config["LayerName"].values():
        if "weight" in settings["Precision"] and edit:
            settings.update(edit)
    arguments = {"part": PART, "clock_period": 4} | arguments
    return hls4ml.converters.convert_from_pytorch_model(
        model, hls_config=config, output_dir=str(folder), backend=backend, **arguments
    )


CASES: dict[str, tuple[Callable[[], Any], int, str, dict[str, Any], dict[str, Any]]] = {
    "latency": (lambda: _net(nn.Softmax(dim=-1)), 10, "Vitis", {}, {}),
    "resource": (_net, 10, "Vivado", {"Strategy": "Resource", "ReuseFactor": 7}, {"clock_period": 10}),
    "odd": (_odd, 6, "Vitis", {}, {}),
    "stream": (_odd, 6, "Vitis", {}, {"io_type": "io_stream"}),
    "arithmetic": (lambda: _grid(_net()), 10, "Vitis", {"Strategy": "distributed_arithmetic"}, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_graph_gives_the_same_query_as_its_project(name: str, tmp_path: Path) -> None:
    make, n_in, backend, edit, arguments = CASES[name]
    graph = _convert(make(), n_in, tmp_path / name, backend, edit, **arguments)
    query = query_of_graph(graph)
    assert not (tmp_path / name / "firmware").exists(), "nothing is written"
    graph.write()
    written = read_folder(tmp_path / name)
    assert _differences(query, written) == []
    assert all(layer.weights is not None for layer in query.layers)
    assert predict([query])[0].metrics == predict([written])[0].metrics


@pytest.mark.parametrize("name", ["latency", "resource", "odd", "stream"])
def test_a_module_gives_the_same_query_as_its_graph(name: str, tmp_path: Path) -> None:
    make, n_in, backend, edit, arguments = CASES[name]
    graph = query_of_graph(_convert(make(), n_in, tmp_path / name, backend, edit, **arguments))
    query = query_of_torch(
        make(),
        part=PART,
        clock_ns=graph.clock_ns,
        tool=graph.tool,
        reuse_factor=edit.get("ReuseFactor", 1),
        strategy=edit.get("Strategy", "Latency"),
        io_type=graph.io_type,
    )
    # hls4ml prints weights with as many decimals as the type has bits: one step of the grid at most
    for mine, theirs in zip(query.layers, graph.layers, strict=True):
        assert mine.weights is not None
        assert theirs.weights is not None
        assert np.abs(mine.weights - theirs.weights).max() <= 1
        assert (mine.weights == theirs.weights).mean() > 0.95
    plain = [
        dataclasses.replace(
            query,
            layers=tuple(
                dataclasses.replace(layer, weights=None, biases=None, n_nonzeros=None) for layer in q.layers
            ),
        )
        for q in (query, graph)
    ]
    assert _differences(plain[0], plain[1]) == []


def test_weights_are_on_the_grid_of_their_type() -> None:
    model = _net()
    query = query_of_torch(model, precision={"weight": "fixed<6,1,RND,SAT>", "bias": "fixed<8,3>"})
    for layer, linear in zip(query.layers, (model[0], model[2], model[4]), strict=True):
        real = linear.weight.detach().numpy().astype(np.float64).T
        expected = np.clip(np.floor(real * 32 + 0.5), -32, 31).astype(np.int64)
        np.testing.assert_array_equal(layer.weights, expected)
        assert layer.n_nonzeros == np.count_nonzero(expected)
        np.testing.assert_array_equal(layer.biases, np.floor(linear.bias.detach().numpy() * 32.0))
    (found,) = predict([query])
    assert found.knowledge == 2
    blind = [dataclasses.replace(layer, weights=None, n_nonzeros=None) for layer in query.layers]
    (other,) = predict([dataclasses.replace(query, layers=tuple(blind))])
    assert found.metrics["lut"].value != other.metrics["lut"].value


def test_a_folded_normalisation_computes_the_same() -> None:
    model = _odd()
    query = query_of_torch(model, precision={"weight": "fixed<32,8>", "bias": "fixed<32,8>"})
    second = query.layers[1]
    assert second.weights is not None
    assert second.biases is not None
    rows = torch.randn(20, 7)
    expected = model[4](model[3](rows)).detach().numpy()
    found = rows.numpy() @ (second.weights * 2.0**-24) + second.biases * 2.0**-24
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_modules_of_ones_own_and_types_of_each_layer() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.drop, self.second = nn.Linear(8, 6), nn.Dropout(0.1), nn.Linear(6, 2)

        def forward(self, x: Any) -> Any:
            return self.second(self.drop(torch.relu(self.first(torch.flatten(x, 1)))))

    query = query_of_torch(
        Tagger(),
        precision={"input": "ufixed<8,1>", "weight": ["fixed<6,1>", "fixed<4,1>"], "result": "ufixed<5,2>"},
        strategy=["Latency", "Resource"],
        reuse_factor=[1, 4],
    )
    first, second = query.layers
    assert query.shape == "8-6-2"
    assert (first.activation, second.activation) == ("relu", "linear")
    assert (str(first.input), str(second.input)) == ("ap_ufixed<8,1>", "ap_ufixed<5,2>")
    assert (first.weight, second.weight) == (FixedType(6, 1), FixedType(4, 1))
    assert (second.strategy, second.reuse_factor) == ("Resource", 3), "4 is not legal for 6 x 2"
    assert query.warnings[0].kind is NoteKind.CHANGED


class _Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.first(x) + x


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: nn.Sequential(nn.Conv1d(1, 2, 3)), "Conv1d"),
        (_Branches, "'add'"),
        (lambda: nn.Sequential(nn.ReLU()), "Linear"),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.GELU()), "GELU"),
    ],
)
def test_unsupported_chain_is_refused_by_name(make: Callable[[], Any], named: str) -> None:
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=[named]):
        query_of_torch(make())


def test_mistakes() -> None:
    model = _net()
    for arguments, kind, found in (
        ({"strategy": "Fast"}, ErrorKind.UNKNOWN_NAME, "Fast"),
        ({"precision": "ap_float<8>"}, ErrorKind.INVALID, "ap_float<8>"),
        ({"precision": {"weights": "fixed<8,3>"}}, ErrorKind.UNKNOWN_NAME, ["weights"]),
        ({"reuse_factor": 0}, ErrorKind.INVALID, 0),
        ({"reuse_factor": [1, 2]}, ErrorKind.MISMATCH, 2),
    ):
        with refused(kind, found=found):
            query_of_torch(model, **arguments)
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    with refused(ErrorKind.INVALID, mentions=["layer"]):
        query_of_torch(model)
    with refused(ErrorKind.WRONG_FORMAT, where="query_of_torch", found="str"):
        query_of_torch("model")
    with refused(ErrorKind.WRONG_FORMAT, where="query_of_graph", found="Sequential"):
        query_of_graph(model)


def test_the_examples_of_the_api_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hls4ml")
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    section = text[text.index("## Predicting your own model") :]
    space: dict[str, Any] = {}
    examples = re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert len(examples) == 2
    for number, code in enumerate(examples):
        exec(compile(code, f"<predicting {number}>", "exec"), space)  # noqa: S102 (as printed)
        assert space["prediction"].knowledge == 2
        assert space["prediction"].metrics["lut"].value > 0
    assert not any(tmp_path.rglob("*.cpp"))


def test_the_package_loads_neither_torch_nor_hls4ml() -> None:
    code = (
        "import sys; from hwnas_hls_plugins.estimators import hls_model; "
        "hls_model.query_of_torch, hls_model.query_of_graph, hls_model.predict; "
        "print([m for m in ('torch', 'hls4ml', 'da4ml') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
