"""Quantisation-aware training of many candidates at once.

``TrainingEstimator`` serves the search, :func:`train` the full training of its results. Torch is
loaded when training starts.
"""

from __future__ import annotations

from hwnas_hls_plugins.estimators.training.config import TrainingConfig
from hwnas_hls_plugins.estimators.training.estimator import Trained, TrainingEstimator, train

__all__ = ["Trained", "TrainingConfig", "TrainingEstimator", "train"]
