"""Batch normalisation of quantised layers, folded. Loaded only to train, hence torch at the top."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Share of a new batch in the running mean and deviation.
MOMENTUM = 0.1
#: Largest root mean square of folded weights, as a share of their type's largest value.
REACH = 0.7


@dataclass(slots=True, eq=False)
class Normalisation:
    """Batch normalisation of one level; columns are (features, 1) unless said otherwise.

    The weights that run are ``weight * gain / deviation``, quantised, as they will be in hardware.
    Mean and deviation follow the sums that these weights really give, so that rounded and clipped
    weights are normalised too. The gradient is that of normalising by the batch's own statistics.

    Args:
        active: 1 for features with normalisation, else 0.
        scratch: features x batch rows.
        scale, unit: what a normalised sum of 1 stands for, in real units and as counted.
        bias_unit: least significant bits of the bias in a real unit.
        bias_at: places of the biases in the level's span of weights.
        row_of: feature of each number of that span.
        reach: largest root mean square that weights of a feature may have, as they are counted.
        running: (features, 2), mean and deviation of the sums of the unscaled weights.
        gain, shift, gain_gradient, shift_gradient: views of the trained numbers.
    """

    active: Tensor
    scratch: Tensor
    scale: Tensor
    unit: Tensor
    bias_unit: Tensor
    bias_at: Tensor
    row_of: Tensor
    reach: Tensor
    running: Tensor
    gain: Tensor
    shift: Tensor
    gain_gradient: Tensor
    shift_gradient: Tensor

    def fold(self, span: Tensor) -> None:
        """Multiply the level's weights and set its biases, both counted, not yet rounded."""
        mean, deviation = self.running[:, :1], self.running[:, 1:]
        factor = torch.where(self.active > 0, self.gain * self.unit / deviation, 1.0)
        span.mul_(factor.view(-1).index_select(0, self.row_of))
        bias = self.scale * (0.5 * self.shift - self.gain * mean / deviation) * self.bias_unit
        span.index_copy_(0, self.bias_at, bias[self.active > 0])

    def measure(self, sums: Tensor, weights: Tensor, momentum: float) -> None:
        """Move the running statistics so that ``sums`` come nearer to what they should be.

        Args:
            sums: of the folded weights, features x batch rows.
            weights: the level's span, counted, before it was folded.
            momentum: 1 corrects what this batch shows at once.
        """
        mean = sums.mean(1, keepdim=True)
        centred = torch.sub(sums, mean, out=self.scratch)
        deviation = torch.linalg.vector_norm(centred, dim=1, keepdim=True).mul_(sums.shape[1] ** -0.5)
        wanted = self.gain * self.unit
        error = mean - 0.5 * self.shift * self.unit
        moved = self.running[:, :1] + momentum * error * self.running[:, 1:] / wanted
        # In double precision: the last bit of a single power depends on the place in memory, since the
        # processor's vectors and what is left over at the end go through different code.
        factor = (deviation / wanted).clamp_(0.25, 4.0).double().pow_(momentum).to(deviation.dtype)
        spread = torch.zeros_like(wanted).view(-1).index_add_(0, self.row_of, weights * weights)
        # Weights that are small for their type grow, but not so far that most of them saturate.
        least = wanted * spread[:, None].sqrt_() / self.reach
        scaled = torch.maximum(self.running[:, 1:] * factor, least)
        fresh = torch.cat([moved, scaled], 1)
        self.running.copy_(torch.where(self.active > 0, fresh, self.running))

    def backward(self, gradient: Tensor, sums: Tensor) -> None:
        """Gradient at the normalised sums -> at the sums before, in place; ``sums`` are used up."""
        centred = torch.sub(sums, sums.mean(1, keepdim=True), out=self.scratch)
        along = torch.mul(gradient, centred, out=sums).mean(1, keepdim=True)
        deviation = torch.linalg.vector_norm(centred, dim=1, keepdim=True).mul_(sums.shape[1] ** -0.5)
        variance = deviation.square_().clamp_min_(1e-6)
        across = gradient.mean(1, keepdim=True).mul_(self.active)
        along.mul_(self.active)
        torch.div(along, variance.sqrt(), out=self.gain_gradient)
        self.shift_gradient.copy_(across)
        gradient.sub_(across)
        gradient.addcmul_(centred, along.div_(variance), value=-1)
