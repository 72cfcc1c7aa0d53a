"""The differentiable strategy: its contract, its supernets, what it refuses, and a small real run."""

from __future__ import annotations

import dataclasses
import itertools
import json
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusal import raises_naming, refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.space import Knob, KnobSpace, Space
from hwnas_hls.protocols.strategy import Strategy
from hwnas_hls.protocols.target import Target
from hwnas_hls.run.resolution import resolve
from hwnas_hls.run.search import Search
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import spec_from_tables
from hwnas_hls.testing import MixedSpace, StrategyContract, TinySpace, sample_dataset
from hwnas_hls.testing.samples import sample_goal, sample_target
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.objective import Goal
from hwnas_hls_plugins.spaces.mlp import MlpSpace
from hwnas_hls_plugins.strategies.differentiable import DifferentiableConfig, DifferentiableStrategy
from hwnas_hls_plugins.strategies.differentiable.relaxation import Relaxation

torch = pytest.importorskip("torch")

SMALL: dict[str, Any] = {
    "max_depth": 2,
    "widths": (4, 8, 16),
    "weight_bits": (2, 4, 6),
    "activation_bits": (3, 6),
    "activation_integer_bits": (1, 2),
}


def mlp_space(n_in: int = 6, n_out: int = 3, **settings: Any) -> MlpSpace:
    task: Any = types.SimpleNamespace(n_in=n_in, n_out=n_out)
    return MlpSpace(MlpSpace.Config(**{**SMALL, **settings}), task)


def part() -> Target:
    return dataclasses.replace(sample_target(), part="xcvu9p-flga2104-2-i")


def differentiable(
    space: Space, goal: Goal | None = None, seed: int = 0, **settings: Any
) -> DifferentiableStrategy:
    config = DifferentiableConfig(**{"tradeoffs": (0.3, 6.0), "epochs": 5, "draws": 1, **settings})
    return DifferentiableStrategy(config, space, goal or sample_goal(), seed, sample_dataset(), part())


class TestDifferentiable(StrategyContract):
    batches = 4
    batch_size = 5
    modes = ("pareto",)

    def strategy(self, space: Space, goal: Goal, seed: int) -> Strategy:
        return differentiable(space, goal, seed, epochs=2, population_size=8, tournament_size=3)

    def spaces(self) -> list[Space]:
        return [mlp_space(), TinySpace(), MixedSpace()]

    def supports(self, space: Space) -> bool:
        return isinstance(space, MlpSpace)


class Named(KnobSpace):
    """A stranger's space with the names of the mlp space; whether they mean the same is up to ``honest``."""

    name = "named"

    def __init__(self, *, honest: bool) -> None:
        self.honest = honest
        self.knobs = (Knob("width_1", (4, 8)), Knob("weight_bits_1", (3, 5)), Knob("weight_bits_out", (3, 5)))

    def architecture(self, candidate: Candidate) -> Architecture:
        values: Any = candidate.values
        width = values["width_1"] * (1 if self.honest else 2)
        kinds = [FixedType(values[f"weight_bits_{tag}"], 1) for tag in (1, "out")]
        result = FixedType(6, 2, False, "RND", "SAT")
        hidden = Dense(6, width, "relu", kinds[0], None, result=result)
        return Architecture(FixedType(8, 3), (hidden, Dense(width, 3, "linear", kinds[1], None)))


@pytest.mark.parametrize(
    ("space", "knob"),
    [
        (TinySpace(), "shape"),
        (MixedSpace(), "sparsity"),
        (mlp_space(strategies=("Resource",), reuse_factors=(2, 4)), ""),
        (mlp_space(min_depth=0, max_depth=0), ""),
        (Named(honest=False), "width_1"),
    ],
    ids=["tiny", "mixed", "resource", "linear", "other meaning"],
)
def test_spaces_that_it_does_not_understand_are_refused_by_name(space: Space, knob: str) -> None:
    with refused(ErrorKind.UNSUPPORTED, where=f"space {space.name}", mentions=["differentiable", knob]):
        differentiable(space)


