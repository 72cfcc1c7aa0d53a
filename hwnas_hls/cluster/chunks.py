"""The division of a batch among workers."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas_hls.network.architecture import Architecture
from hwnas_hls.network.layers import Weighted

#: The overhead of a network, in products: calls per layer and per batch.
_FIXED_PRODUCTS = 500


def chunks(architectures: Sequence[Architecture], slots: int, most: int = 0) -> list[list[int]]:
    """Divide a batch into chunks of about equal cost, with similar networks together.

    Similar networks share calls when they are trained together. The results of a candidate do not
    depend on its chunk, so every division gives the same run.

    Args:
        slots: number of chunks, or fewer if there are fewer candidates.
        most: maximum number of candidates per chunk; 0 means no limit.
    """
    if not architectures:
        return []
    order = sorted(range(len(architectures)), key=lambda place: _likeness(architectures[place], place))
    costs = [_cost(architectures[place]) for place in order]
    count = max(1, min(slots, len(order)))
    found: list[list[int]] = [[] for _ in range(count)]
    spent, total = 0.0, float(sum(costs))
    for place, cost in zip(order, costs, strict=True):
        found[min(count - 1, int((spent + cost / 2) / total * count))].append(place)
        spent += cost
    if most:
        found = [chunk[at : at + most] for chunk in found for at in range(0, len(chunk), most)]
    return [chunk for chunk in found if chunk]


def _likeness(architecture: Architecture, place: int) -> tuple[object, ...]:
    layers = architecture.layers
    kinds = sorted({layer.normalisation if isinstance(layer, Weighted) else "" for layer in layers})
    return (kinds, -len(layers), [layer.n_out for layer in layers][::-1], str(architecture.input), place)


def _cost(architecture: Architecture) -> float:
    products = sum(
        layer.n_products if isinstance(layer, Weighted) else layer.n_out for layer in architecture.layers
    )
    return _FIXED_PRODUCTS * len(architecture.layers) + products
