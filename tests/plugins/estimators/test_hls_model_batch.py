"""Batches of the hardware model: blocks, single designs and points without intervals change no bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hwnas_hls.hls4ml.notes import NoteKind
from hwnas_hls.hls4ml.query import Query
from hwnas_hls.network.architecture import Architecture
from hwnas_hls.protocols.estimator import Context
from hwnas_hls.protocols.target import shipped_targets
from hwnas_hls.values.candidate import Candidate
from hwnas_hls_plugins.estimators.hls_model import HlsModelEstimator, laws, query_of, read_calibration
from hwnas_hls_plugins.estimators.hls_model.batch import Batch, predict_batch, predict_table
from hwnas_hls_plugins.estimators.hls_model.prior import weight_prior
from hwnas_hls_plugins.estimators.hls_model.table import tabulate
from hwnas_hls_plugins.estimators.hls_model.weight_distribution import (
    _CURVES,
    _LOG_DRAWS,
    distribution,
    interpolated,
)
from hwnas_hls_plugins.spaces.mlp import MlpSpace
from hwnas_hls_plugins.spaces.mlp_config import MlpConfig

PART = "xcvu9p-flga2104-2L-e"


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


def context_of(space: MlpSpace) -> Context:
    target = shipped_targets().find("xcvu9p")
    return Context(space.architecture, None, target, 5.0, 0, space=space)  # type: ignore[arg-type]


def test_network_is_made_once_for_its_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    space = space_of(MlpConfig(layer_kinds=("dense", "residual"), strategies=("Latency", "Resource")))
    candidates = sampled(space, 6, 2)
    asked: list[Candidate] = []
    real = space.architecture

    def architecture(candidate: Candidate) -> Architecture:
        asked.append(candidate)
        return real(candidate)

    monkeypatch.setattr(space, "architecture", architecture)
    found = HlsModelEstimator().estimate(candidates, context_of(space))
    assert asked == candidates
    assert all(not estimates.failure for estimates in found)
    assert HlsModelEstimator().estimate([], context_of(space)) == []


def test_impossible_candidate_does_not_spoil_the_others() -> None:
    space = space_of(MlpConfig(strategies=("Latency", "Resource")))
    good = sampled(space, 3, 3)
    strange = Candidate("mlp", {**good[0].values, "weight_bits_out": 400})
    alone = HlsModelEstimator().estimate(good, context_of(space))
    found = HlsModelEstimator().estimate([strange, *good], context_of(space))
    assert found[0].failure
    assert found[1:] == alone
    assert not any(estimates.failure for estimates in alone)


def test_block_evaluation_equals_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
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
    kinds = ((4, 0.75, 0.7, 0), (8, 3.0, 0.0, 1), (2, -1.0, 1.0, 0), (6, 2.5, 0.0, 2))
    prior = weight_prior()
    grids = [distribution(*kind, prior.narrow_share, prior.lean) for kind in kinds]
    rng = np.random.default_rng(0)
    counts = 2.0 ** np.concatenate([rng.uniform(_LOG_DRAWS[0], _LOG_DRAWS[-1], 300), _LOG_DRAWS])
    draws = np.log2(counts)
    grid = rng.integers(0, len(kinds), draws.size)
    found = interpolated(grids, grid, counts)
    for name in _CURVES:
        expected = [
            float(np.interp(draw, _LOG_DRAWS, getattr(grids[g], name)))
            for draw, g in zip(draws, grid, strict=True)
        ]
        assert same(found[name], np.array(expected)), name


def test_designs_that_exceed_their_part_are_reported() -> None:
    config = MlpConfig(widths=(63,), min_depth=4, weight_bits=(8,), input_bits=(12,), strategies=("Latency",))
    space = space_of(config)
    queries = queries_of(space, sampled(space, 4, 7), part="xc7z020clg400-1")
    queries[2] = dataclasses.replace(queries[2], part="xcvu13p-flga2577-2-e")
    batch = predict_batch(queries, read_calibration())
    full = [any(note.kind is NoteKind.FULL for note in batch.reasons[number]) for number in range(4)]
    assert full == [True, True, False, True]
