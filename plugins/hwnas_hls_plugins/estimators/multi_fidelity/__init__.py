"""Training at two fidelities: a few epochs for many candidates, full training for the best of them."""

from __future__ import annotations

from hwnas_hls_plugins.estimators.multi_fidelity.config import FullTrainingConfig, PartialTrainingConfig
from hwnas_hls_plugins.estimators.multi_fidelity.estimators import (
    FullTrainingEstimator,
    PartialTrainingEstimator,
)

__all__ = [
    "FullTrainingConfig",
    "FullTrainingEstimator",
    "PartialTrainingConfig",
    "PartialTrainingEstimator",
]
