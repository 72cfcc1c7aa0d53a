"""Which reuse factors hls4ml accepts for a dense layer under the ``Resource`` strategy.

The rules are those that hls4ml 1.3 checks in ``backends/fpga/fpga_backend.py``: the factor divides
``n_in * n_out``; up to ``n_in`` it also divides ``n_in`` into equal groups a neuron, above it it is a
multiple of ``n_in``. Anything else is moved to the nearest legal factor, ties to the smaller.
"""

from __future__ import annotations

import bisect
import functools


@functools.lru_cache(maxsize=65536)
def legal_reuse_factors(n_in: int, n_out: int) -> tuple[int, ...]:
    """All legal reuse factors of an ``n_in x n_out`` layer, rising."""
    products = n_in * n_out
    small = [
        factor
        for factor in range(1, min(n_in, products) + 1)
        if products % factor == 0 and (factor == n_in or (products // factor) % n_out == 0)
    ]
    large = [n_in * times for times in range(2, n_out + 1) if n_out % times == 0]
    return (*small, *large)


@functools.lru_cache(maxsize=65536)
def legal_reuse_factor(n_in: int, n_out: int, asked: int) -> int:
    """The legal factor nearest to ``asked``; of two equally near the smaller."""
    legal = legal_reuse_factors(n_in, n_out)
    place = bisect.bisect_left(legal, asked)
    if place == 0:
        return legal[0]
    if place == len(legal):
        return legal[-1]
    below, above = legal[place - 1], legal[place]
    return above if above - asked < asked - below else below
