"""Layers with any rounding, overflow and accumulator, one network at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.level import Level
from hwnas_hls_plugins.estimators.training.quantiser import limited, lossy_sum, on_grid, rounded


def activate_exactly(
    layout: Layout, levels: Sequence[Level], k: int, j: int, inputs: Sequence[Tensor], mask: Tensor
) -> None:
    """Compute the values of member ``j`` at level ``k``; ``mask`` receives where the gradient passes."""
    level = levels[k]
    plan = level.layers[j]
    layer, here = plan.layer, level.slice(j)
    raw, values = level.sums[here][: layer.n_out], level.values[here][: layer.n_out]
    if layer.accum is not None:
        step = 2.0 ** (plan.out_fraction - layer.accum.fraction)
        weights, inner, bias = _operands(layout, levels, k, j, inputs)
        cast = on_grid(bias / step, layer.accum) * step
        if layer.accum.fraction < plan.product_fraction:
            raw = lossy_sum(weights, inner, cast, step, layer.accum)
        else:
            raw = raw + (cast - bias)[:, None]
        raw = on_grid(raw / step, layer.accum) * step
    passed = torch.clamp_min(raw, 0.0) if plan.rectified else raw
    kind = layer.result
    if kind is None:
        values.copy_(passed)
    else:
        values.copy_(limited(rounded(passed, kind.rounding), kind))
        if kind.overflow == "WRAP" and level.push is not None:
            excess = passed - torch.clamp(passed, float(kind.lowest), kind.highest + 1.0)
            level.push[here][: layer.n_out] = excess / (kind.highest + 1.0)
    inside = torch.ones_like(raw)
    if kind is not None and kind.overflow != "WRAP":
        inside = ((passed >= kind.lowest - 0.5) & (passed <= kind.highest + 0.5)).to(layout.dtype)
    if plan.rectified:
        inside = inside * (raw > 0)
    mask[here][: layer.n_out] = inside
    # Otherwise the row of the constant would keep the leak of earlier steps.
    mask[here][layer.n_out :] = 0.0
    if not plan.last:
        level.values[here][-1] = 1.0


def _operands(
    layout: Layout, levels: Sequence[Level], k: int, j: int, inputs: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, inputs and biases of one layer of one network."""
    plan = levels[k].layers[j]
    block = layout.weights[slice(*layout.places[j, k])].view(plan.rows, plan.cols)[: plan.layer.n_out]
    if len(layout.members[j].levels) == k + 1:
        values = inputs[
            next(
                run.input
                for run in levels[k].runs
                if run.source == layout.members[j].source and run.inner is None
            )
        ]
    else:
        before = levels[k + 1]
        values = before.values[before.slice(j)]
    return block[:, :-1], values[:-1], block[:, -1]