def test_a_task_of_another_shape_is_refused() -> None:
    with refused(ErrorKind.MISMATCH, mentions=["6 inputs and 3 outputs", "5 inputs and 3 outputs"]):
        differentiable(mlp_space(n_in=5))


def test_a_plugin_space_with_the_same_knobs_is_searched() -> None:
    strategy = differentiable(Named(honest=True), epochs=2)
    asked = strategy.ask(4)
    assert len({candidate.key for candidate in asked}) == 4
    assert all(candidate.space == "named" for candidate in asked)


def test_differentiable_uses_only_plain_relu_layers() -> None:
    space = mlp_space(
        layer_kinds=("residual", "dense"), activations=("leaky_relu", "relu"), activation_per_layer=True
    )
    (first, *_) = differentiable(space, epochs=1).ask(4)
    assert {first.values[name] for name in ("layer_1", "activation_1")} == {"dense", "relu"}


def test_fixed_knob_has_one_option() -> None:
    space = mlp_space(max_depth=1, widths=(8,), weight_bits=(4,), weight_integer_bits=(1,))
    sites = Relaxation("test", space).sites
    assert sites["width_1"].numbers == ((8.0,),)
    assert sites["weight_1"].numbers == ((4.0, 1.0),)
    assert dict(sites["weight_1"].options[0]) == {}
    # 3 and 6 bits with 1 and 2 integer bits, unsigned.
    assert set(sites["activation_1"].numbers) == {(3.0, 1.0), (3.0, 2.0), (6.0, 1.0), (6.0, 2.0)}


def test_supernet_rounds_like_types_and_has_gradient() -> None:
    from hwnas_hls_plugins.strategies.differentiable.supernet import Grid, Rounded

    kinds = [FixedType(4, 2), FixedType(3, 1)]
    grid = Grid(torch.tensor([(4.0, 2.0), (3.0, 1.0)]), True)
    values = torch.tensor([[[-3.0, -0.4, 0.3, 5.0]]], requires_grad=True)
    chosen = torch.tensor([[1.0, 0.0]], requires_grad=True)
    rounded = Rounded.apply(values, chosen, grid, (1, 0))
    each = [
        np.clip(np.round(values.detach().numpy() * 2.0**kind.fraction), kind.lowest, kind.highest)
        * 2.0**-kind.fraction
        for kind in kinds
    ]
    assert rounded.detach().numpy() == pytest.approx(each[0])
    slope = torch.tensor([[[1.0, 2.0, -1.0, 0.5]]])
    rounded.backward(slope)
    assert chosen.grad.tolist()[0] == pytest.approx([float((e * slope.numpy()).sum()) for e in each])
    # Straight through inside the range, a leak beyond it.
    assert values.grad.tolist()[0][0] == pytest.approx([0.1, 2.0, -1.0, 0.05])


def test_pruning_takes_smallest_weights_and_unused_layers_are_skipped() -> None:
    from hwnas_hls_plugins.strategies.differentiable.supernet import Supernet

    relaxation = Relaxation("test", mlp_space(sparsities=(0.0, 0.5)))
    net = Supernet(relaxation, 1, torch.Generator().manual_seed(0))
    for name in net.sizes:  # the first option of everything, the last of depth's two in turn
        net.logits.data[0, list(net.sizes).index(name), 0] = 50.0
    rows = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        shallow = net.outputs(rows, net.draw(0.1))
        net.weights[1].mul_(-3.0)  # the second hidden layer, which depth 1 leaves out
        assert torch.equal(net.outputs(rows, net.draw(0.1)), shallow)
        net.logits.data[0, list(net.sizes).index("depth")] = torch.tensor(
            [0.0, 50.0] + [0.0] * (net.logits.shape[2] - 2)
        )
        assert not torch.equal(net.outputs(rows, net.draw(0.1)), shallow)
    net.rank_weights()
    kept = net.weights[0][0].abs() >= net.thresholds[0][0, 1]
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert net.weights[0][0].abs()[kept].min() > net.weights[0][0].abs()[~kept].max()


