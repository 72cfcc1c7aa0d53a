"""The training estimator: the same alone as in a crowd, reproducible, accurate, stoppable."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind, Unsupported, UserError
from hwnas_hls.network import emulator
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.estimator import Context, Keep, keep_all
from hwnas_hls.protocols.target import Target
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import Estimates
from hwnas_hls_plugins.estimators.training import TrainingConfig, TrainingEstimator, train

torch = pytest.importorskip("torch")

PART = Target("p", "xc-p", "ultrascale+", 9, 9, 9, 9, 9, 1, "DSP48E2", (27, 18), 5.0, ("made up",))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """scikit-learn's digits pooled to 16 inputs, 60/20/20."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = data.images.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)
    y = data.target.astype(np.int64)
    order = np.random.default_rng(3).permutation(len(y))
    parts = np.split(order, [int(0.6 * len(y)), int(0.8 * len(y))])
    splits = [Split(x[rows], y[rows]) for rows in parts]
    labels, features = tuple("0123456789"), tuple(f"p{number}" for number in range(16))
    return Dataset(*splits, "classification", labels, features, "digits pooled 2x2")


def network(
    widths: Sequence[int],
    bits: int = 6,
    *,
    n_in: int = 16,
    n_out: int = 10,
    last: str = "linear",
    modes: tuple[str, str] = ("RND", "SAT"),
    **more: object,
) -> Architecture:
    layers = []
    for width in widths:
        result = FixedType(bits, 2, False, *modes)
        weight, bias = FixedType(bits, 1), FixedType(bits + 4, 4)
        layers.append(Dense(n_in, width, "relu", weight, bias, result=result, **more))  # type: ignore[arg-type]
        n_in = width
    layers.append(Dense(n_in, n_out, last, FixedType(bits, 1), FixedType(bits + 4, 4)))
    return Architecture(FixedType(8, 3), tuple(layers))


def context(dataset: Dataset, architectures: Sequence[Architecture], keep: Keep = keep_all) -> Context:
    return Context(
        lambda candidate: architectures[int(candidate.values["number"])],  # type: ignore[call-overload]
        dataset,
        PART,
        5.0,
        7,
        "cpu",
        keep=keep,
    )


def estimate(
    dataset: Dataset,
    architectures: Sequence[Architecture],
    numbers: Sequence[int],
    keep: Keep = keep_all,
    **config: object,
) -> list[Estimates]:
    """Estimate the architectures of the given numbers; a candidate's key is its number's."""
    candidates = [Candidate("toy", {"number": number}) for number in numbers]
    settings = TrainingConfig(**{"epochs": 4, **config})  # type: ignore[arg-type]
    return TrainingEstimator(settings).estimate(candidates, context(dataset, architectures, keep))


