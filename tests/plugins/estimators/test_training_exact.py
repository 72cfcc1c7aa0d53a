"""What training computes is, bit for bit, what the integer emulator computes."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.emulator import emulate, input_integers, output_fraction
from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS, FixedType
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls_plugins.estimators.training import TrainingConfig
from hwnas_hls_plugins.estimators.training.plan import plan

torch = pytest.importorskip("torch")


def toy(n_in: int = 6, n_out: int = 3, rows: int = 160, kind: str = "classification") -> Dataset:
    rng = np.random.default_rng(5)
    splits = []
    for _ in range(3):
        x = rng.normal(3.0, 2.0, (rows, n_in))
        y = (x[:, :n_out] * x[:, 1 : n_out + 1]).argmax(axis=1)
        splits.append(Split(x, y if kind == "classification" else x[:, :n_out] * 2 + x[:, 1:2] ** 2 / 9))
    labels = tuple("abc"[:n_out]) if kind == "classification" else ()
    features = tuple(f"f{number}" for number in range(n_in))
    metric = "accuracy" if kind == "classification" else "r2"
    return Dataset(*splits, kind, labels, features, "toy", metric)


def random_type(rng: np.random.Generator, plain: bool, bits: tuple[int, int]) -> FixedType:
    width = int(rng.integers(*bits))
    rounding = rng.choice(["TRN", "RND"] if plain else ROUNDINGS)
    overflow = "SAT" if plain else rng.choice(OVERFLOWS)
    signed = bool(rng.integers(2)) or width == 1
    return FixedType(width, int(rng.integers(-1, width + 2)), signed, str(rounding), str(overflow))


def random_architecture(rng: np.random.Generator, *, plain: bool, dataset: Dataset) -> Architecture:
    """Widths of 2 to 16 bits, every mode unless ``plain``, with and without biases, pruning, folding."""
    widths = [*rng.integers(1, 12, int(rng.integers(0, 4))), dataset.n_out]
    layers, n_in = [], dataset.n_in
    for number, n_out in enumerate(map(int, widths)):
        last = number == len(widths) - 1
        weight = FixedType(int(rng.integers(2, 17)), int(rng.integers(0, 4)))
        bias = FixedType(int(rng.integers(2, 17)), int(rng.integers(0, 5))) if rng.random() < 0.7 else None
        accum = None
        if not plain and rng.random() < 0.4:
            accum = FixedType(int(rng.integers(6, 25)), int(rng.integers(2, 9)), True, *modes(rng))
        result = random_type(rng, plain, (2, 17))
        # A long chain of exact accumulators would leave the 53 bits of a float.
        if last and (accum is not None or rng.random() < 0.6):
            result = None
        layers.append(
            Dense(
                n_in,
                n_out,
                str(rng.choice(["relu", "linear"])),
                weight,
                bias,
                accum,
                result,
                normalisation="batch" if bias is not None and rng.random() < 0.4 else "none",
                sparsity=float(rng.choice([0.0, 0.5])),
            )
        )
        n_in = n_out
    source = FixedType(int(rng.integers(2, 17)), int(rng.integers(1, 5)), bool(rng.integers(2)))
    return Architecture(source, tuple(layers))


def modes(rng: np.random.Generator) -> tuple[str, str]:
    return str(rng.choice(ROUNDINGS)), str(rng.choice(OVERFLOWS))


def compare(architectures: list[Architecture], dataset: Dataset, dtype: object) -> int:
    """Train a little, then compare every output of every network; returns how many were not constant."""
    from hwnas_hls_plugins.estimators.training.loop import Training
    from hwnas_hls_plugins.estimators.training.threads import threads

    plans = [plan(item, str(number), 1) for number, item in enumerate(architectures)]
    config = TrainingConfig(epochs=2, batch_size=32)
    training = Training(plans, dataset, config, 1, "cpu", dtype=dtype)
    lively = 0
    with threads(1), torch.inference_mode():
        for member in training.members:
            member.start(training.dtype)
        for members in training.groups(training.members):
            network = training.network(members)
            training._train(network, 0, 2)
            chunks = [chunk.numpy().copy() for _, chunk in training.answers(network, training.validation)]
            answers = np.concatenate(chunks, axis=2)
            for j, member in enumerate(network.members):
                design = training._design(network, j, 1.0)
                integers = emulate(design, input_integers(design, dataset.validation.x))
                shift = member.levels[0].out_fraction - output_fraction(design)
                assert shift == 0
                np.testing.assert_array_equal(answers[j].T, integers, err_msg=str(design.architecture))
                lively += len(np.unique(integers)) > 3
    return lively


def test_clamp_and_floor_are_exact_for_common_types() -> None:
    rng = np.random.default_rng(0)
    dataset = toy()
    architectures = [random_architecture(rng, plain=True, dataset=dataset) for _ in range(60)]
    assert compare(architectures, dataset, torch.float64) > 20


def test_every_rounding_overflow_and_accumulator_is_exact() -> None:
    rng = np.random.default_rng(1)
    dataset = toy()
    architectures = [random_architecture(rng, plain=False, dataset=dataset) for _ in range(60)]
    assert compare(architectures, dataset, torch.float64) > 20


def test_single_precision_is_exact_up_to_24_bits() -> None:
    dataset = toy()
    layers = []
    for bits, (n_in, n_out) in ((8, (6, 12)), (6, (12, 12)), (2, (12, 9)), (8, (9, 3))):
        last = n_out == 3
        result = None if last else FixedType(bits, 2, False, "RND", "SAT")
        norm = "none" if last else "batch"
        layers.append(
            Dense(
                n_in,
                n_out,
                "linear" if last else "relu",
                FixedType(bits, 1),
                FixedType(10, 3),
                result=result,
                normalisation=norm,
                sparsity=0.3,
            )
        )
    assert compare([Architecture(FixedType(8, 3), tuple(layers))] * 3, dataset, torch.float32) == 3
