"""Weight sharing: a supernet is trained once, and every candidate is a slice of it."""

from __future__ import annotations

from hwnas_hls_plugins.estimators.weight_sharing.estimator import WeightSharingConfig, WeightSharingEstimator

__all__ = ["WeightSharingConfig", "WeightSharingEstimator"]
