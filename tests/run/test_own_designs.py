"""The user's own designs: read without running code of a file, judged first, exported as they are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind, ToolMissing, Unsupported, UserError
from hwnas_hls.hls4ml.models import read_model
from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.hls4ml.query_design import design_of_query
from hwnas_hls.network import emulator
from hwnas_hls.network.design import Design
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run import lifecycle as runs
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec, spec_from_tables
from hwnas_hls.testing import sample_design

MakeSpec = Callable[..., Spec]
torch = pytest.importorskip("torch")


def sequential(n_in: int = 2, n_out: int = 2) -> Any:
    """Tells the clouds of the toy task apart: the sum of the features is large in the second class."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(n_in, 4), nn.ReLU(), nn.Linear(4, n_out), nn.Softmax(dim=-1))
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([[0.5], [-0.5], [0.25], [-0.25]]).expand(4, n_in)
        model[0].bias[:] = torch.tensor([0.125, 0.0, 0.0, 0.5])
        model[2].weight[:] = torch.tensor([[-1.0, 1.0, -1.0, 1.0], [1.0, -1.0, 1.0, -1.0]])[:n_out]
        model[2].bias[:] = 0.0
    return model


def started(spec: Spec, registry: Registry, folder: Path) -> runs.Outcome:
    return runs.start(spec, registry, folder, runs.Observer())


def features_of(registry: Registry) -> int:
    return int(registry.offers("task")["toy-task"][0].cls().load().n_in)


@pytest.mark.parametrize("what", ["module", "state_dict"])
def test_a_torch_file_is_the_module_on_its_grid(tmp_path: Path, what: str) -> None:
    model, path = sequential(3), tmp_path / "model.pt"
    torch.save(model if what == "module" else model.state_dict(), path)
    query = read_model(path, precision="ap_fixed<16,6>")
    # A state dict has no graph, so the chain is an assumption.
    assert [note.kind for note in query.reasons] == ([] if what == "module" else [NoteKind.ASSUMED])
    design = design_of_query(query)
    x = np.random.default_rng(0).integers(-2000, 2000, (50, 3)) / 1024
    with torch.no_grad():
        wanted = model[:3](torch.from_numpy(x).float()).double().numpy()
    # The weights are on the grid, so only the rounding after the ReLU differs: half a step, four times.
    assert np.abs(emulator.outputs(design, x) - wanted).max() <= 4 * 2.0**-10


class Harmful:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("ran"), "code of the file ran"))


def test_code_in_a_torch_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    torch.save(OrderedDict(weight=Harmful()), path)
    with refused(ErrorKind.WRONG_FORMAT, where=str(path)):
        read_model(path)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(b"no torch file")
    with refused(ErrorKind.WRONG_FORMAT, where=str(path)):
        read_model(path)


def test_a_table_activation_is_named(tmp_path: Path) -> None:
    nn = torch.nn
    torch.save(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)), tmp_path / "m.pt")
    with pytest.raises(Unsupported, match="layer 0: tanh"):
        design_of_query(read_model(tmp_path / "m.pt"))


def test_a_keras_file_without_keras_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "keras", None)
    (tmp_path / "m.keras").write_bytes(b"")
    with pytest.raises(ToolMissing, match="hls4ml"):
        read_model(tmp_path / "m.keras")


def test_qonnx_and_an_hls4ml_project_are_the_design_again(tmp_path: Path) -> None:
    pytest.importorskip("qonnx")
    pytest.importorskip("hls4ml")
    from hwnas_hls.hls4ml.project import write_project
    from hwnas_hls.testing import sample_target
    from hwnas_hls_plugins.exporters.onnx_export.quantised import quantised_model

    design = sample_design()
    (tmp_path / "m.onnx").write_bytes(quantised_model(design).SerializeToString())
    write_project(design, sample_target(), tmp_path / "project", clock_ns=5.0, name="mine")
    grid = np.random.default_rng(0).integers(
        design.architecture.input.lowest,
        design.architecture.input.highest + 1,
        (200, design.architecture.n_in),
    )
    wanted = emulator.emulate(design, grid) * 2.0 ** -emulator.output_fraction(design)
    for path in (tmp_path / "project", tmp_path / "m.onnx"):
        again = design_of_query(read_model(path))
        x = grid * 2.0**-design.architecture.input.fraction
        np.testing.assert_array_equal(emulator.outputs(again, x), wanted, err_msg=str(path))


