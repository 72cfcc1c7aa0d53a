"""Bits of single input features and neurons: training and refinement take them, exactly, alike everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from feature_types import RESULTS, SOURCES, featured
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, input_integers, output_fraction
from hwnas_hls.network.features import bits_read, ends
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls_plugins.estimators.feature_bits import digit_price
from hwnas_hls_plugins.estimators.hls_model.constants import csd_weight
from hwnas_hls_plugins.estimators.refinement import ladder, refine, simplify
from hwnas_hls_plugins.estimators.refinement.losses import ONE, CrossEntropy
from hwnas_hls_plugins.estimators.refinement.native import library
from hwnas_hls_plugins.estimators.training import TrainingConfig

torch = pytest.importorskip("torch")

from hwnas_hls_plugins.estimators.training.loop import Training, TrainingResult  # noqa: E402
from hwnas_hls_plugins.estimators.training.routing import planned  # noqa: E402
from hwnas_hls_plugins.estimators.training.rows import InputKind, Rows  # noqa: E402
from hwnas_hls_plugins.estimators.training.snapshots import adder_bits_of  # noqa: E402

compiled = pytest.mark.skipif(library() is None, reason="no C compiler here")
DA = "distributed_arithmetic"
N_IN = 6
SHARES = (1.0, 0.5, 0.2, 0.1)
QUICK = TrainingConfig(
    epochs=6, descent_step=0.85, descent_epochs=1, dense_rows=0, descent_price=0.0, rungs=(), max_rows=0
)


@pytest.fixture(scope="module")
def task() -> Dataset:
    """Three classes that two of six features tell, one of them by its sign alone; the others are noise."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        x = rng.normal(size=(count, N_IN))
        y = np.where(x[:, 0] > 0, 2, np.where(x[:, 1] > 0.4, 1, 0))
        return Split(x, y.astype(np.int64))

    names = tuple(f"x{number}" for number in range(N_IN))
    return Dataset(split(640), split(256), split(256), "classification", ("a", "b", "c"), names, "made up")


def network(widths: tuple[int, ...] = (8,), source: str = "fixed<6,3>", strategy: str = DA) -> Architecture:
    layers, n_in = [], N_IN
    for width in widths:
        result = FixedType.parse("ufixed<4,2,RND,SAT>")
        layers.append(
            Dense(n_in, width, "relu", FixedType(5, 1), FixedType(7, 3), None, result, strategy=strategy)
        )
        n_in = width
    layers.append(Dense(n_in, 3, "linear", FixedType(5, 1), FixedType(7, 3), strategy=strategy))
    return Architecture(FixedType.parse(source), tuple(layers), narrow_features=True)


def trained(
    task: Dataset, architectures: list[Architecture], config: TrainingConfig = QUICK
) -> list[TrainingResult]:
    plans = [planned(one, str(one.to_json()), 3) for one in architectures]
    training = Training(plans, task, config, 3, "cpu", kept=[SHARES] * len(plans))
    return training.run(lambda places, scores, share: [True] * len(places))


def digests(result: TrainingResult) -> list[str]:
    return [snapshot.design.digest() for snapshot in result.snapshots]


def test_descent_drops_uninformative_features(task: Dataset) -> None:
    (result,) = trained(task, [network()])
    dense, *_, last = [snapshot.design for snapshot in result.snapshots]
    kind = FixedType.parse("fixed<6,3>")
    assert bits_read(dense.features, kind, N_IN) == 6 * N_IN
    assert bits_read(last.features, kind, N_IN) <= 3 * N_IN
    for design in (dense, last):
        for number, own in enumerate(design.features):
            weight = design.weights[0]
            assert weight is not None
            # A feature without bits has no weights, and one without weights no bits.
            assert (own is None) == (not weight[number].any())


def test_scores_in_training_are_those_of_the_emulator(task: Dataset) -> None:
    for kernels in ("auto", "torch"):
        (result,) = trained(task, [network()], replace(QUICK, kernels=kernels))
        for snapshot in result.snapshots:
            rows = input_integers(snapshot.design, task.validation.x)
            emulated = np.mean(emulate(snapshot.design, rows).argmax(axis=1) == task.validation.y)
            assert snapshot.score == pytest.approx(float(emulated), abs=1e-12)


def test_results_do_not_depend_on_the_neighbours_and_repeat(task: Dataset) -> None:
    wanted = [network(), network((5, 4), "fixed<4,2>"), network((6,), strategy="Latency")]
    together = trained(task, wanted)
    for one, result in zip(wanted, together, strict=True):
        (alone,) = trained(task, [one])
        assert digests(alone) == digests(result)
    assert [digests(one) for one in trained(task, wanted)] == [digests(one) for one in together]
    small = trained(task, wanted, replace(QUICK, group_candidates=1))
    assert [digests(one) for one in small] == [digests(one) for one in together]


