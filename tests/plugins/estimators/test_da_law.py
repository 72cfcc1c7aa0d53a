"""The closed form of da4ml's cost, against its solver."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools

import numpy as np
import pytest

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design
from hwnas_hls.network.precision import FixedType
from hwnas_hls.testing.estimator import EstimatorContract
from hwnas_hls.testing.samples import MixedSpace, sample_context
from hwnas_hls.values.candidate import Candidate
from hwnas_hls_plugins.estimators.da_law import DaLawEstimator, cost_of, lut_of, sums_of
from hwnas_hls_plugins.synthesizers.open_synthesis.da_costs import cost

needs_da4ml = pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed")


class TestContract(EstimatorContract):
    """What every estimator owes."""

    def estimator(self) -> DaLawEstimator:
        return DaLawEstimator()


def drawn(seed: int, widths: tuple[int, ...] = (16, 12, 8, 10), density: float = 0.3) -> Design:
    """A sparse network of distributed arithmetic with random weights."""
    rng = np.random.default_rng(seed)
    result = FixedType(4, 1, False, "RND", "SAT")
    layers, weights, biases = [], [], []
    for number, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        last = number == len(widths) - 2
        weight, bias = FixedType(5, 1), FixedType(6, 2)
        kind = None if last else result
        layers.append(
            Dense(
                n_in,
                n_out,
                "linear" if last else "relu",
                weight,
                bias,
                result=kind,
                strategy="distributed_arithmetic",
            )
        )
        values = rng.integers(weight.lowest, weight.highest + 1, (n_in, n_out))
        weights.append(values * (rng.random((n_in, n_out)) < density))
        biases.append(rng.integers(bias.lowest, bias.highest + 1, n_out))
    return Design(Architecture(FixedType(5, 2), tuple(layers), 5.0), tuple(weights), tuple(biases))


@needs_da4ml
def test_the_law_knows_the_types_of_single_features() -> None:
    """Features of two bits cost much less than the seven bits of the input type."""
    wide = drawn(3, (16, 12, 10), density=0.2)
    kind = FixedType(7, 3)
    wide = dataclasses.replace(wide, architecture=dataclasses.replace(wide.architecture, input=kind))
    own = tuple(None if number % 5 == 0 else FixedType(2, 1) for number in range(16))
    narrow = dataclasses.replace(wide, features=own)
    ratios = [lut_of(sums_of(design)) / cost(design, 5.0, 3).cost_lut for design in (wide, narrow)]
    # Small networks scatter; without the types of the features, the second ratio would be above 2.
    assert all(0.75 < ratio < 1.4 for ratio in ratios), ratios
    plain = lut_of(sums_of(wide)) / cost(narrow, 5.0, 3).cost_lut
    assert plain > 2
    assert lut_of(sums_of(narrow)) < 0.7 * lut_of(sums_of(wide))


@needs_da4ml
def test_the_law_knows_the_types_of_single_neurons() -> None:
    """Results of one or two bits of four: without their types, the law would be far too large."""
    ratios, plain = [], []
    for seed in range(4):
        wide = drawn(seed, (16, 24, 24, 10), density=0.3)
        own = tuple(tuple(FixedType(1 + k % 2, 1 - k % 3, False) for k in range(24)) for _ in range(2))
        narrow = dataclasses.replace(wide, neurons=own)
        solved = cost(narrow, 5.0, 3).cost_lut
        ratios.append(lut_of(sums_of(narrow)) / solved)
        plain.append(lut_of(sums_of(wide)) / solved)
    assert all(0.75 < ratio < 1.3 for ratio in ratios), ratios
    assert min(plain) > 1.3, plain


@needs_da4ml
@pytest.mark.parametrize("density", [0.4, 0.8])
def test_the_law_is_near_the_solvers_cost(density: float) -> None:
    designs = [drawn(seed, density=density) for seed in range(6)]
    solved = [cost(design, 5.0, None) for design in designs]
    laws = [cost_of(design, 5.0, None) for design in designs]
    ratio = np.log([law.cost_lut / one.cost_lut for law, one in zip(laws, solved, strict=True)])
    assert np.abs(ratio).max() < 0.25
    assert abs(ratio.mean()) < 0.15
    assert all(abs(law.stages - one.stages) <= 1 for law, one in zip(laws, solved, strict=True))


def test_unread_outputs_cost_nothing() -> None:
    design = drawn(1)
    dead = [weight.copy() for weight in design.chain_weights]
    dead[1][3, :] = 0
    silenced = dataclasses.replace(design, weights=tuple(dead))
    dead[0][:, 3] = 0
    removed = dataclasses.replace(design, weights=tuple(dead))
    assert lut_of(sums_of(silenced)) < lut_of(sums_of(design))
    assert lut_of(sums_of(silenced)) == pytest.approx(lut_of(sums_of(removed)), rel=0.02)


@needs_da4ml
def test_da_law_supports_only_trained_distributed_arithmetic() -> None:
    design = drawn(2)
    layers = tuple(dataclasses.replace(layer, strategy="Latency") for layer in design.architecture.chain)
    latency = dataclasses.replace(design, architecture=Architecture(FixedType(5, 2), layers, 5.0))
    candidates = [Candidate("mixed", {"depth": 1 + number}) for number in range(3)]
    held = {candidates[0].key: design, candidates[1].key: latency}
    context = dataclasses.replace(sample_context(MixedSpace()), designs=held)
    said, silent, untrained = DaLawEstimator().estimate(candidates, context)
    assert not silent.values
    assert not untrained.values
    lut = said.values["lut"]
    assert lut.low < lut.value < lut.high
    assert "closed form" in lut.evidence
    assert lut.source == "predicted"