def test_a_linear_layer_exported_by_torch_is_read_from_onnx(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """torch writes ``Gemm`` with transposed weights."""
    pytest.importorskip("qonnx")
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("hls4ml")
    model = sequential(6)
    torch.save(model, tmp_path / "m.pt")
    nodes, weights, last = [], [], "x"
    for number, layer in enumerate(model):
        result = f"y{number}"
        if isinstance(layer, torch.nn.Linear):
            names = [f"{number}.weight", f"{number}.bias"]
            for name, values in zip(names, (layer.weight, layer.bias), strict=True):
                weights.append(onnx.numpy_helper.from_array(values.detach().numpy(), name))
            nodes.append(onnx.helper.make_node("Gemm", [last, *names], [result], transB=1))
            width = layer.out_features
        else:
            kind = {"ReLU": "Relu", "Softmax": "Softmax"}[type(layer).__name__]
            nodes.append(onnx.helper.make_node(kind, [last], [result]))
        last = result
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", count])
        for name, count in (("x", 6), (last, width))
    ]
    graph = onnx.helper.make_graph(nodes, "m", ends[:1], ends[1:], weights)
    onnx.save(onnx.helper.make_model(graph, ir_version=10), tmp_path / "m.onnx")
    found, wanted = (design_of_query(read_model(tmp_path / name)) for name in ("m.onnx", "m.pt"))
    assert found.architecture.shape == wanted.architecture.shape
    for one, other in zip(found.weights, wanted.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert capsys.readouterr().out == ""


def test_operators_that_hls4ml_does_not_read_are_named(tmp_path: Path) -> None:
    """``model.onnx``, for ONNX Runtime, rounds by standard operators; ``model.qonnx.onnx`` lies beside it."""
    pytest.importorskip("qonnx")
    pytest.importorskip("onnx")
    pytest.importorskip("hls4ml")
    from hwnas_hls_plugins.exporters.onnx_export.exact import exact_model

    path = tmp_path / "model.onnx"
    path.write_bytes(exact_model(sample_design()).SerializeToString())
    with refused(ErrorKind.UNSUPPORTED, where=str(path), mentions=["model.qonnx.onnx", "MatMul"]) as caught:
        read_model(path)
    assert isinstance(caught.value, UserError)
    assert str(caught.value.found).split(", ") == ["Floor", "Clip"]
    assert str(caught.value).count(str(path)) == 1


def test_a_damaged_onnx_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("qonnx")
    pytest.importorskip("hls4ml")
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no ONNX file")
    with refused(ErrorKind.WRONG_FORMAT, where=str(path)):
        read_model(path)


def test_own_designs_are_judged_first_and_exported_as_they_are(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    n_in = features_of(registry)
    torch.save(sequential(n_in), tmp_path / "model.pt")
    before = started(toy_spec(run={"trials": 5}), registry, tmp_path / "before")
    known = before.folder / "designs" / before.front.members[0].key
    spec = toy_spec(
        run={"trials": 10, "seed": 3},
        seeds=[
            {"design": str(tmp_path / "model.pt"), "name": "mine"},
            {"design": str(known), "name": "old"},
        ],
    )
    assert spec_from_tables(spec.to_tables(), "again").seeds == spec.seeds
    outcome = started(spec, registry, tmp_path / "run")
    first, second = outcome.front.records[:2]
    assert (first.origin, second.origin) == ("yours: mine", "yours: old")
    assert {record.batch for record in (first, second)} == {-1}
    assert first.estimates["accuracy"].evidence.startswith("your weights")
    members = {member.record.origin: member for member in outcome.front.members if member.record.origin}
    left = {record.key for record in (first, second)} - {member.key for member in outcome.front.members}
    assert left <= set(outcome.front.run.left_out)
    assert "yours: mine" in members
    assert members["yours: mine"].checks["project"].ok
    design = Design.load(outcome.folder / "designs" / first.key)
    wanted = design_of_query(read_model(tmp_path / "model.pt"))
    for own, given in zip(design.weights, wanted.weights, strict=True):
        np.testing.assert_array_equal(own, given)
    if "yours: old" in members:
        assert members["yours: old"].design.digest() == Design.load(known).digest()
    with Store(outcome.folder, reading=True) as store:
        assert [record.origin for record in store.records()[:2]] == ["yours: mine", "yours: old"]


def test_widths_that_do_not_fit_the_task_are_refused(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    n_in = features_of(registry)
    with refused(ErrorKind.MISMATCH, mentions=[n_in + 1, "7"]):
        started(toy_spec(seeds=[{"design": f"{n_in + 1}-8-7"}]), registry, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with refused(ErrorKind.MISSING, mentions=["nowhere.pt"]):
        started(toy_spec(seeds=[{"design": "nowhere.pt"}]), registry, tmp_path / "run")


def test_a_design_that_is_not_emulated_exactly_is_refused_before_the_run(
    registry: Registry, toy_spec: MakeSpec, tmp_path: Path
) -> None:
    nn, path = torch.nn, tmp_path / "model.pt"
    torch.save(nn.Sequential(nn.Linear(features_of(registry), 3), nn.Tanh(), nn.Linear(3, 2)), path)
    with refused(ErrorKind.UNSUPPORTED, where=str(path), mentions=["layer 0", "tanh", "relu"]):
        started(toy_spec(seeds=[{"design": str(path)}]), registry, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_mlp_space_finds_nearest_candidate() -> None:
    from hwnas_hls.network.architecture import Architecture, Dense
    from hwnas_hls.network.precision import FixedType
    from hwnas_hls.testing import sample_dataset
    from hwnas_hls_plugins.spaces.mlp import MlpSpace
    from hwnas_hls_plugins.spaces.mlp_config import MlpConfig

    space = MlpSpace(MlpConfig(strategies=("distributed_arithmetic",)), sample_dataset(16, 5))
    wide, bits = FixedType(16, 6), FixedType(6, 1)
    layers = [Dense(16, 64, "relu", bits, wide, result=wide), Dense(64, 30, "relu", bits, wide, result=wide)]
    near = space.nearest(Architecture(wide, (*layers, Dense(30, 5, "linear", bits, wide))))
    assert near is not None
    built = space.architecture(near)
    assert built.shape == "16-64-32-5"
    assert built.kept_adders == 1.0
    assert {str(layer.weight) for layer in built.chain} == {"ap_fixed<6,1>"}
    deep = [Dense(16, 16, "relu", bits, wide)] * 9
    assert space.nearest(Architecture(wide, (*deep, Dense(16, 5, "linear", bits, wide)))) is None
