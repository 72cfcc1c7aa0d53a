"""How much a network's loss rises where input features lose bits.

This module imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.feature_bits import NARROWER
from hwnas_hls_plugins.estimators.training.rows import InputKind, Rows

if TYPE_CHECKING:
    from hwnas_hls_plugins.estimators.training.network import Network

#: Maximum number of rows on which the harm of a change is measured.
_ROWS = 512


def harms(
    network: Network, rows: Rows, wanted: Callable[[Tensor], Tensor], batch_rows: int, *, classes: bool
) -> list[Tensor]:
    """The saliency of removing the lowest, the highest, or all bits of a feature; (3, n_in) per member.

    To first order, the loss of a row changes by its gradient at the feature times the change of the feature.
    The mean of the squares is the diagonal of the empirical Fisher matrix, as Adam's averages are for the
    weights (there over whole batches, hence the factor).

    Args:
        network: a group in a descent; each member has its own input kind.
        wanted: targets in the form that the loss expects.
    """
    members = network.members
    kinds = [
        [
            InputKind(member.plan.architecture.input, features)
            for features in (
                member.features,
                *(tuple(narrower(kind) for kind in member.features) for narrower in NARROWER),
            )
        ]
        for member in members
    ]
    flat = [kind for own in kinds for kind in own]
    count = 1 + len(NARROWER)
    network.number_sources({member.source: j * count for j, member in enumerate(members)})
    batches = max(1, min(_ROWS, len(rows)) // batch_rows)
    # Evenly spread over the rows, because these may be sorted by class.
    places = torch.arange(batches * batch_rows) * max(1, len(rows) // (batches * batch_rows))
    inputs, targets = rows.read(flat, places.to(rows.features.device))
    targets = wanted(targets)
    firsts = [_first(network, j) for j in range(len(members))]
    slopes = [gradient.new_empty((len(gradient), batches * batch_rows)) for gradient, _ in firsts]
    for number in range(batches):
        here = slice(number * batch_rows, (number + 1) * batch_rows)
        batch = [copy[:, here] for copy in inputs]
        network.forward(batch)
        network.lose(targets[:, here], classes=classes)
        network.backward(batch)
        for (gradient, _), slope in zip(firsts, slopes, strict=True):
            slope[:, here] = gradient
    return [
        _saliency(weights.t() @ slope, inputs[j * count : (j + 1) * count]) / batches
        for j, ((_, weights), slope) in enumerate(zip(firsts, slopes, strict=True))
    ]


def _first(network: Network, j: int) -> tuple[Tensor, Tensor]:
    """The buffer for the gradient at the sums of a member's first layer, and its weights (n_out, n_in)."""
    layout = network.layout
    k = len(layout.members[j].levels) - 1
    level = network.levels[k]
    plan = level.layers[j]
    weights = layout.weights[slice(*layout.places[j, k])].view(plan.rows, plan.cols)
    return level.gradient[level.slice(j)][: plan.layer.n_out], weights[: plan.layer.n_out, :-1]


def _saliency(slope: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """The squared change of the loss of each row, summed over the rows.

    Args:
        slope: (n_in, rows), gradient of the loss at the inputs.
        inputs: (n_in + 1, rows) each: the original, then versions with fewer bits.
    """
    now = inputs[0][:-1]
    parts = [(slope * (other[:-1] - now)).square().sum(1) for other in inputs[1:]]
    parts.append((slope * now).square().sum(1))
    return torch.stack(parts).double().cpu()
