"""The hardware model's ways in and their speed tricks change no bit: columns, blocks, points alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas_hls.hls4ml.query import DEFAULT_TOOL, Query
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.protocols.layer_columns import Columnar
from hwnas_hls.values.candidate import Candidate
from hwnas_hls_plugins.estimators.hls_model import HlsModelEstimator, laws, query_of, read_calibration
from hwnas_hls_plugins.estimators.hls_model.batch import Batch, predict_batch, predict_table
from hwnas_hls_plugins.estimators.hls_model.columns import table_of_columns
from hwnas_hls_plugins.estimators.hls_model.conditions import Conditions
from hwnas_hls_plugins.estimators.hls_model.prior import _CURVES, _LOG_DRAWS, _grid, _interpolated
from hwnas_hls_plugins.estimators.hls_model.regimes import OWN_NETWORK
from hwnas_hls_plugins.estimators.hls_model.table import tabulate
from hwnas_hls_plugins.spaces.mlp import MlpSpace
from hwnas_hls_plugins.spaces.mlp_config import MlpConfig

PART = "xcvu9p-flga2104-2L-e"
SOME = st.sampled_from

CONFIGS = st.builds(
    MlpConfig,
    min_depth=st.integers(0, 2),
    max_depth=st.integers(2, 5),
    widths=SOME([(4, 6, 8, 12), (5,), (7, 64, 128), (1, 2, 3)]),
    activation_per_layer=st.booleans(),
    activations=SOME([("relu",), ("relu", "leaky_relu", "linear", "hard_tanh"), ("hard_tanh",)]),
    use_bias=SOME([(True, False), (True,), (False,)]),
    normalisations=SOME([("none", "batch"), ("none",), ("batch",)]),
    input_bits=SOME([(4, 8, 12), (16,)]),
    input_integer_bits=SOME([(2, 3), (-3, 0, 9)]),
    weight_bits=SOME([(2, 5, 8), (3,)]),
    weight_integer_bits=SOME([(0, 1), (-2, 1, 12)]),
    activation_bits=SOME([(2, 4, 8), (6,)]),
    activation_integer_bits=SOME([(0, 1, 3), (2,)]),
    result_rounding=SOME(["RND", "TRN"]),
    result_overflow=SOME(["SAT", "WRAP"]),
    strategies=SOME(
        [
            ("Latency", "Resource"),
            ("Resource",),
            ("Latency", "Resource", "distributed_arithmetic"),
        ]
    ),
    sparsities=SOME([(0.0, 0.25, 0.75), (0.0,), (0.3,)]),
    clock_periods_ns=SOME([(), (2.5, 5.0), (3.3,)]),
)


def space_of(config: MlpConfig, n_in: int = 16, n_out: int = 5) -> MlpSpace:
    return MlpSpace(config, SimpleNamespace(n_in=n_in, n_out=n_out))  # type: ignore[arg-type]


def sampled(space: MlpSpace, count: int, seed: int) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def queries_of(space: MlpSpace, candidates: Sequence[Candidate], part: str = PART) -> list[Query]:
    return [query_of(space.architecture(candidate), part, 5.0) for candidate in candidates]


def same(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


def assert_alike(a: Batch, b: Batch) -> None:
    for name in ("value", "low", "high", "coverage", "layer"):
        first, second = getattr(a, name), getattr(b, name)
        assert list(first) == list(second)
        for metric in first:
            assert same(first[metric], second[metric]), (name, metric)
    for number in range(a.table.count):
        assert a.reasons[number] == b.reasons[number]
        assert a.warnings[number] == b.warnings[number]
    assert same(a.knowledge, b.knowledge)


# From candidates


@settings(deadline=None, max_examples=60)
@given(config=CONFIGS, seed=st.integers(0, 10**6), ends=st.tuples(st.integers(1, 70), st.integers(1, 12)))
def test_columns_of_a_space_are_those_of_its_architectures(
    config: MlpConfig, seed: int, ends: tuple[int, int]
) -> None:
    space = space_of(config, *ends)
    assert isinstance(space, Columnar)
    candidates = sampled(space, 25, seed)
    slow = tabulate(queries_of(space, candidates))
    columns = space.layer_columns(candidates)
    assert columns is not None
    fast = table_of_columns(columns, Conditions(PART, 5.0, DEFAULT_TOOL, "csynth"))
    assert list(slow.layer) == list(fast.layer)
    for name in slow.layer:
        assert same(slow.layer[name], fast.layer[name]), name
    for name in slow.design:
        assert same(slow.design[name], fast.design[name]), name
    assert same(slow.owner, fast.owner)
    assert same(slow.live_bits, fast.live_bits)
    assert_alike(predict_table(slow), predict_table(fast))


def test_a_space_with_branches_gives_no_columns() -> None:
    space = space_of(MlpConfig(layer_kinds=("dense", "residual"), strategies=("Latency", "Resource")))
    assert space.layer_columns(sampled(space, 3, 0)) is None


def context_of(space: MlpSpace, *, columns: bool) -> Context:
    target = SimpleNamespace(part=PART)
    return Context(
        space.architecture,
        None,  # type: ignore[arg-type]
        target,  # type: ignore[arg-type]
        5.0,
        0,
        space=space if columns else None,  # type: ignore[arg-type]
    )


def watched(space: MlpSpace, monkeypatch: pytest.MonkeyPatch) -> list[Candidate]:
    """The candidates whose architectures are asked for from now on."""
    asked: list[Candidate] = []
    real = space.architecture

    def architecture(candidate: Candidate) -> Architecture:
        asked.append(candidate)
        return real(candidate)

    monkeypatch.setattr(space, "architecture", architecture)
    return asked


def test_the_estimator_says_the_same_with_and_without_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_of(MlpConfig(clock_periods_ns=(2.5, 5.0), strategies=("Latency", "Resource")))
    candidates = sampled(space, 40, 1)
    estimator = HlsModelEstimator()
    slow = estimator.estimate(candidates, context_of(space, columns=False))
    asked = watched(space, monkeypatch)
    fast = estimator.estimate(candidates, context_of(space, columns=True))
    assert fast == slow
    assert not asked  # no object was made
    assert estimator.estimate([], context_of(space, columns=True)) == []


def test_a_network_is_made_once_for_its_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_of(MlpConfig(layer_kinds=("dense", "residual"), strategies=("Latency", "Resource")))
    candidates = sampled(space, 6, 2)
    asked = watched(space, monkeypatch)
    found = HlsModelEstimator().estimate(candidates, context_of(space, columns=True))
    assert asked == candidates
    assert all(not estimates.failure for estimates in found)


def test_what_is_no_candidate_of_the_space_does_not_spoil_the_others() -> None:
    space = space_of(MlpConfig(strategies=("Latency", "Resource")))
    good = sampled(space, 3, 3)
    values = dict(good[0].values)
    strange = Candidate(
        "mlp", values | {"strategy_out": "Latency", "weight_bits_out": 400, "sparsity_out": 0}
    )
    slow = HlsModelEstimator().estimate([*good, strange], context_of(space, columns=False))
    fast = HlsModelEstimator().estimate([*good, strange], context_of(space, columns=True))
    assert fast == slow
    assert fast[-1].failure
    assert not any(estimates.failure for estimates in fast[:-1])


@pytest.mark.parametrize(
    "change",
    [{"depth": -1}, {"weight_bits_out": 7.5}, {"input_bits": 10**19}, {"clock_ns": "x"}],
    ids=lambda change: next(iter(change)),
)
def test_values_that_columns_cannot_hold_are_left_to_the_objects(change: dict[str, Any]) -> None:
    space = space_of(MlpConfig(strategies=("Latency", "Resource"), clock_periods_ns=(2.5, 5.0)))
    [good] = sampled(space, 1, 3)
    context = context_of(space, columns=True)
    assert HlsModelEstimator()._table([good], context) is not None
    strange = Candidate("mlp", {**good.values, **change})
    assert HlsModelEstimator()._table([good, strange], context) is None


@pytest.mark.parametrize("most", [9 * 10**17, 10**19])
def test_reuse_factors_beyond_every_layer_are_the_largest_that_there_is(most: int) -> None:
    config = MlpConfig(strategies=("Resource",), reuse_factors=(2, 5, most), widths=(24, 64))
    space = space_of(config)
    candidates = sampled(space, 12, 8)
    slow = HlsModelEstimator().estimate(candidates, context_of(space, columns=False))
    assert HlsModelEstimator().estimate(candidates, context_of(space, columns=True)) == slow
    assert not any(estimates.failure for estimates in slow)


def test_columns_are_not_inherited_by_a_space_with_its_own_architectures() -> None:
    class Pruned(MlpSpace):
        def architecture(self, candidate: Candidate) -> Architecture:
            made = super().architecture(candidate)
            layers = [dataclasses.replace(layer, sparsity=0.9) for layer in made.layers]
            return dataclasses.replace(made, layers=tuple(layers))

    space = Pruned(MlpConfig(strategies=("Latency",)), SimpleNamespace(n_in=16, n_out=5))  # type: ignore[arg-type]
    candidates = sampled(space, 3, 0)
    slow = HlsModelEstimator().estimate(candidates, context_of(space, columns=False))
    assert HlsModelEstimator().estimate(candidates, context_of(space, columns=True)) == slow


def test_factors_of_single_networks_need_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_of(MlpConfig(strategies=("Latency", "Resource")))
    candidates = sampled(space, 4, 4)
    estimator = HlsModelEstimator()
    calibration = estimator.calibration
    own = {**calibration.factors, f"{OWN_NETWORK}somewhere|1-1|x|0": {"lut": 0.1}}
    estimator.calibration = dataclasses.replace(calibration, factors=own)
    asked = watched(space, monkeypatch)
    estimator.estimate(candidates, context_of(space, columns=True))
    assert asked == candidates


# Blocks, parts, points


def test_a_batch_in_blocks_is_the_batch_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    config = MlpConfig(
        strategies=("Latency", "Resource", "distributed_arithmetic"), widths=(4, 16, 64, 128), max_depth=5
    )
    space = space_of(config)
    queries = queries_of(space, sampled(space, 60, 5))
    queries[7] = dataclasses.replace(queries[7], layers=())
    queries[9] = dataclasses.replace(queries[9], stage="post_route", part="xc7z020clg400-1", clock_ns=3.0)
    queries[59] = dataclasses.replace(queries[59], layers=())
    whole = predict_batch(queries)
    monkeypatch.setattr(laws, "_BLOCK_DESIGNS", 7)
    assert_alike(predict_batch(queries), whole)
    for number in (0, 7, 9, 33):
        alone = predict_batch([queries[number]])
        for metric in whole.value:
            assert same(alone.value[metric], whole.value[metric][[number]]), metric
            assert same(alone.high[metric], whole.high[metric][[number]]), metric


def test_points_without_intervals_are_the_same_points() -> None:
    space = space_of(MlpConfig(strategies=("Latency", "Resource")))
    table = tabulate(queries_of(space, sampled(space, 30, 6)))
    points, full = predict_table(table, intervals=False), predict_table(table)
    assert not points.low
    assert not points.coverage
    for metric in full.value:
        assert same(points.value[metric], full.value[metric])


def test_the_prior_reads_its_curves_as_numpy_does() -> None:
    grids = [_grid(bits, step, heavy) for bits, step, heavy in ((4, 3, True), (8, 12, False), (2, -4, True))]
    rng = np.random.default_rng(0)
    draws = np.concatenate([rng.uniform(_LOG_DRAWS[0], _LOG_DRAWS[-1], 300), _LOG_DRAWS])
    grid = rng.integers(0, 3, draws.size)
    found = _interpolated(grids, grid, draws)
    for name in _CURVES:
        expected = [
            float(np.interp(draw, _LOG_DRAWS, getattr(grids[g], name)))
            for draw, g in zip(draws, grid, strict=True)
        ]
        assert same(found[name], np.array(expected)), name


def test_full_parts_are_told_for_the_designs_that_fill_them() -> None:
    config = MlpConfig(widths=(63,), min_depth=4, weight_bits=(8,), input_bits=(12,), strategies=("Latency",))
    space = space_of(config)
    queries = queries_of(space, sampled(space, 4, 7), part="xc7z020clg400-1")
    queries[2] = dataclasses.replace(queries[2], part="xcvu13p-flga2577-2-e")
    batch = predict_batch(queries, read_calibration())
    full = [any("needed" in reason for reason in batch.reasons[number]) for number in range(4)]
    assert full == [True, True, False, True]