def test_features_keep_bits_under_latency_or_if_requested(task: Dataset) -> None:
    latency, plain = (
        trained(task, [network(strategy="Latency")])[0],
        trained(task, [replace(network(), narrow_features=False)])[0],
    )
    for result in (latency, plain):
        assert all(snapshot.design.features == () for snapshot in result.snapshots)


@pytest.mark.parametrize("source", SOURCES)
def test_both_readers_give_the_emulators_inputs(source: str, task: Dataset) -> None:
    design = replace(featured(source, (N_IN, 4, 3)), preprocessing=None)
    mean, scale = task.standardisation
    wanted = input_integers(design, (task.train.x - mean) / scale)
    order = torch.randperm(len(task.train), generator=torch.Generator().manual_seed(0))[:100]
    for compiles in (True, False):
        rows = Rows(task.train, task, torch.float32, torch.device("cpu"), compiled=compiles)
        (read,), _ = rows.read([InputKind(design.architecture.input, design.features)], order)
        assert np.array_equal(read[:-1].numpy().T, wanted[order.numpy()])


def refinable(source: str = "fixed<6,2>", seed: int = 0) -> tuple[Design, np.ndarray, np.ndarray, np.ndarray]:
    """A design, its rows, what they were made from, and labels that it gives for most of them."""
    design = featured(source, (7, 9, 4), seed)
    rng = np.random.default_rng(seed)
    assert design.preprocessing is not None
    raw = rng.normal(size=(300, 7))
    values = design.preprocessing(raw)
    rows = input_integers(design, raw)
    labels = emulate(design, rows).argmax(axis=1)
    wrong = rng.random(300) < 0.1
    return design, rows, values, np.where(wrong, rng.integers(0, 4, 300), labels)


@compiled
@pytest.mark.parametrize("source", SOURCES)
def test_both_refinements_take_the_same_bits(source: str) -> None:
    design, rows, values, labels = refinable(source)
    native, numpy = (
        ladder(design, rows, labels, (1e-4, 1e-3, 5e-3), values=values, passes=2, kernels=kernels)
        for kernels in ("native", "numpy")
    )
    for one, other in zip(native, numpy, strict=True):
        assert one.design.digest() == other.design.digest()
        assert (one.loss, one.lut, one.changes) == (other.loss, other.lut, other.changes)


def test_loss_after_refinement_uses_host_rounding() -> None:
    """A later refinement from the design begins where the first one ended, to the last bit."""
    design, rows, values, labels = refinable()
    stop = refine(design, rows, labels, 2e-3, values=values)
    kind = design.architecture.input
    assert bits_read(stop.design.features, kind, 7) < bits_read(design.features, kind, 7)
    assert design.preprocessing is not None
    raw = values * design.preprocessing.scale + design.preprocessing.mean
    fresh = input_integers(replace(stop.design, preprocessing=None), values)
    assert fresh.shape == raw.shape
    again = refine(stop.design, fresh, labels, 1e-9, values=values, passes=1)
    # Temperature and smoothing follow the design that a refinement begins with: compared by its outputs.
    assert again.lut_before == pytest.approx(stop.lut)
    low, high = ends(stop.design.features, kind, 7)
    assert (fresh >= low).all()
    assert (fresh <= high).all()


def narrowable(results: str = "ufixed<6,2,RND,SAT>", activation: str = "relu", seed: int = 0) -> tuple:
    """A design, its rows, and labels that it gives for most of them."""
    design = featured(shape=(7, 9, 8, 4), seed=seed, results=results, activation=activation)
    rng = np.random.default_rng(seed)
    rows = input_integers(design, rng.normal(size=(400, 7)))
    labels = emulate(design, rows).argmax(axis=1)
    return design, rows, np.where(rng.random(400) < 0.1, rng.integers(0, 4, 400), labels)


@compiled
@pytest.mark.parametrize(("results", "activation"), RESULTS)
def test_both_refinements_take_the_same_bits_of_neurons(results: str, activation: str) -> None:
    """Also from a design whose neurons have types of their own already."""
    design, rows, labels = narrowable(results, activation)
    native, numpy = (
        ladder(design, rows, labels, (1e-4, 1e-3, 5e-3), passes=2, kernels=kernels)
        for kernels in ("native", "numpy")
    )
    for one, other in zip(native, numpy, strict=True):
        assert one.design.digest() == other.design.digest()
        assert (one.loss, one.lut, one.changes) == (other.loss, other.lut, other.changes)
    assert native[-1].design.neurons
    again, other = (
        refine(native[0].design, rows, labels, 1e-3, passes=1, kernels=kernels)
        for kernels in ("native", "numpy")
    )
    assert again.design.digest() == other.design.digest()
    assert again.lut_before == pytest.approx(native[0].lut)


