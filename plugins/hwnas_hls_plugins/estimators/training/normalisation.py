"""Folded batch normalisation of quantised layers. This module imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.layout import Layout
from hwnas_hls_plugins.estimators.training.totals import Totals

#: Share of a new batch in the running mean and deviation.
MOMENTUM = 0.1
#: Rounds of measurement at the start: with rounded weights, statistics need several to settle.
CALIBRATIONS = 4
#: Largest root mean square of folded weights, as a share of their type's largest value.
REACH = 0.7


@dataclass(slots=True, eq=False)
class Normalisation:
    """Batch normalisation of one level; columns are (features, 1) unless stated otherwise.

    The products use ``weight * gain / deviation``, quantised, as the hardware will. Mean and deviation follow
    the sums of these quantised weights, so rounding and clipping are normalised too. The gradient is that
    of normalising by the batch's own statistics.

    Args:
        active: 1 for features with normalisation, else 0.
        scale, unit: value of a normalised sum of 1, in real units and in least significant bits.
        bias_unit: least significant bits of the bias per real unit.
        bias_at: places of the biases of active features in the level's span of weights.
        bias_of: the active features.
        row_of: feature of each number of that span; by_row: sums over them.
        reach: maximum root mean square of the weights of a feature, in least significant bits.
        running: (features, 2), mean and deviation of the sums of the unscaled weights.
        gain, shift, gain_gradient, shift_gradient: views of the trained parameters.
    """

    active: Tensor
    scale: Tensor
    unit: Tensor
    bias_unit: Tensor
    bias_at: Tensor
    bias_of: Tensor
    row_of: Tensor
    by_row: Totals
    reach: Tensor
    running: Tensor
    gain: Tensor
    shift: Tensor
    gain_gradient: Tensor
    shift_gradient: Tensor

    def fold(self, span: Tensor) -> None:
        """Fold into the level's weights and biases, in least significant bits, not yet rounded."""
        mean, deviation = self.running[:, :1], self.running[:, 1:]
        factor = torch.where(self.active > 0, self.gain * self.unit / deviation, 1.0)
        span.mul_(factor.view(-1).index_select(0, self.row_of))
        bias = self.scale * (0.5 * self.shift - self.gain * mean / deviation) * self.bias_unit
        span.index_copy_(0, self.bias_at, bias.view(-1).index_select(0, self.bias_of))

    def measure(self, sums: Tensor, weights: Tensor, momentum: float) -> None:
        """Update the running statistics to bring ``sums`` closer to their normalised distribution.

        Args:
            sums: sums with the folded weights, features x batch rows.
            weights: the level's span before folding, in least significant bits.
            momentum: share of the correction to apply; 1 applies all of it.
        """
        mean = sums.mean(1, keepdim=True)
        deviation = _deviation(sums - mean)
        wanted = self.gain * self.unit
        error = mean - 0.5 * self.shift * self.unit
        moved = self.running[:, :1] + momentum * error * self.running[:, 1:] / wanted
        # In double precision: the last bit of a single-precision power depends on its position in memory,
        # because vectors and the remainder at the end take different code.
        factor = (deviation / wanted).clamp_(0.25, 4.0).double().pow_(momentum).to(deviation.dtype)
        spread = self.by_row(weights * weights)
        # Weights that are small for their type grow, but not so far that most of them saturate.
        least = wanted * spread[:, None].sqrt_() / self.reach
        scaled = torch.maximum(self.running[:, 1:] * factor, least)
        fresh = torch.cat([moved, scaled], 1)
        self.running.copy_(torch.where(self.active > 0, fresh, self.running))

    def backward(self, gradient: Tensor, sums: Tensor) -> None:
        """Convert the gradient at normalised sums to that at raw ones, in place; overwrites ``sums``."""
        centred = sums.sub_(sums.mean(1, keepdim=True))
        along = (gradient * centred).mean(1, keepdim=True)
        variance = _deviation(centred).square_().clamp_min_(1e-6)
        across = gradient.mean(1, keepdim=True).mul_(self.active)
        along.mul_(self.active)
        torch.div(along, variance.sqrt(), out=self.gain_gradient)
        self.shift_gradient.copy_(across)
        gradient.sub_(across)
        gradient.addcmul_(centred, along.div_(variance), value=-1)


def _deviation(centred: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    return length.mul_(centred.shape[1] ** -0.5)


def normalisation(layout: Layout, k: int, starts: Sequence[int]) -> Normalisation:
    """The batch normalisation of level ``k``; bounds on its gains keep the signs of the weights."""
    layers = layout.layers(k)
    rows = [layer.rows for layer in layers]
    active = np.zeros(sum(rows), bool)
    for start, layer in zip(starts, layers, strict=False):
        active[start : start + layer.layer.n_out] = layer.normalised
    row_of = np.concatenate(
        [
            np.repeat(start + np.arange(layer.rows), layer.cols)
            for start, layer in zip(starts, layers, strict=False)
        ]
    )
    ends = [
        layout.places[j, k][0] - layout.span(k)[0] + np.arange(1, layer.rows + 1) * layer.cols - 1
        for j, layer in enumerate(layers)
    ]

    def column(values: list[float]) -> Tensor:
        return layout.tensor(np.repeat(values, rows)[:, None])

    def places(values: object) -> Tensor:
        return torch.as_tensor(values, device=layout.device)

    running = torch.cat([member.running[k] for member in layout.members[: layout.reach[k]]])
    gains, shifts = layout.norm_span(k, 0), layout.norm_span(k, 1)
    # A gain that crosses zero would flip the signs of its weights.
    layout.floor[gains] = 0.05
    bias_fraction = [0 if layer.layer.bias is None else layer.layer.bias.fraction for layer in layers]
    return Normalisation(
        active=layout.tensor(active[:, None]),
        scale=column([layer.scale for layer in layers]),
        unit=column([layer.scale * 2.0**layer.out_fraction for layer in layers]),
        bias_unit=column([2.0**fraction for fraction in bias_fraction]),
        bias_at=places(np.concatenate(ends)[active]),
        bias_of=places(np.flatnonzero(active)),
        row_of=places(row_of),
        by_row=Totals(row_of, sum(rows), layout.device),
        reach=column(
            [REACH * max(layer.layer.weight.highest, 1) * layer.layer.n_in**0.5 for layer in layers]
        ),
        running=running.to(layout.device),
        gain=layout.latent[gains][:, None],
        shift=layout.latent[shifts][:, None],
        gain_gradient=layout.gradient[gains][:, None],
        shift_gradient=layout.gradient[shifts][:, None],
    )
