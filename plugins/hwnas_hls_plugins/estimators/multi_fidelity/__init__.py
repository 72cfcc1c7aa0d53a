"""Training at two fidelities: a few epochs for many candidates, the rest for those that deserve it."""

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
