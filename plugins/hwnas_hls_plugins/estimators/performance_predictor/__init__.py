"""A model of the task's metric, learned from the run's own candidates, with honest intervals."""

from __future__ import annotations

from hwnas_hls_plugins.estimators.performance_predictor.config import PerformancePredictorConfig
from hwnas_hls_plugins.estimators.performance_predictor.estimator import PerformancePredictorEstimator

__all__ = ["PerformancePredictorConfig", "PerformancePredictorEstimator"]
