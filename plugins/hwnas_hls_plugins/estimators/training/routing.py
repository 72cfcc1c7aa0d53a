"""Selects the trainer of an architecture: the batched one for chains, the other one for graphs."""

from __future__ import annotations

from hwnas_hls.network.architecture import Architecture
from hwnas_hls_plugins.estimators.training import plan as chain
from hwnas_hls_plugins.estimators.training.graphs import plan as graph


def refusal(architecture: Architecture) -> str:
    """Why ``architecture`` cannot be trained bit-exactly; empty if it can."""
    if _is_chain(architecture):
        return ""
    return graph.refusal(architecture)


def planned(
    architecture: Architecture, key: str, seed: int, *, regression: bool = False
) -> chain.Plan | graph.GraphPlan:
    """The plan of what trains ``architecture``; ``key`` names the candidate."""
    if _is_chain(architecture):
        return chain.plan(architecture, key, seed, regression=regression)
    return graph.graph_plan(architecture, key, seed, regression=regression)


def _is_chain(architecture: Architecture) -> bool:
    return architecture.is_chain and not chain.refusal(architecture)
