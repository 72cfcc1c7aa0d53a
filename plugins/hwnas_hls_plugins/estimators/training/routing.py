"""Selects the trainer of an architecture: the batched one for chains, the other one for graphs."""

from __future__ import annotations

from hwnas_hls.network.architecture import Architecture
from hwnas_hls_plugins.estimators.training import plan as chain
from hwnas_hls_plugins.estimators.training.graphs.plan import GraphPlan, graph_plan, refusal

__all__ = ["planned", "refusal"]


def planned(
    architecture: Architecture, key: str, seed: int, *, regression: bool = False
) -> chain.Plan | GraphPlan:
    """The plan of the training of ``architecture``, for which there must be no :func:`refusal`.

    Args:
        key: names the candidate.
    """
    if chain.serves(architecture):
        return chain.plan(architecture, key, seed, regression=regression)
    return graph_plan(architecture, key, seed, regression=regression)
