"""Differentiable architecture search over the mlp space: a supernet with relaxed choices, then evolution."""

from __future__ import annotations

from hwnas_hls_plugins.strategies.differentiable.config import DifferentiableConfig
from hwnas_hls_plugins.strategies.differentiable.strategy import DifferentiableStrategy

__all__ = ["DifferentiableConfig", "DifferentiableStrategy"]
