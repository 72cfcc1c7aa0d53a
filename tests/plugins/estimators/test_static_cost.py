"""The estimator ``static``: counts by hand, energies of the paper it cites, zeros of trained weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refusal import raises_naming

from hwnas_hls.errors import ErrorKind, UserError
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.estimator import Context, Estimator
from hwnas_hls.protocols.target import read_target
from hwnas_hls.protocols.task import CLASSIFICATION, Dataset, Split
from hwnas_hls.resources import data_folder
from hwnas_hls.values.candidate import Candidate
from hwnas_hls.values.estimate import METRICS, Source
from hwnas_hls_plugins.estimators.static_cost import StaticConfig, StaticEstimator, count

SIX, EIGHT, TEN = FixedType(6, 2), FixedType(8, 3), FixedType(10, 4)
TARGET = read_target(Path(data_folder("hw_targets")) / "xcvu9p.toml")


def two_layers(sparsity: float = 0.0) -> Architecture:
    return Architecture(
        EIGHT,
        (
            Dense(16, 5, "relu", SIX, TEN, result=FixedType(7, 3, signed=False), sparsity=sparsity),
            Dense(5, 3, "linear", EIGHT, None),
        ),
    )


def context(architecture: Callable[[Candidate], Architecture], **more: object) -> Context:
    split = Split(np.zeros((4, 16)), np.array([0, 1, 2, 0]))
    data = Dataset(split, split, split, CLASSIFICATION, ("a", "b", "c"), ("f",) * 16, "made up")
    return Context(architecture, data, TARGET, 5.0, 0, **more)  # type: ignore[arg-type]


def values(found: object) -> dict[str, float]:
    return {name: estimate.value for name, estimate in found.values.items()}  # type: ignore[attr-defined]


def test_counts_by_hand() -> None:
    (found,) = StaticEstimator(StaticConfig()).estimate(
        [Candidate("s", {"n": 1})], context(lambda _: two_layers())
    )
    got = values(found)
    assert got["macs"] == 16 * 5 + 5 * 3
    assert got["parameters"] == 16 * 5 + 5 + 5 * 3
    assert got["bit_operations"] == 16 * 5 * 6 * 8 + 5 * 3 * 8 * 7
    assert got["model_size_bytes"] == (16 * 5 * 6 + 5 * 10 + 5 * 3 * 8) / 8
    # Accumulators: 6+8 bits, 4 more for 16 products, 1 for the bias; 8+7 bits and 3 for 5 products.
    adds = (16 * 5 - 5 + 5) * (14 + 4 + 1) + (5 * 3 - 3) * (15 + 3)
    assert got["energy_pj"] == pytest.approx(0.00308 * got["bit_operations"] + 0.00342 * adds)


def test_exact_counts_have_no_width_and_the_model_has() -> None:
    (found,) = StaticEstimator(StaticConfig()).estimate(
        [Candidate("s", {"n": 1})], context(lambda _: two_layers())
    )
    for name in ("parameters", "macs", "bit_operations", "model_size_bytes"):
        estimate = found.values[name]
        assert estimate.low == estimate.value == estimate.high
        assert estimate.source == Source.COUNTED
    energy = found.values["energy_pj"]
    assert energy.low < energy.value < energy.high
    assert energy.coverage is None
    for word in ("arithmetic only", "Horowitz", "uncalibrated"):
        assert word in energy.evidence
    assert set(found.values) == set(StaticEstimator.provides) <= set(METRICS)
    assert isinstance(StaticEstimator(StaticConfig()), Estimator)


@pytest.mark.parametrize(("bits", "multiply_pj", "add_pj"), [(8, 0.2, 0.03), (32, 3.1, 0.1)])
def test_energies_of_the_paper_are_met(bits: int, multiply_pj: float, add_pj: float) -> None:
    config = StaticConfig()
    assert config.multiply_pj_per_bit2 * bits**2 == pytest.approx(multiply_pj, rel=0.03)
    assert config.add_pj_per_bit * bits == pytest.approx(add_pj, rel=0.1)


def test_pruned_weights_are_not_counted() -> None:
    dense, pruned = count(two_layers()), count(two_layers(sparsity=0.75))
    assert dense.macs - pruned.macs == 60
    assert dense.parameters - pruned.parameters == 60
    assert dense.bit_operations - pruned.bit_operations == 60 * 6 * 8
    assert dense.size_bits - pruned.size_bits == 60 * 6


def test_known_zeros_are_not_counted() -> None:
    architecture = two_layers()
    rng = np.random.default_rng(3)
    weights = tuple(rng.integers(-3, 4, (layer.n_in, layer.n_out)) for layer in architecture.layers)
    bias = np.array([0, 1, 0, -2, 5])
    design = Design(architecture, weights, (bias, None))
    candidate, other = Candidate("s", {"n": 1}), Candidate("s", {"n": 2})
    known, unknown = StaticEstimator(StaticConfig()).estimate(
        [candidate, other], context(lambda _: architecture, designs={candidate.key: design})
    )
    first, second = (int((weight != 0).sum()) for weight in weights)
    got = values(known)
    assert 0 < first < 80
    assert got["macs"] == first + second
    assert got["parameters"] == first + second + 3
    assert got["bit_operations"] == first * 6 * 8 + second * 8 * 7
    assert got["energy_pj"] < values(unknown)["energy_pj"]
    assert "non-zero" in known.values["macs"].evidence
    assert values(unknown)["macs"] == 95
    assert StaticEstimator.uses_weights


def test_wider_and_larger_never_costs_less() -> None:
    def cost(n_hidden: int, bits: int) -> dict[str, float]:
        width = FixedType(bits, 2)
        layers = (
            Dense(16, n_hidden, "relu", width, width, result=width),
            Dense(n_hidden, 3, "linear", width, width),
        )
        (found,) = StaticEstimator(StaticConfig()).estimate(
            [Candidate("s", {"n": 1})], context(lambda _: Architecture(EIGHT, layers))
        )
        return values(found)

    for small, large in ((cost(8, 6), cost(9, 6)), (cost(8, 6), cost(8, 7))):
        assert all(small[name] <= large[name] for name in small)
        assert small["energy_pj"] < large["energy_pj"]


def test_a_candidate_without_architecture_fails_alone() -> None:
    def architecture(candidate: Candidate) -> Architecture:
        if candidate.values["n"] == 2:
            raise UserError("no such network")
        return two_layers()

    found = StaticEstimator(StaticConfig()).estimate(
        [Candidate("s", {"n": number}) for number in (1, 2, 3)], context(architecture)
    )
    assert [bool(item.failure) for item in found] == [False, True, False]
    assert found[1].failure_kind is ErrorKind.INVALID


def test_configured_energies() -> None:
    config = StaticConfig(multiply_pj_per_bit2=1.0, add_pj_per_bit=1e-9)
    (found,) = StaticEstimator(config).estimate([Candidate("s", {"n": 1})], context(lambda _: two_layers()))
    assert found.values["energy_pj"].value == pytest.approx(found.values["bit_operations"].value, rel=1e-6)
    with raises_naming("add_pj_per_bit", 0.0):
        StaticConfig(add_pj_per_bit=0.0)
