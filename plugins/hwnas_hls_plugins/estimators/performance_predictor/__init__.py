"""A model of the task's metric, fitted to the candidates of the run, with calibrated intervals."""

from __future__ import annotations

from hwnas_hls_plugins.estimators.performance_predictor.config import PerformancePredictorConfig
from hwnas_hls_plugins.estimators.performance_predictor.estimator import PerformancePredictorEstimator

__all__ = ["PerformancePredictorConfig", "PerformancePredictorEstimator"]