def test_loss_with_narrow_neurons_is_that_of_the_emulator() -> None:
    design, rows, labels = narrowable()
    stop = refine(design, rows, labels, 1e-3)
    assert stop.design.neurons
    # The temperature follows the design at the start of a refinement.
    loss = CrossEntropy.of(emulate(design, rows), labels)
    outputs = emulate(stop.design, rows)
    shift = output_fraction(design) - output_fraction(stop.design)
    assert shift >= 0
    found = loss((outputs << shift).T, np.arange(len(rows))).sum() / (len(rows) * ONE)
    assert stop.loss == pytest.approx(found, abs=1e-12)


def test_neurons_lose_bits_that_change_nothing() -> None:
    """Of sums on a grid of one half, six bits below the point are four too many for any price."""
    design, rows, labels = narrowable("ufixed<9,3,TRN,SAT>")
    halves = tuple(None if weight is None else weight * 16 for weight in design.weights)
    layers = tuple(replace(layer, weight=FixedType(9, 5), bias=None) for layer in design.architecture.chain)
    coarse = replace(
        design,
        architecture=replace(design.architecture, input=FixedType(6, 6), layers=layers),
        weights=halves,
        biases=(None,) * len(layers),
        features=(),
    )
    labels = emulate(coarse, rows).argmax(axis=1)
    stop = refine(coarse, rows, labels, 1e-12, passes=9)
    assert stop.design.neurons
    before, after = (emulate(one, rows) for one in (coarse, stop.design))
    shift = output_fraction(coarse) - output_fraction(stop.design)
    assert np.array_equal(before.argmax(axis=1), (after << max(shift, 0)).argmax(axis=1))
    assert stop.loss <= stop.loss_before


def test_only_adders_have_narrow_neurons() -> None:
    design, rows, labels = narrowable()
    layers = tuple(replace(layer, strategy="Latency") for layer in design.architecture.chain)
    latency = replace(design, architecture=replace(design.architecture, layers=layers), features=())
    assert refine(latency, rows, labels, 5e-3).design.neurons == ()


@pytest.mark.parametrize(("results", "activation"), RESULTS)
def test_simplified_designs_keep_neurons_of_their_own_types(results: str, activation: str) -> None:
    for seed in range(4):
        design = featured(seed=seed, results=results, activation=activation, neurons=True)
        kind = design.architecture.input
        rows = np.random.default_rng(seed).integers(kind.lowest, kind.highest + 1, (500, 7))
        smaller = simplify(design)
        found, wanted = (emulate(one, rows) * 2.0 ** -output_fraction(one) for one in (smaller, design))
        assert np.array_equal(found, wanted)


def test_adder_bits_know_the_types_of_neurons() -> None:
    design = featured(neurons=True)
    bare = replace(design, neurons=())
    kind = FixedType.parse("ufixed<4,2>")
    digits = csd_weight(design.chain_weights[1]).sum(axis=1)
    saved = sum(
        count * (5.0 - digit_price(own, kind, neuron=True))
        for count, own in zip(digits, design.neurons[0], strict=True)
    )
    first = replace(design, neurons=(design.neurons[0], ()))
    biases = design.biases[1]
    assert biases is not None
    assert adder_bits_of(bare) - adder_bits_of(first) == pytest.approx(saved)


def test_without_values_types_stay() -> None:
    design, rows, _, labels = refinable()
    stop = refine(design, rows, labels, 5e-3)
    for before, after in zip(design.features, stop.design.features, strict=True):
        assert after in (before, None)


def test_values_of_another_shape_are_refused() -> None:
    design, rows, values, labels = refinable()
    with refused(ErrorKind.MISMATCH, found=(300, 3)):
        refine(design, rows, labels, 1e-3, values=values[:, :3])


def test_simplified_designs_answer_alike_with_bits_that_are_not_read() -> None:
    for seed in range(4):
        design = featured(seed=seed, bias=seed != 1)
        kind = design.architecture.input
        rows = np.random.default_rng(seed).integers(kind.lowest, kind.highest + 1, (500, 7))
        smaller = simplify(design)
        assert smaller.features == design.features
        shift = smaller.layer_types()[-1][2].fraction - design.layer_types()[-1][2].fraction
        assert np.array_equal(emulate(smaller, rows), emulate(design, rows) << shift)
