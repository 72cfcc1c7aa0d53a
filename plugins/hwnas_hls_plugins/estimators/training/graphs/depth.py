"""The layers of one depth of a group of graphs. This module imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.dropout import draw
from hwnas_hls_plugins.estimators.training.graphs.layout import GraphLayout, Place
from hwnas_hls_plugins.estimators.training.graphs.nodes import ConvNode, DenseNode, Node
from hwnas_hls_plugins.estimators.training.graphs.normalisation import ChannelNormalisation
from hwnas_hls_plugins.estimators.training.normalisation import REACH
from hwnas_hls_plugins.estimators.training.quantiser import limited, on_grid, push_back, rounded
from hwnas_hls_plugins.estimators.training.schedule import Number
from hwnas_hls_plugins.estimators.training.totals import Totals


@dataclass(slots=True, eq=False)
class Buffers:
    """The buffers of one group: one value per feature and batch row."""

    sums: Tensor
    values: Tensor
    mask: Tensor
    gradients: Tensor


@dataclass(slots=True, eq=False)
class Depth:
    """The layers of one depth; matrices are features x batch rows, columns (features, 1).

    Args:
        places: its layers, stacked.
        sums, values, gradient: before and after the activation; of the sums.
        mask: where, and with which factor, the gradient passes.
        low, high, offset, slope: limits, the offset that makes ``floor`` the rounding, slope below zero.
        steep: whether no slope differs from 1.
        span: span of its parameters in the group's vector.
        nodes: the nodes that compute the sums.
        dropout, push, norm: ``None`` unless a layer needs them.
    """

    places: list[Place]
    sums: Tensor
    values: Tensor
    mask: Tensor
    gradient: Tensor
    low: Tensor
    high: Tensor
    offset: Tensor
    slope: Tensor
    steep: bool
    span: slice
    nodes: list[Node] = field(default_factory=list)
    dropout: Tensor | None = None
    push: Tensor | None = None
    norm: ChannelNormalisation | None = None

    def own(self, place: Place) -> slice:
        """The rows of ``place`` among those of this depth."""
        first = self.places[0].rows.start
        return slice(place.rows.start - first, place.rows.stop - first)

    def activate(self, *, exactly: bool) -> None:
        """Compute the values from the sums, and where the gradient passes."""
        if exactly:
            for place, node in zip(self.places, self.nodes, strict=True):
                self._activate_exactly(place, node)
            return
        source = self.sums
        if not self.steep:
            source = torch.maximum(self.sums, self.sums * self.slope)
        torch.add(source, self.offset, out=self.mask)
        torch.minimum(self.mask, self.high, out=self.values)
        torch.maximum(self.values, self.low, out=self.values)
        torch.eq(self.mask, self.values, out=self.mask)
        self.values.floor_()

    def _activate_exactly(self, place: Place, node: Node) -> None:
        """One layer with any rounding, overflow and accumulator."""
        plan, here = place.plan, self.own(place)
        raw = self.sums[here]
        accum = plan.accum
        if accum is not None and isinstance(node, DenseNode | ConvNode):
            step = 2.0 ** (plan.out_fraction - accum.fraction)
            if accum.fraction < plan.product_fraction:
                raw = node.lossy(step, accum) * step
            else:
                bias = node.parameters.bias
                cast = on_grid(bias / step, accum) * step
                raw = raw + (cast - bias).repeat(plan.positions, 1)
            raw = on_grid(raw / step, accum) * step
        passed = torch.clamp_min(raw, 0.0) if plan.activation == "relu" else raw
        if plan.slope != 1:
            passed = torch.maximum(raw, raw * plan.slope)
        kind = plan.result
        inside = torch.ones_like(raw)
        if kind is None:
            self.values[here] = torch.floor(passed)
        else:
            self.values[here] = limited(rounded(passed, kind.rounding), kind)
            if kind.overflow == "WRAP" and self.push is not None:
                excess = passed - torch.clamp(passed, float(kind.lowest), kind.highest + 1.0)
                self.push[here] = excess / (kind.highest + 1.0)
            if kind.overflow != "WRAP":
                inside = ((passed >= kind.lowest - 0.5) & (passed <= kind.highest + 0.5)).to(raw.dtype)
        if plan.activation == "relu":
            inside = inside * (raw > 0)
        self.mask[here] = inside

    def draw(self, generators: Sequence[torch.Generator]) -> None:
        """Draw the dropout masks of the layers that have dropout.

        Args:
            generators: one per graph.
        """
        if self.dropout is None:
            return
        for place in self.places:
            if place.plan.dropout > 0:
                draw(self.dropout[self.own(place)], place.plan.dropout, generators[place.member])

    def drop(self) -> None:
        """Apply the dropout masks."""
        if self.dropout is not None:
            self.values.mul_(self.dropout)

    def pass_back(self, leak: Number) -> None:
        """Convert the gradient of the values to that of the sums, in place, without batch normalisation."""
        if self.dropout is not None:
            self.gradient.mul_(self.dropout)
        if isinstance(leak, Tensor) or leak > 0:
            self.mask.mul_(1 - leak).add_(leak)
        if not self.steep:
            self.mask.mul_(torch.where(self.sums < 0, self.slope, 1.0))
        self.gradient.mul_(self.mask)
        if self.push is not None:
            push_back(self.gradient, self.push, map(self.own, self.places))


def make_depth(layout: GraphLayout, number: int, buffers: Buffers) -> Depth:
    """The depth of this number, without its nodes."""
    places = layout.by_depth[number]
    here = slice(places[0].rows.start, places[-1].rows.stop)
    plans = [place.plan for place in places]
    sizes = [plan.layer.n_out for plan in plans]

    def column(values: list[float]) -> Tensor:
        return layout.tensor(np.repeat(np.array(values, float), sizes)[:, None])

    limits = [plan.limits if layout.fast else (-np.inf, np.inf) for plan in plans]
    slopes = [plan.slope for plan in plans]
    depth = Depth(
        places,
        sums=buffers.sums[here],
        values=buffers.values[here],
        mask=buffers.mask[here],
        gradient=buffers.gradients[here],
        low=column([low for low, _ in limits]),
        high=column([high for _, high in limits]),
        offset=column([plan.offset for plan in plans]),
        slope=column(slopes),
        steep=all(slope == 1 for slope in slopes),
        span=layout.spans[number],
    )
    if any(plan.dropout > 0 for plan in plans):
        depth.dropout = torch.ones_like(depth.sums)
    if not layout.fast and any(plan.result and plan.result.overflow == "WRAP" for plan in plans):
        depth.push = torch.zeros_like(depth.sums)
    if any(plan.normalised for plan in plans):
        depth.norm = _normalisation(layout, depth)
    return depth


def _normalisation(layout: GraphLayout, depth: Depth) -> ChannelNormalisation:
    channel_of = np.full(depth.sums.shape[0], -1)
    row_of = np.full(depth.span.stop - depth.span.start, -1)
    places = [place for place in depth.places if place.plan.normalised]
    pieces: tuple[list[slice], list[slice]] = ([], [])
    bias_at, start = [], 0
    for place in places:
        rows, cols = place.plan.matrix
        own = np.arange(start, start + rows)
        channel_of[depth.own(place)] = np.tile(own, place.plan.positions)
        begin = place.weights.start - depth.span.start
        row_of[begin : begin + rows * cols] = np.repeat(own, cols)
        bias_at.append(np.arange(place.biases.start, place.biases.stop))
        base = 2 * len(layout.members[place.member].weighted) + 2 * place.which
        for kind, found in enumerate(pieces):
            found.append(layout.pieces[place.member, base + kind])
        start += rows
    channel_of[channel_of < 0], row_of[row_of < 0] = start, start
    sizes = [place.plan.matrix[0] for place in places]

    def each(values: list[float]) -> Tensor:
        return layout.tensor(np.repeat(np.array(values, float), sizes))

    plans = [place.plan for place in places]
    running = [layout.members[place.member].running[place.which] for place in places]
    gains, shifts = (slice(found[0].start, found[-1].stop) for found in pieces)
    # A gain that crosses zero would flip the signs of its weights.
    layout.floor[gains].fill_(0.05)
    counts = np.bincount(channel_of, minlength=start + 1)
    return ChannelNormalisation(
        channel_of=layout.index(channel_of),
        by_channel=Totals(channel_of, start + 1, layout.device, idle=True),
        features_of=layout.tensor(np.maximum(counts, 1)),
        row_of=layout.index(row_of),
        by_row=Totals(row_of, start + 1, layout.device, idle=True),
        bias_at=layout.index(np.concatenate(bias_at)),
        scale=each([plan.scale for plan in plans]),
        unit=each([plan.scale * 2.0**plan.out_fraction for plan in plans]),
        bias_unit=each(
            [0.0 if plan.weighted.bias is None else 2.0**plan.weighted.bias.fraction for plan in plans]
        ),
        reach=each([REACH * max(plan.weighted.weight.highest, 1) * plan.matrix[1] ** 0.5 for plan in plans]),
        running=torch.cat(running).to(layout.device),
        gain=layout.latent[gains],
        shift=layout.latent[shifts],
        gain_gradient=layout.gradient[gains],
        shift_gradient=layout.gradient[shifts],
        scratch=torch.zeros_like(depth.sums),
    )
