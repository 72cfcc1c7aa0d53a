"""The layers of one depth of all networks of a group. This module imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.normalisation import Normalisation, normalisation
from hwnas_hls_plugins.estimators.training.plan import LayerPlan


@dataclass(slots=True, eq=False)
class Inner:
    """The input side of a run that follows another layer, all views of shared buffers.

    Args:
        values, values_gradient: (n, cols, batch rows), of the previous level.
        turned_values: (n, batch rows, n_in), without the constant 1.
        turned_weights: (n, cols, rows).
        all_gradient: (n, rows, batch rows), gradient of the sums, including the row of the constant.
    """

    values: Tensor
    turned_values: Tensor
    turned_weights: Tensor
    all_gradient: Tensor
    values_gradient: Tensor


@dataclass(slots=True, eq=False)
class Run:
    """Adjacent layers of one level whose products are one call.

    First layers read the input copy ``source``: weights (all their rows, cols), sums (all rows,
    batch rows). Others have ``inner``: weights (n, rows, cols), sums (n, rows, batch rows).

    Args:
        input: number of ``source`` among the input copies of a batch.
        weight_gradient: gradient of the weights, without the biases and the row of the constant 1.
        gradient: gradient of the sums; for ``inner`` without the row of the constant 1.
    """

    source: int
    weights: Tensor
    weight_gradient: Tensor
    sums: Tensor
    gradient: Tensor
    inner: Inner | None = None
    input: int = 0


@dataclass(slots=True, eq=False)
class Level:
    """The layers of one depth, counted from the output; matrices are features x batch rows.

    ``values`` is the same tensor as ``sums`` if nothing bounds them.

    Args:
        starts: first feature of each layer, and the end.
        low, high: bounds of the sums, (features, 1).
        bounded: whether values differ from sums.
        span: start and end of its weights.
        dropout: factors on the values; ``None`` without dropout.
        push: distance of sums from the range of types that wrap; ``None`` if no type wraps.
        norm: batch normalisation; ``None`` without it.
    """

    layers: list[LayerPlan]
    starts: list[int]
    sums: Tensor
    values: Tensor
    gradient: Tensor
    low: Tensor
    high: Tensor
    bounded: bool
    span: tuple[int, int]
    dropout: Tensor | None = None
    push: Tensor | None = None
    norm: Normalisation | None = None
    runs: list[Run] = field(default_factory=list)

    def slice(self, number: int) -> slice:
        return slice(self.starts[number], self.starts[number] + self.layers[number].rows)


def make_levels(layout: Layout, rows: int) -> list[Level]:
    """The levels of a group, from output to input.

    Args:
        rows: number of rows of a batch.
    """
    levels = []
    for k in range(layout.depth):
        layers = layout.layers(k)
        heights = [layer.rows for layer in layers]
        starts = [int(start) for start in np.cumsum([0, *heights])]
        shape = (starts[-1], rows)
        limits = [layer.limits if layout.fast else (-np.inf, np.inf) for layer in layers]
        low, high = (
            np.repeat([pair[end] for pair in limits], heights).astype(np.float64)[:, None] for end in (0, 1)
        )
        if layout.fast:
            # The constant 1 for the next layer's biases passes every type.
            ones = [start + layer.rows - 1 for start, layer in zip(starts, layers, strict=False)]
            hidden = [place for place, layer in zip(ones, layers, strict=True) if not layer.last]
            low[hidden], high[hidden] = 1.0, 1.0
        dropped = any(layer.layer.dropout > 0 for layer in layers)
        bounded = not layout.fast or dropped or any(np.isfinite(limit) for pair in limits for limit in pair)
        sums = layout.zeros(shape)
        level = Level(
            layers,
            starts,
            sums,
            values=layout.zeros(shape) if bounded else sums,
            gradient=layout.zeros(shape),
            low=layout.tensor(low),
            high=layout.tensor(high),
            bounded=bounded,
            span=layout.span(k),
        )
        if dropped:
            level.dropout = torch.ones(shape, dtype=layout.dtype, device=layout.device)
        wraps = any(
            layer.layer.result is not None and layer.layer.result.overflow == "WRAP" for layer in layers
        )
        if wraps and not layout.fast:
            level.push = layout.zeros(shape)
        if any(layer.normalised for layer in layers):
            level.norm = normalisation(layout, k, starts)
        levels.append(level)
    for k in range(layout.depth):
        levels[k].runs = _runs(layout, levels, k, rows)
    return levels


def _runs(layout: Layout, levels: list[Level], k: int, rows: int) -> list[Run]:
    found = []
    start = 0
    while start < layout.reach[k]:
        stop = start + 1
        while stop < layout.reach[k] and _alike(layout, k, start, stop):
            stop += 1
        found.append(_run(layout, levels, k, start, stop, rows))
        start = stop
    return found


def _alike(layout: Layout, k: int, a: int, b: int) -> bool:
    first, second = layout.members[a], layout.members[b]
    is_first = len(first.levels) == k + 1
    if is_first != (len(second.levels) == k + 1):
        return False
    if is_first:
        return first.source == second.source
    shape = [(member.levels[k].rows, member.levels[k].cols) for member in (first, second)]
    return shape[0] == shape[1]


def _run(layout: Layout, levels: list[Level], k: int, start: int, stop: int, rows: int) -> Run:
    level = levels[k]
    member, layer = layout.members[start], level.layers[start]
    place = slice(layout.places[start, k][0], layout.places[stop - 1, k][1])
    outputs = slice(level.starts[start], level.starts[stop])
    if len(member.levels) == k + 1:
        weights, weight_gradient = (
            vector[place].view(-1, layer.cols) for vector in (layout.weights, layout.gradient)
        )
        sums, gradient = level.sums[outputs], level.gradient[outputs]
        return Run(member.source, weights, weight_gradient[:, :-1], sums, gradient)
    count = stop - start
    before = levels[k + 1]
    inputs = slice(before.starts[start], before.starts[stop])
    weights, weight_gradient = (
        vector[place].view(count, layer.rows, layer.cols) for vector in (layout.weights, layout.gradient)
    )
    sums, gradient = (slab[outputs].view(count, layer.rows, rows) for slab in (level.sums, level.gradient))
    values, values_gradient = (
        slab[inputs].view(count, layer.cols, rows) for slab in (before.values, before.gradient)
    )
    width = layer.layer.n_out
    inner = Inner(values, values[:, :-1].transpose(1, 2), weights.transpose(1, 2), gradient, values_gradient)
    return Run(member.source, weights, weight_gradient[:, :width, :-1], sums, gradient[:, :width], inner)
