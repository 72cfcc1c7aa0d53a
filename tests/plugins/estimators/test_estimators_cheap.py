"""Zero-cost proxies and weight sharing: what they are, that they rank, and that they resume."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from refusal import raises_naming, refused

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.layers import INPUT, Merge
from hwnas_hls.network.precision import FixedType
from hwnas_hls.plugin.registry import Registry
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.protocols.space import Knob, KnobSpace
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.run.lifecycle import Observer, resume, start
from hwnas_hls.run.storage.store import Store
from hwnas_hls.spec.spec import Spec
from hwnas_hls.testing import EstimatorContract, MixedSpace, TinySpace, sample_context, sample_dataset
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates, Source
from hwnas_hls_plugins.estimators.weight_sharing import WeightSharingConfig, WeightSharingEstimator
from hwnas_hls_plugins.estimators.zero_cost import METRICS, ZeroCostConfig, ZeroCostEstimator
from hwnas_hls_plugins.estimators.zero_cost.probe import Probe
from hwnas_hls_plugins.estimators.zero_cost.scores import SCORES, Question

pytest.importorskip("torch")

SMALL = WeightSharingConfig(steps=60, pool=64, networks=4)


class TestZeroCost(EstimatorContract):
    def estimator(self) -> ZeroCostEstimator:
        return ZeroCostEstimator()


class TestWeightSharing(EstimatorContract):
    def estimator(self) -> WeightSharingEstimator:
        return WeightSharingEstimator(SMALL)


def chain(*widths: int, bits: int = 8, activation: str = "relu", **more: Any) -> Architecture:
    weight, wide = FixedType(bits, 1), FixedType(16, 6)
    layers = [
        Dense(a, b, activation, weight, None, result=wide, **more) for a, b in itertools.pairwise(widths[:-1])
    ]
    return Architecture(wide, (*layers, Dense(widths[-2], widths[-1], "linear", weight, None)))


def asked(architecture: Architecture, rows: int = 16, seed: int = 1) -> Question:
    dataset = sample_dataset()
    x = dataset.train.x[:rows]
    targets = (dataset.train.y[:rows, None] == np.arange(3)).astype(np.float64)
    probe = Probe(architecture, [seed], x)
    return Question(probe, x, targets, True, probe.forward(x))


def test_gradients_are_those_of_finite_differences() -> None:
    """On grids fine enough to be none: the loss changes by the gradient times the change."""
    fine = FixedType(40, 8)
    layers = (
        Dense(6, 5, "relu", fine, None, result=fine),
        Dense(5, 4, "tanh", fine, None, result=fine),
        Dense(4, 3, "linear", fine, None),
    )
    question = asked(Architecture(fine, layers))
    gradients = question.loss_gradients

    def loss() -> float:
        logits = question.probe.forward(question.rows).logits
        logits = logits - logits.max(axis=1, keepdims=True)
        chosen = (logits * question.targets).sum(axis=1)
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen))

    for number, gradient in enumerate(gradients):
        weight = question.probe.weights[number]
        step = 1e-4
        for place in [(0, 0), (3, 2)]:
            before = weight[place]
            weight[place] = before + step
            above = loss()
            weight[place] = before - step
            below = loss()
            weight[place] = before
            assert (above - below) / (2 * step) == pytest.approx(gradient[place], rel=1e-3, abs=1e-6)


def test_synflow_is_the_flow_through_absolute_weights() -> None:
    question = asked(chain(6, 4, 3))
    first, second = (np.abs(weight) for weight in question.probe.weights)
    by_hand = 2 * (np.ones(6) @ first @ second).sum()
    assert SCORES["synflow"](question) == pytest.approx(np.log(by_hand))


def test_the_tangent_kernel_is_that_of_the_weights() -> None:
    """Against a kernel summed over every weight's own derivative."""
    question = asked(chain(6, 4, 3), rows=5)
    derivatives = []
    for output in range(3):
        for number, weight in enumerate(question.probe.weights):
            for place in np.ndindex(*weight.shape):
                step, before = 2.0**-10, weight[place]
                weight[place] = before + step
                above = question.probe.forward(question.rows).logits[:, output]
                weight[place] = before - step
                below = question.probe.forward(question.rows).logits[:, output]
                weight[place] = before
                derivatives.append(((above - below) / (2 * step), output, number))
    grown = np.stack([column for column, _, _ in derivatives])
    kernel = grown.T @ grown
    # This network has no biases; the score counts them as a constant input of every layer.
    deltas = [question.probe.backward(question.done, np.eye(3)[[output] * 5])[:-1] for output in range(3)]
    kernel += sum(delta @ delta.T for each in deltas for delta in each)
    eigenvalues = np.linalg.eigvalsh(kernel)
    assert SCORES["ntk_condition"](question) == pytest.approx(
        np.log(eigenvalues[-1] / eigenvalues[0]), rel=0.05
    )


