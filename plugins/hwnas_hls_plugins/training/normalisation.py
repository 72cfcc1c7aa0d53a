"""Batch normalisation of quantised layers, folded. Loaded only to train, hence torch at the top."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Share of a new batch in the running mean and deviation.
MOMENTUM = 0.1
#: Smallest deviation, as a share of that of the first weights: a feature whose inputs have died
#: must not blow up the weights it is folded into.
_LEAST = 0.05


@dataclass(slots=True, eq=False)
class Normalisation:
    """Batch normalisation of one level; columns are (features, 1) unless said otherwise.

    The weights that run are ``weight * gain / deviation`` with the running statistics, quantised,
    as they will be in hardware. The running statistics are those of the unquantised weights. The
    gradient is that of normalising the sums that ran by their own batch's statistics.

    Args:
        active: 1 for features with normalisation, else 0.
        sums: of the unquantised weights before normalisation, features x batch rows; also scratch.
        scale, unit: what a normalised sum of 1 stands for, in real units and as counted.
        bias_unit: least significant bits of the bias in a real unit.
        bias_at: places of the biases in the level's span of weights.
        row_of: feature of each number of that span.
        running: (features, 2), mean and deviation, as counted.
        gain, shift, gain_gradient, shift_gradient: views of the trained numbers.
    """

    active: Tensor
    sums: Tensor
    scale: Tensor
    unit: Tensor
    bias_unit: Tensor
    bias_at: Tensor
    row_of: Tensor
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

    def measure(self, momentum: float) -> None:
        """Move the running statistics towards those of ``sums``, which are used up."""
        mean = self.sums.mean(1, keepdim=True)
        self.sums.sub_(mean)
        deviation = self.sums.mul_(self.sums).mean(1, keepdim=True).sqrt_()
        torch.maximum(deviation, _LEAST * self.unit / self.scale, out=deviation)
        fresh = torch.cat([mean, deviation], 1)
        self.running.lerp_(torch.where(self.active > 0, fresh, self.running), momentum)

    def backward(self, gradient: Tensor, sums: Tensor) -> None:
        """Gradient at the normalised sums -> at the sums before, in place; ``sums`` are used up."""
        centred = torch.sub(sums, sums.mean(1, keepdim=True), out=self.sums)
        along = torch.mul(gradient, centred, out=sums).mean(1, keepdim=True)
        variance = torch.mul(centred, centred, out=sums).mean(1, keepdim=True).clamp_min_(1e-6)
        across = gradient.mean(1, keepdim=True).mul_(self.active)
        along.mul_(self.active)
        torch.div(along, variance.sqrt(), out=self.gain_gradient)
        self.shift_gradient.copy_(across)
        gradient.sub_(across)
        gradient.addcmul_(centred, along.div_(variance), value=-1)
