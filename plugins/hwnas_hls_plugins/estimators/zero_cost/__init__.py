"""Zero-cost proxies: scores of untrained networks that may rank them like training."""

from __future__ import annotations

from hwnas_hls_plugins.estimators.zero_cost.estimator import ZeroCostConfig, ZeroCostEstimator
from hwnas_hls_plugins.estimators.zero_cost.scores import METRICS

__all__ = ["METRICS", "ZeroCostConfig", "ZeroCostEstimator"]
