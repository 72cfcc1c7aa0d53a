"""Kendall's tau, and what a run says of its stand-ins for accuracy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from refusal import expect_mentioned

from hwnas_hls.plugin.registry import Registry
from hwnas_hls.run.lifecycle import Observer, start
from hwnas_hls.run.rank_correlation import tau
from hwnas_hls.spec.spec import Spec


def test_kendall_tau_equals_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 30, 80).astype(float)  # with ties
    scores = truth + rng.normal(0, 10, 80).round()
    found = tau(scores, truth)
    assert found.value == pytest.approx(stats.kendalltau(scores, truth).statistic)
    assert found.low < found.value < found.high
    assert tau(truth, truth).value == pytest.approx(1.0)
    assert tau(-truth, truth).value == pytest.approx(-1.0)
    assert tau(np.ones(80), truth).value == 0.0


def test_the_interval_narrows_with_the_number_and_covers() -> None:
    rng = np.random.default_rng(1)

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        truth = rng.normal(size=count)
        return truth + rng.normal(size=count), truth

    few, many = tau(*drawn(30)), tau(*drawn(300))
    assert many.high - many.low < 0.6 * (few.high - few.low)
    # Of jointly normal numbers tau is known: 2/pi arcsin of the correlation, here 1/2.
    inside = [found.low <= 0.5 <= found.high for found in (tau(*drawn(60), resamples=200) for _ in range(60))]
    assert np.mean(inside) > 0.85


def test_run_reports_rank_correlation_of_proxies(
    registry: Registry, toy_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    import hwnas_hls_plugins

    registry.register(hwnas_hls_plugins, "builtin")
    steps: list[str] = []
    spec = toy_spec(
        run={"trials": 40, "estimators": ["toy-cost", "zero-cost", "toy-training"]},
        estimators={"zero-cost": {"scores": ["synflow", "ntk_condition"]}},
        export={"members": 1},
    )
    start(spec, registry, tmp_path / "run", Observer(on_step=steps.append))
    said = [words for words in steps if "Kendall's tau" in words]
    assert [words.split()[0] for words in said] == ["synflow", "ntk_condition"]
    expect_mentioned(said[0], ["40 trained candidates", "accuracy", "0."])
