"""Fixed-point types against exact fractions, and the fake quantiser against fixed-point types."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS, FixedType

types = (
    st.tuples(
        st.integers(1, 20),
        st.integers(-4, 24),
        st.booleans(),
        st.sampled_from(ROUNDINGS),
        st.sampled_from(OVERFLOWS),
    )
    # There is no such type: see the test of features.
    .filter(lambda one: not (one[0] == 1 and one[2] and one[4] == "SAT_SYM"))
    .map(lambda one: FixedType(*one))
)


def exact(value: Fraction, kind: FixedType) -> int:
    """UG1399 word by word, slowly: an exact value -> its integer on the grid of ``kind``."""
    counted = value * Fraction(2) ** kind.fraction
    floor, ceiling = math.floor(counted), math.ceil(counted)
    toward_zero = floor if counted >= 0 else ceiling
    away = ceiling if counted >= 0 else floor
    tie = counted - floor == Fraction(1, 2)
    nearest = floor if counted - floor < Fraction(1, 2) else ceiling
    whole = {
        "TRN": floor,
        "TRN_ZERO": toward_zero,
        "RND": ceiling if tie else nearest,
        "RND_MIN_INF": floor if tie else nearest,
        "RND_INF": away if tie else nearest,
        "RND_ZERO": toward_zero if tie else nearest,
        "RND_CONV": (floor if floor % 2 == 0 else ceiling) if tie else nearest,
    }[kind.rounding]
    low = -(2 ** (kind.width - 1)) if kind.signed else 0
    high = 2 ** (kind.width - 1) - 1 if kind.signed else 2**kind.width - 1
    if low <= whole <= high and not (kind.overflow == "SAT_SYM" and kind.signed and whole == low):
        return whole
    if kind.overflow == "SAT":
        return low if whole < low else high
    if kind.overflow == "SAT_ZERO":
        return 0
    if kind.overflow == "SAT_SYM":
        return (-high if kind.signed else 0) if whole < 0 else high
    bits = whole % 2**kind.width  # WRAP keeps the low bits
    return bits - 2**kind.width if kind.signed and bits > high else bits


@settings(max_examples=600, deadline=None, derandomize=True)
@given(kind=types, value=st.floats(-1e6, 1e6), eighths=st.integers(-4000, 4000))
@example(kind=FixedType(8, 8, rounding="RND"), value=math.nextafter(0.5, 0), eighths=4)
@example(kind=FixedType(8, 8, rounding="RND_INF"), value=-math.nextafter(0.5, 0), eighths=-4)
@example(kind=FixedType(16, 16, rounding="TRN"), value=2.0**62 + 2.0**10, eighths=0)
def test_integers_are_those_of_exact_arithmetic(kind: FixedType, value: float, eighths: int) -> None:
    # Eighths of a bit hit every tie and every limit; free floats hit the rest.
    tied = eighths / 8 * 2.0**-kind.fraction
    found = kind.integers(np.array([value, tied]))
    assert found.tolist() == [exact(Fraction(value), kind), exact(Fraction(tied), kind)]


@settings(max_examples=600, deadline=None, derandomize=True)
@given(kind=types, count=st.integers(-(2**30), 2**30), more=st.integers(-6, 20))
def test_requantise_is_exact(kind: FixedType, count: int, more: int) -> None:
    fraction = kind.fraction + more
    found = kind.requantise(np.array([count, count % 512 - 256]), fraction)
    values = [Fraction(number) / Fraction(2) ** fraction for number in (count, count % 512 - 256)]
    assert found.tolist() == [exact(value, kind) for value in values]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(kind=types, value=st.floats(-1e6, 1e6), eighths=st.integers(-4000, 4000))
@example(kind=FixedType(8, 8, rounding="RND"), value=math.nextafter(0.5, 0), eighths=4)
def test_the_fake_quantiser_rounds_as_the_type_does(kind: FixedType, value: float, eighths: int) -> None:
    torch = pytest.importorskip("torch")
    from hwnas_hls_plugins.estimators.training.quantiser import on_grid

    counted = np.array([value, eighths / 8])
    found = on_grid(torch.as_tensor(counted), kind).numpy()
    assert found.tolist() == kind.integers(counted * 2.0**-kind.fraction).tolist()
