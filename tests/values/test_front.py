"""Fronts and hypervolume against slow definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas_hls.run.judging.halving import crowding, rank
from hwnas_hls.values.front import hypervolume, non_dominated

points = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 5).map(float), min_size=width, max_size=width), min_size=1, max_size=12
    )
)


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether ``a`` is nowhere worse than ``b`` and somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


@given(points)
@settings(max_examples=150, deadline=None)
def test_non_dominated_is_the_definition(losses: list[list[float]]) -> None:
    slow = [
        i for i, p in enumerate(losses) if not any(dominates(q, p) for q in losses) and p not in losses[:i]
    ]
    assert non_dominated(losses) == slow


@given(points)
@settings(max_examples=100, deadline=None)
def test_hypervolume_counts_unit_cells(losses: list[list[float]]) -> None:
    """On an integer grid the volume is the number of unit cells that some point dominates."""
    array = np.array(losses)
    cells = np.stack(np.meshgrid(*[np.arange(6)] * array.shape[1], indexing="ij"), -1)
    cells = cells.reshape(-1, array.shape[1])
    covered = (cells[:, None, :] >= array[None, :, :]).all(axis=2).any(axis=1).sum()
    assert hypervolume(losses, [6.0] * array.shape[1]) == pytest.approx(covered)


def test_points_beyond_the_reference_count_nothing() -> None:
    assert hypervolume([[0.5, 2.0]], [1.0, 1.0]) == 0.0
    assert hypervolume(np.empty((0, 2)), [1.0, 1.0]) == 0.0


@given(points)
@settings(max_examples=60, deadline=None)
def test_rank_never_puts_a_point_before_one_that_dominates_it(losses: list[list[float]]) -> None:
    order = rank(np.array(losses)).tolist()
    assert sorted(order) == list(range(len(losses)))
    for place, better in enumerate(order):
        assert not any(dominates(losses[worse], losses[better]) for worse in order[place + 1 :])


def test_crowding_favours_the_ends_and_the_lonely() -> None:
    distance = crowding(np.array([[0.0, 4.0], [1.0, 3.0], [1.1, 2.9], [4.0, 0.0]]))
    assert np.isinf(distance[[0, 3]]).all()
    assert distance[2] > distance[1]
