"""Groups networks that train together. This module imports torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from hwnas_hls_plugins.estimators.training.graphs.member import GraphMember
from hwnas_hls_plugins.estimators.training.member import AnyMember


def automatic_batch_size(rows: int) -> int:
    """64 rows for epochs of up to some thousand, up to 256 for more: the cost is that of the steps."""
    return int(min(256, max(64, 2 ** round(math.log2(rows / 64)))))


def automatic_group_elements(device: torch.device) -> int:
    """The maximum number of activations of a group per step."""
    if device.type == "cuda":
        # Sums, values, masks, gradients and scratch, and at most as much again for weights.
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, free // 2 // (4 * 10))
    return 400_000


def group(members: Sequence[AnyMember], most_features: int, most: int) -> list[list[AnyMember]]:
    """Groups of members that train together: of the same kind and adjacent in order.

    The results of a member do not depend on its group; only speed and memory do.

    Args:
        most_features: maximum activations per row of a group of more than one member.
        most: maximum number of members.
    """
    found: list[list[AnyMember]] = []
    kinds: dict[tuple[bool, ...], list[AnyMember]] = {}
    for member in sorted(members, key=lambda member: member.plan.order):
        is_graph = isinstance(member, GraphMember)
        kind = (is_graph, member.plan.fast, member.plan.normalised, member.plan.dropped)
        kinds.setdefault(kind, []).append(member)
    for alike in kinds.values():
        current: list[AnyMember] = []
        size = 0
        for member in alike:
            if current and (size + member.plan.n_features > most_features or len(current) == most):
                found.append(current)
                current, size = [], 0
            current.append(member)
            size += member.plan.n_features
        found.append(current)
    return found
