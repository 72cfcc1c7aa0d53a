"""Reuse factors: which ones hls4ml builds unchanged, and how it changes the others.

The rules are those of hls4ml 1.3's Vitis and Vivado backends
(``backends/fpga/fpga_backend.py: _validate_reuse_factor, get_closest_reuse_factor`` and
``backends/vivado/vivado_backend.py: init_dense``), solved for the whole set of legal factors, because a
search evaluates thousands of shapes:

``Resource``
    The divisors of ``n_in``, and ``n_in`` times the divisors of ``n_out``. hls4ml replaces any other
    value by the closest of these (the smaller of two equally close), with a printed warning only.
``Latency``
    Every value is kept and not checked. It becomes the initiation interval of the layer's pipeline
    (``PIPELINE II``) and the maximum number of multipliers
    (``ALLOCATION ... limit = ceil(n_in*n_out / reuse_factor) - n_zeros / reuse_factor``), which affects
    only products that Vitis HLS builds as multipliers. The loops stay fully unrolled.
``distributed_arithmetic``
    1. Any other value raises ``Exception`` in hls4ml.
"""

from __future__ import annotations

import functools
from bisect import bisect_left

from hwnas_hls.errors import UserError


@functools.lru_cache(maxsize=4096)
def legal_reuse_factors(n_in: int, n_out: int, strategy: str = "Resource") -> tuple[int, ...]:
    """The reuse factors of a dense layer that hls4ml builds unchanged, in increasing order.

    Args:
        n_in, n_out: width of the layer's input and output.
        strategy: ``Latency``, ``Resource`` or ``distributed_arithmetic`` (or ``da``), any case.

    Returns:
        Factors between 1 and ``n_in * n_out``. For ``Latency``, hls4ml also accepts larger ones, which
        share nothing more.

    Raises:
        UserError: a width below 1 or an unknown strategy.
    """
    for what, width in (("n_in", n_in), ("n_out", n_out)):
        if width < 1:
            raise UserError(f"{what} of a dense layer must be at least 1", found=width)
    kind = _strategy(strategy)
    if kind == "latency":
        return tuple(range(1, n_in * n_out + 1))
    if kind == "distributed_arithmetic":
        return (1,)
    return tuple(sorted({*_divisors(n_in), *(n_in * share for share in _divisors(n_out))}))


def nearest_legal(n_in: int, n_out: int, strategy: str, wanted: int) -> int:
    """The reuse factor that hls4ml builds if ``wanted`` is requested.

    For ``distributed_arithmetic``, hls4ml accepts only 1, so 1 is returned.

    Raises:
        UserError: ``wanted`` or a width below 1, or an unknown strategy.
    """
    if wanted < 1:
        raise UserError("a reuse factor must be at least 1", found=wanted)
    if _strategy(strategy) == "latency":
        return wanted
    legal = legal_reuse_factors(n_in, n_out, strategy)
    place = bisect_left(legal, wanted)
    if place == len(legal):
        return legal[-1]
    if place == 0:
        return legal[0]
    below, above = legal[place - 1], legal[place]
    return above if above - wanted < wanted - below else below


def _strategy(text: str) -> str:
    kind = text.lower()
    if kind == "da":
        return "distributed_arithmetic"
    if kind not in ("latency", "resource", "distributed_arithmetic"):
        raise UserError(
            "unknown HLS strategy", found=text, choices=("Latency", "Resource", "distributed_arithmetic")
        )
    return kind


@functools.lru_cache(maxsize=4096)
def _divisors(number: int) -> tuple[int, ...]:
    small = [share for share in range(1, int(number**0.5) + 1) if number % share == 0]
    return tuple(sorted({*small, *(number // share for share in small)}))
