"""Scales of objectives, limits against intervals, the three modes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.values.estimate import Estimate, measured
from hwnas_hls.values.objective import Goal, Limit, Objective, direction_of

ACCURACY = Objective("accuracy", "max", 1.0, 0.5, weight=3.0, log=True)
LUT = Objective("lut", "min", 10.0, 100_000.0, log=True)


@pytest.mark.parametrize("objective", [ACCURACY, LUT, Objective("fmax_mhz", "max", 1000.0, 1.0)])
def test_best_is_zero_and_worst_is_one(objective: Objective) -> None:
    assert objective.loss(objective.best) == pytest.approx(0.0)
    assert objective.loss(objective.worst) == pytest.approx(1.0)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_better_accuracy_never_costs_more(a: float, b: float) -> None:
    assert (ACCURACY.loss(max(a, b)) <= ACCURACY.loss(min(a, b))) is True


def test_the_last_percents_of_accuracy_count_most() -> None:
    assert ACCURACY.loss(0.92) - ACCURACY.loss(0.94) > 2 * (ACCURACY.loss(0.70) - ACCURACY.loss(0.72))


def test_halving_a_cost_counts_the_same_everywhere() -> None:
    assert LUT.loss(2000) - LUT.loss(1000) == pytest.approx(LUT.loss(200) - LUT.loss(100))
    assert LUT.loss(0) == LUT.loss(10) == 0.0


def predicted(metric: str, low: float, value: float, high: float) -> Estimate:
    return Estimate(metric, value, low, high, "predicted", "a model", 0.9)


def test_limit_is_checked_at_pessimistic_end() -> None:
    limit = Limit("lut", "max", 1000.0)
    assert limit.violation(predicted("lut", 500, 800, 1000)) == 0.0
    assert limit.violation(predicted("lut", 500, 800, 1500)) == pytest.approx(0.5)
    least = Limit("accuracy", "min", 0.9)
    assert least.violation(predicted("accuracy", 0.89, 0.92, 0.95)) == pytest.approx(0.01 / 0.9)
    assert str(least) == "accuracy >= 0.9"
    # Nothing is relative to a bound of zero.
    assert Limit("dsp", "max", 0.0).violation(predicted("dsp", 0, 0, 3)) == 3.0
    assert Limit("dsp", "max", 0.0).violation(predicted("dsp", 0, 0, 0)) == 0.0


def test_modes() -> None:
    estimates = {
        "accuracy": measured("accuracy", 0.9, "csim", ""),
        "lut": measured("lut", 1000, "csynth", ""),
    }
    each = (ACCURACY.loss(0.9), LUT.loss(1000))
    assert Goal((ACCURACY, LUT)).losses(estimates) == each
    weighted = Goal((ACCURACY, LUT), mode="weighted").losses(estimates)
    assert weighted == (pytest.approx((3 * each[0] + each[1]) / 4),)
    assert Goal((ACCURACY, LUT), mode="constrained").losses(estimates) == each[:1]
    assert Goal((ACCURACY, LUT)).losses({"lut": estimates["lut"]}) is None


def test_violations_speak_of_known_metrics_only() -> None:
    goal = Goal((LUT,), (Limit("lut", "max", 10.0), Limit("dsp", "max", 1.0)))
    assert goal.violations({"lut": measured("lut", 20, "csynth", "")}) == {"lut <= 10": pytest.approx(1.0)}


def test_directions() -> None:
    assert direction_of("lut") == "min"
    assert direction_of("r2", {"r2": "max"}) == "max"
    with refused(ErrorKind.UNKNOWN_NAME, found="luts", near="lut"):
        direction_of("luts")