def test_larger_tradeoff_gives_cheaper_networks() -> None:
    from hwnas_hls.hls4ml.query import query_of
    from hwnas_hls_plugins.estimators.hls_model import predict

    space = mlp_space()
    strategy = differentiable(space, epochs=12, draws=0)
    assert strategy.training_epochs == 0
    asked = strategy.ask(2)
    assert strategy.training_epochs == 24
    queries = [query_of(space.architecture(candidate), part().part, 5.0) for candidate in asked]
    light, heavy = (prediction.metrics["lut"].value for prediction in predict(queries))
    assert heavy < 0.7 * light
    resumed = differentiable(space, epochs=12, draws=0)
    resumed.restore(json.loads(json.dumps(strategy.state())))
    assert resumed.training_epochs == 24


def test_states_of_another_kind_are_refused() -> None:
    strategy = differentiable(mlp_space())
    with refused(ErrorKind.WRONG_FORMAT, where="differentiable"):
        strategy.restore({"batch": 1, "pending": []})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tradeoffs", ()),
        ("epochs", 0),
        ("warmup", 1.0),
        ("choice_rate", 0.0),
        ("cold", 5.0),
        ("front_share", 2.0),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: Any) -> None:
    with raises_naming(name):
        DifferentiableConfig(**{name: value})


def test_search_begins_with_networks_of_supernets(tmp_path: Path) -> None:
    """Digits from 16 inputs: most of the networks that two supernets propose are useful, and smaller
    than the space's own samples."""
    spec = spec_from_tables(
        {
            "target": {"name": "xcvu9p"},
            "synthesis": {"synthesizer": "none"},
            "strategy": {"name": "differentiable", "tradeoffs": [0.5, 2.0], "epochs": 8, "draws": 1},
            "space": {"name": "mlp", "max_depth": 2, "widths": [8, 16, 32], "weight_bits": [3, 4, 5, 6]},
            "run": {"trials": 4, "batch": 4, "device": "cpu", "estimators": ["hls-model", "training"]},
            "estimators": {
                "training": {"epochs": 8, "descent_epochs": 1, "dense_rows": 0, "descent_step": 0.8}
            },
        },
        "test",
    )
    problem = resolve(spec, Registry())
    store = Store(tmp_path)
    search = Search.resume(problem, store)
    phases: list[str] = []
    search.judge.calls.on_phase = phases.append
    search.run()
    records = store.records()
    search.close()
    store.close()
    assert len(records) == 4
    # Supernets train before there is any candidate: one phase per epoch.
    own = [words for words in phases if "differentiable" in words]
    assert own == phases[:8]
    assert all("batch 1" in words and f"{epoch} of 8" in words for epoch, words in enumerate(own, 1))
    scores = [record.estimates["accuracy"].value for record in records if "accuracy" in record.estimates]
    assert sum(score > 0.7 for score in scores) >= 2
    for source, layer in itertools.chain.from_iterable(
        problem.architecture(record.candidate).layer_inputs() for record in records
    ):
        assert layer.strategy == "Latency"
        assert source.width <= 12


def test_relaxation_keeps_all_adders() -> None:
    from hwnas_hls_plugins.spaces.mlp import MlpSpace
    from hwnas_hls_plugins.strategies.differentiable.relaxation import Relaxation

    space = MlpSpace(MlpSpace.Config(strategies=("distributed_arithmetic",)), sample_dataset())
    assert "kept_adders" in {knob.name for knob in space.knobs}
    relaxation = Relaxation("differentiable", space)
    assert relaxation.sites["sparsity_1"].numbers == ((0.0,),)
    chosen = dict.fromkeys(relaxation.sites, 0)
    rest = {knob.name: knob.choices[0] for knob in space.knobs}
    candidate = relaxation.candidate(chosen, rest)
    assert candidate.values["kept_adders"] == rest["kept_adders"]