def test_more_neurons_make_more_regions_and_linear_ones_none() -> None:
    regions = SCORES["linear_regions"]
    assert regions(asked(chain(6, 32, 3))) > regions(asked(chain(6, 4, 3))) > 0
    assert regions(asked(chain(6, 32, 3, activation="linear"))) == 0


def test_precision_and_sparsity_count() -> None:
    for name in ("synflow", "snip", "grad_norm"):
        exact, coarse = (SCORES[name](asked(chain(6, 16, 3, bits=bits))) for bits in (12, 2))
        assert exact != coarse
    sparse = SCORES["synflow"](asked(chain(6, 16, 3, sparsity=0.75)))
    assert sparse < SCORES["synflow"](asked(chain(6, 16, 3)))


def test_a_dead_network_scores_and_does_not_fail() -> None:
    dead = FixedType(1, -3, False)
    layers = (Dense(6, 4, "relu", dead, None, result=dead), Dense(4, 3, "linear", dead, None, result=dead))
    question = asked(Architecture(FixedType(4, 2), layers))
    assert all(np.isfinite(score(question)) for score in SCORES.values())


def test_proxies_are_no_accuracies() -> None:
    space = TinySpace()
    (found,) = ZeroCostEstimator().estimate([space.sample(np.random.default_rng(0))], sample_context(space))
    assert set(found.values) == set(METRICS)
    assert "accuracy" not in found.values
    for estimate in found.values.values():
        assert estimate.source == "predicted"
        assert estimate.evidence
    some = ZeroCostEstimator(ZeroCostConfig(scores=("snip",)))
    assert [metric.name for metric in some.provides] == ["snip"]
    with refused(ErrorKind.UNKNOWN_NAME, found="sinflow", near="synflow"):
        ZeroCostConfig(scores=("sinflow",))


class GraphSpace(KnobSpace):
    """Half of its networks have a residual connection."""

    name = "graph"

    def __init__(self) -> None:
        self.knobs = (Knob("residual", (False, True), ordered=False), Knob.integer("width", 2, 9))

    def architecture(self, candidate: Candidate) -> Architecture:
        kind, width = FixedType(8, 3), int(candidate.values["width"] or 1)
        if not candidate.values["residual"]:
            return chain(6, width, 3)
        hidden = Dense(6, 6, "relu", kind, None, result=kind)
        merge = Merge("add", (6, 6), inputs=(0, INPUT), result=kind)
        return Architecture(kind, (hidden, merge, Dense(6, 3, "linear", kind, None)))


@pytest.mark.parametrize("estimator", [ZeroCostEstimator(), WeightSharingEstimator(SMALL)])
def test_graph_candidate_is_refused(estimator: Any) -> None:
    space = GraphSpace()
    candidates = [space.candidate({"residual": residual, "width": 4}) for residual in (False, True)]
    plain, residual = estimator.estimate(candidates, sample_context(space))
    assert plain.values
    assert not plain.failure
    assert residual.failure_kind is ErrorKind.UNSUPPORTED


def test_weight_sharing_refuses_a_space_without_chains() -> None:
    space = GraphSpace()
    space.knobs = (Knob("residual", (True,)), Knob.integer("width", 2, 9))
    candidate = space.sample(np.random.default_rng(0))
    with refused(ErrorKind.UNSUPPORTED, Unsupported):
        WeightSharingEstimator(SMALL).estimate([candidate], sample_context(space))
    with refused(ErrorKind.MISSING, Unsupported):
        WeightSharingEstimator(SMALL).estimate(
            [candidate], dataclasses.replace(sample_context(space), space=None)
        )


def blobs() -> Dataset:
    return sample_dataset(rows=900, seed=3)


def shared(
    context: Context, space: MixedSpace, count: int = 24, **config: Any
) -> tuple[list[Candidate], list[Estimates]]:
    rng = np.random.default_rng(5)
    candidates = [space.sample(rng) for _ in range(count)]
    settings = dataclasses.replace(SMALL, **config)
    return candidates, WeightSharingEstimator(settings, context.dataset).estimate(candidates, context)


