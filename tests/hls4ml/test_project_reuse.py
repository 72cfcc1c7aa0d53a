"""Reuse factors against hls4ml's own rules."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas_hls.errors import UserError
from hwnas_hls.network.reuse import legal_reuse_factors, nearest_legal


@pytest.fixture(scope="module")
def backend():
    hls4ml = pytest.importorskip("hls4ml")
    return hls4ml.backends.get_backend("Vitis")


def _shapes():
    for n_in in range(1, 21):
        for n_out in range(1, 21):
            yield n_in, n_out
    rng = np.random.default_rng(5)
    for n_in, n_out in rng.integers(1, 129, (120, 2)):
        yield int(n_in), int(n_out)
    yield from ((16, 64), (64, 32), (32, 32), (32, 5), (97, 61), (784, 10), (1, 200), (200, 1))


def test_resource_factors_are_those_of_hls4ml(backend):
    for n_in, n_out in _shapes():
        assert list(legal_reuse_factors(n_in, n_out, "Resource")) == backend.get_valid_reuse_factors(
            n_in, n_out
        ), (n_in, n_out)


def test_nearest_is_the_one_hls4ml_takes(backend):
    for n_in, n_out in [(7, 9), (16, 64), (64, 5), (13, 1), (1, 13), (24, 18), (11, 6)]:
        legal = backend.get_valid_reuse_factors(n_in, n_out)
        for wanted in range(1, n_in * n_out + 5):
            theirs = wanted if wanted in legal else backend.get_closest_reuse_factor(legal, wanted)
            assert nearest_legal(n_in, n_out, "Resource", wanted) == theirs, (n_in, n_out, wanted)


def test_ties_go_to_the_smaller():
    assert legal_reuse_factors(4, 3, "Resource") == (1, 2, 4, 12)
    assert nearest_legal(4, 3, "Resource", 3) == 2
    assert nearest_legal(4, 3, "Resource", 8) == 4


def test_latency_keeps_any_factor_and_da_only_one():
    assert legal_reuse_factors(3, 2, "Latency") == (1, 2, 3, 4, 5, 6)
    assert nearest_legal(16, 64, "latency", 5000) == 5000
    assert legal_reuse_factors(16, 64, "distributed_arithmetic") == (1,) == legal_reuse_factors(4, 4, "da")
    assert nearest_legal(16, 64, "distributed_arithmetic", 8) == 1


@pytest.mark.parametrize(
    ("n_in", "n_out", "strategy", "wanted"),
    [
        (0, 4, "Resource", 1),
        (4, 0, "Resource", 1),
        (4, 4, "Unrolled", 1),
        (4, 4, "Latency", 0),
        (4, 4, "Resource", 0),
    ],
)
def test_bad_questions_are_refused(n_in, n_out, strategy, wanted):
    with pytest.raises(UserError):
        nearest_legal(n_in, n_out, strategy, wanted)