def crowd() -> list[Architecture]:
    """Shapes, widths and kinds of layer that meet in a search."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(24):
        widths = [int(width) for width in rng.choice([4, 6, 8, 16, 24, 32], int(rng.integers(1, 5)))]
        found.append(
            network(
                widths,
                int(rng.integers(2, 9)),
                normalisation=str(rng.choice(["none", "batch"])),
                sparsity=float(rng.choice([0.0, 0.5])),
                dropout=float(rng.choice([0.0, 0.0, 0.2])),
                modes=(str(rng.choice(["RND", "TRN", "RND_CONV"])), str(rng.choice(["SAT", "SAT", "WRAP"]))),
            )
        )
    return found


@pytest.mark.parametrize("kernels", ["native", "torch"])
def test_batch_training_equals_training_alone(digits: Dataset, kernels: str) -> None:
    architectures = crowd()
    together = estimate(digits, architectures, range(24), kernels=kernels)
    for number in range(0, 24, 3):
        alone = estimate(digits, architectures, [number], kernels=kernels)[0].design
        beside = together[number].design
        assert alone is not None
        assert beside is not None
        moved = [np.mean(a != b) for a, b in zip(alone.weights, beside.weights, strict=True)]
        # Our kernels promise the same bits. Torch's matrix library may sum a product in another order in
        # another batch, and a last bit may then take a few weights across a rounding boundary.
        assert max(moved) <= (0.0 if kernels == "native" else 0.05), architectures[number]
        other = together[(number + 1) % 24].design
        assert other is not None
        assert alone.digest() != other.digest()


def test_the_same_seed_gives_the_same_numbers_in_any_group_size(digits: Dataset) -> None:
    architectures = crowd()[:8]
    first = estimate(digits, architectures, range(8))
    again = estimate(digits, architectures, range(7, -1, -1), group_candidates=3)[::-1]
    assert [item.design.digest() for item in first if item.design] == [
        item.design.digest() for item in again if item.design
    ]
    assert len({item.design.digest() for item in first if item.design}) == 8


def test_nothing_global_is_touched(digits: Dataset) -> None:
    torch.manual_seed(1)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # type: ignore[index,union-attr]
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    estimate(digits, crowd(), [0, 1, 2], epochs=1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # type: ignore[index]
    assert before[2] == random.getstate()
    assert (threads, dtype) == (torch.get_num_threads(), torch.get_default_dtype())
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_dominated_candidates_stop_and_the_others_do_not_notice(digits: Dataset) -> None:
    architectures = [network([8]), network([16, 16]), network([4], 2), network([24])]
    calls: list[tuple[list[int], list[float], float]] = []

    def keep(indices: Sequence[int], scores: Sequence[float], progress: float) -> list[bool]:
        calls.append((list(indices), list(scores), progress))
        return [index != len(calls) for index in indices]

    found = estimate(digits, architectures, range(4), keep, epochs=8)
    assert [call[0] for call in calls] == [[0, 1, 2, 3], [0, 2, 3]]
    assert [call[2] for call in calls] == [0.25, 0.5]
    assert [bool(item.stopped) for item in found] == [False, True, True, False]
    for number, call in ((1, calls[0]), (2, calls[1])):
        interim = found[number].values["accuracy"]
        assert interim.source == "trained"
        # The score that keep receives is that of the integers.
        assert interim.value == pytest.approx(call[1][call[0].index(number)], abs=1e-12)
    whole = estimate(digits, architectures, [0, 3], epochs=8)
    for number, item in ((0, whole[0]), (3, whole[1])):
        assert item.design is not None
        assert found[number].design is not None
        assert item.design.digest() == found[number].design.digest()  # type: ignore[union-attr]


def test_keep_sees_the_places_of_the_batch_and_refused_ones_fail(digits: Dataset) -> None:
    seen: list[list[int]] = []

    def keep(indices: Sequence[int], scores: Sequence[float], progress: float) -> list[bool]:
        seen.append(list(indices))
        return [True] * len(indices)

    curved = network([8])
    curved = replace(curved, layers=(replace(curved.layers[0], activation="tanh"), curved.layers[1]))
    found = estimate(digits, [curved, network([8])], [0, 1], keep, epochs=8)
    assert "tanh" in found[0].failure
    assert found[0].design is None
    assert not found[1].failure
    assert seen == [[1], [1]]
    with refused(ErrorKind.UNSUPPORTED, Unsupported, mentions=["tanh"]):
        train([curved], digits)


def test_the_test_split_is_never_read(digits: Dataset) -> None:
    poisoned = replace(digits, test=Split(np.full((5, 16), np.nan), np.full(5, 99)))
    first = estimate(digits, [network([8])], [0])[0]
    second = estimate(poisoned, [network([8])], [0])[0]
    assert first.values == second.values


def test_the_value_is_the_emulators_with_its_interval(digits: Dataset) -> None:
    found = estimate(digits, [network([16])], [0])[0]
    design, number = found.design, found.values["accuracy"]
    assert design is not None
    answers = emulator.outputs(design, digits.validation.x)
    assert number.value == np.mean(answers.argmax(axis=1) == digits.validation.y)
    assert number.source == "emulated"
    assert number.coverage == 0.9
    assert number.low < number.value < number.high
    assert design.preprocessing is not None
    assert design.preprocessing.names == digits.features
    assert design.labels == digits.labels


def test_sparsity_is_reached_exactly_or_more(digits: Dataset) -> None:
    for normalisation in ("none", "batch"):
        found = train([network([32, 16], sparsity=0.75, normalisation=normalisation)], digits, epochs=6)[0]
        for layer, weight in zip(found.architecture.layers, found.design.weights, strict=True):
            assert np.mean(weight == 0) >= layer.sparsity
        assert found.validation.value > 0.7


@pytest.mark.parametrize(
    ("widths", "bits", "more", "least"),
    [
        ([64, 32, 32], 8, {}, 0.91),
        ([64, 32, 32], 6, {"normalisation": "batch"}, 0.92),
        ([64, 32, 32], 3, {}, 0.88),
        ([16], 4, {}, 0.86),
        ([8], 6, {}, 0.84),
        ([32, 32], 6, {"modes": ("TRN", "WRAP")}, 0.86),
    ],
)
def test_full_training_is_accurate(
    digits: Dataset, widths: list[int], bits: int, more: dict[str, object], least: float
) -> None:
    found = train([network(widths, bits, **more)], digits, epochs=40)[0]  # type: ignore[arg-type]
    answers = emulator.outputs(found.design, digits.test.x)
    assert np.mean(answers.argmax(axis=1) == digits.test.y) >= least


def test_softmax_at_the_end_changes_no_class(digits: Dataset) -> None:
    plain = estimate(digits, [network([8])], [0])[0]
    soft = estimate(digits, [network([8], last="softmax")], [0])[0]
    assert soft.values == plain.values
    assert any("softmax" in warning for warning in soft.warnings)
    assert soft.design is not None
    assert soft.design.architecture.layers[-1].activation == "linear"


def regression() -> Dataset:
    rng = np.random.default_rng(2)
    splits = []
    for rows in (900, 300, 300):
        x = rng.uniform(-2, 2, (rows, 4)) * [1, 10, 0.1, 1000]
        unit = x / [1, 10, 0.1, 1000]
        y = np.stack([unit[:, 0] * unit[:, 1], unit[:, 2] - abs(unit[:, 3])], 1) * [50.0, 1e-3] + [1e4, 0]
        splits.append(Split(x, y))
    return Dataset(*splits, "regression", (), tuple("abcd"), "made up", "r2")


@pytest.mark.parametrize("result", [None, FixedType(9, 1, True, "RND", "SAT")])
def test_regression_recovers_targets_of_any_size(result: FixedType | None) -> None:
    dataset = regression()
    architecture = network([32, 16], 8, n_in=4, n_out=2)
    *hidden, output = architecture.layers
    architecture = replace(architecture, layers=(*hidden, replace(output, result=result)))
    found = train([architecture], dataset, epochs=40)[0]
    assert found.validation.metric == "r2"
    assert found.validation.value > 0.93
    assert found.validation.low < found.validation.value < found.validation.high
    meta = found.design.meta
    answers = (
        emulator.outputs(found.design, dataset.validation.x) * meta["target_scale"] + meta["target_mean"]
    )
    rest = ((answers - dataset.validation.y) ** 2).mean(0) / dataset.validation.y.var(0)
    assert found.validation.value == pytest.approx(1 - rest.mean())


@pytest.mark.parametrize("unit", [2.0**660, 2.0**-660])
def test_targets_far_from_one_are_scored_as_any_others(unit: float) -> None:
    """Their squares leave the range of float64."""
    usual, found = regression(), []
    splits = {
        name: Split(split.x, split.y * unit)
        for name in ("train", "validation", "test")
        for split in [getattr(usual, name)]
    }
    for dataset in (usual, replace(usual, **splits)):
        interim: list[float] = []

        def keep(indices: Sequence[int], scores: Sequence[float], progress: float) -> list[bool]:
            interim.extend(scores)  # noqa: B023
            return [True]

        config = TrainingConfig(max_rows=0, rungs=(0.5,))
        with np.errstate(over="raise", invalid="raise"):
            trained = train([network([8], 8, n_in=4, n_out=2)], dataset, epochs=4, keep=keep, config=config)
        found.append((interim, trained[0].validation.value, trained[0].validation.low))
    assert len(found[0][0]) == 1
    assert found[0] == found[1]


def test_seeds_and_rows_of_the_full_training(digits: Dataset) -> None:
    small = network([8], 4)
    found = train([small, network([6], 4)], digits, seeds=(1, 2), epochs=3)
    assert [(item.architecture.shape, item.seed) for item in found] == [
        ("16-8-10", 1),
        ("16-8-10", 2),
        ("16-6-10", 1),
        ("16-6-10", 2),
    ]
    assert len({item.design.digest() for item in found}) == 4
    more = train([small], digits, epochs=3, train_on="train+validation")[0]
    assert more.validation.source == "trained"
    with pytest.raises(UserError):
        train([small], digits, train_on="test")


def test_tiny_data_and_wide_batches_work() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3))
    split = Split(x, np.array([0, 1, 0, 1, 1]))
    dataset = Dataset(split, split, split, "classification", ("no", "yes"), tuple("abc"), "five rows")
    found = train([network([4], n_in=3, n_out=2)], dataset, epochs=60, batch_size=512)[0]
    assert found.validation.value == 1.0


def test_narrowest_types_and_empty_batches_work(digits: Dataset) -> None:
    narrow = FixedType(1, 1)
    layers = (
        Dense(16, 5, "linear", narrow, narrow, result=narrow, normalisation="batch"),
        Dense(5, 4, "relu", FixedType(2, 9), None, result=FixedType(1, -3, False)),
        Dense(4, 10, "linear", FixedType(40, 3), FixedType(50, 9), accum=FixedType(4, 2)),
    )
    found = estimate(digits, [Architecture(FixedType(1, 1, False), layers)], [0])[0]
    assert 0 <= found.values["accuracy"].value <= 1
    assert estimate(digits, [], []) == []


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"batch_size": -1}, {"learning_rate": 0.0}, {"rungs": (1.0,)}, {"max_rows": -1}]
)
def test_settings_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(UserError):
        TrainingConfig(**bad)  # type: ignore[arg-type]


def test_importing_the_estimator_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, hwnas_hls_plugins.estimators.training; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