def test_a_slice_of_the_supernet_has_learned_the_task() -> None:
    """And one of coarse weights has learned less."""
    space = MixedSpace()
    candidates, found = shared(sample_context(space, blobs()), space, steps=400)
    scores = np.array([item.values["supernet_accuracy"].value for item in found])
    bits = np.array([int(candidate.values["weight_bits"] or 0) for candidate in candidates])
    assert scores[bits >= 6].mean() > 0.85
    _, untrained = shared(sample_context(space, blobs()), space, steps=1)
    assert np.mean([item.values["supernet_accuracy"].value for item in untrained]) < scores.mean() - 0.2
    assert {item.values["supernet_accuracy"].source for item in found} == {Source.TRAINED}


def test_supernet_is_stored_and_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    from hwnas_hls_plugins.estimators.weight_sharing import supernet

    space = MixedSpace()
    context = sample_context(space, blobs())
    _, first = shared(context, space)
    assert [name.partition(" ")[0] for name in context.cache] == ["supernet"]

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(supernet, "train", never)
    _, again = shared(context, space)
    assert [item.values for item in again] == [item.values for item in first]
    with raises_naming("trained again", error=AssertionError):
        shared(dataclasses.replace(context, seed=1), space)


def test_weight_sharing_of_a_regression() -> None:
    rng = np.random.default_rng(1)
    splits = []
    for rows in (600, 200, 50):
        x = rng.normal(size=(rows, 6))
        splits.append(Split(x, np.stack([x[:, 0] + x[:, 1] ** 2, 100 * x[:, 2], -x[:, 3]], 1)))
    dataset = Dataset(*splits, "regression", (), tuple("abcdef"), "made up", "r2")
    space = MixedSpace()
    _, found = shared(sample_context(space, dataset), space, steps=400)
    scores = [item.values["supernet_r2"].value for item in found]
    assert max(scores) > 0.5
    _, untrained = shared(sample_context(space, dataset), space, steps=1)
    assert max(scores) > max(item.values["supernet_r2"].value for item in untrained) + 0.2


def test_the_test_split_is_never_read() -> None:
    space = MixedSpace()
    dataset = blobs()
    poisoned = dataclasses.replace(dataset, test=Split(np.full((5, 6), np.nan), np.full(5, 99)))
    for data in (dataset, poisoned):
        context = sample_context(space, data)
        values = [item.values for item in shared(context, space)[1]]
        values += [
            item.values
            for item in ZeroCostEstimator().estimate([space.sample(np.random.default_rng(0))], context)
        ]
        if data is dataset:
            first = values
    assert values == first


def test_a_proxy_can_be_the_objective_of_a_run(
    all_plugins: Registry, toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    spec = toy_spec(
        run={"trials": 20, "estimators": ["toy-cost", "zero-cost", "weight-sharing"]},
        objectives={"metrics": ["synflow", "lut"]},
        estimators={"weight-sharing": {"steps": 20, "pool": 32}},
    )
    outcome = start(spec, all_plugins, tmp_path / "run", Observer())
    assert outcome.front.members == []
    (synflow, lut) = outcome.front.goal.objectives
    assert (synflow.direction, lut.direction) == ("max", "min")
    complete = [record for record in outcome.front.records if record.losses is not None]
    assert complete
    for record in complete:
        assert "accuracy" not in record.estimates
        assert {"synflow", "supernet_accuracy"} <= set(record.estimates)
    best = max(complete, key=lambda record: record.estimates["synflow"].value)
    assert best.losses is not None
    assert best.losses[0] == min(record.losses[0] for record in complete if record.losses)


def test_a_resumed_run_uses_the_same_supernet(
    all_plugins: Registry, toy_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = toy_spec(
        run={"trials": 40, "batch": 20, "estimators": ["toy-cost", "weight-sharing", "toy-training"]},
        estimators={"weight-sharing": {"steps": 20, "pool": 32}},
    )
    start(spec, all_plugins, tmp_path / "whole", Observer())
    estimate = WeightSharingEstimator.estimate
    calls: list[int] = []

    def dies_at_the_second(self: Any, candidates: Any, context: Any) -> Any:
        calls.append(len(candidates))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return estimate(self, candidates, context)

    monkeypatch.setattr(WeightSharingEstimator, "estimate", dies_at_the_second)
    assert start(spec, all_plugins, tmp_path / "cut", Observer()).interrupted
    from hwnas_hls_plugins.estimators.weight_sharing import supernet

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(supernet, "train", never)
    resume(tmp_path / "cut", all_plugins, Observer())

    def metrics(folder: Path) -> list[Any]:
        with Store(folder) as store:
            return [(record.key, record.state, record.metrics()) for record in store.records()]

    assert metrics(tmp_path / "cut") == metrics(tmp_path / "whole")
