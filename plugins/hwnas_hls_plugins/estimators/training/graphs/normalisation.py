"""Folded batch normalisation of layers of any shape. This module imports torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.totals import Totals


@dataclass(slots=True, eq=False)
class ChannelNormalisation:
    """Batch normalisation of one depth, like ``Normalisation``, with statistics per channel.

    A channel is an output of a dense layer, or a filter of a convolution at all its positions.
    Vectors count the channels of all normalised layers; the last one, of gain and deviation 1,
    is that of all features without normalisation.

    Args:
        channel_of: channel of each feature of the depth; by_channel: sums over them.
        features_of: features of each channel.
        row_of: channel of each number of the depth's span of weights and biases; by_row: sums over them.
        bias_at: position of each channel's bias among the group's parameters.
        scale, unit: value of a normalised sum of 1, in real units and in least significant bits.
        bias_unit: least significant bits of the bias per real unit.
        reach: maximum root mean square of the weights of a channel, in least significant bits, times
            the root of their number.
        running: (channels, 2), mean and deviation of the sums of the unscaled weights.
        gain, shift, gain_gradient, shift_gradient: views of the trained parameters.
        scratch: features x batch rows.
    """

    channel_of: Tensor
    by_channel: Totals
    features_of: Tensor
    row_of: Tensor
    by_row: Totals
    bias_at: Tensor
    scale: Tensor
    unit: Tensor
    bias_unit: Tensor
    reach: Tensor
    running: Tensor
    gain: Tensor
    shift: Tensor
    gain_gradient: Tensor
    shift_gradient: Tensor
    scratch: Tensor

    def fold(self, numbers: Tensor, span: slice) -> None:
        """Fold into the weights and biases of ``span``, in least significant bits, not yet rounded."""
        mean, deviation = self.running[:, 0], self.running[:, 1]
        factor = torch.ones(len(self.features_of), dtype=numbers.dtype, device=numbers.device)
        torch.div(self.gain * self.unit, deviation, out=factor[:-1])
        numbers[span].mul_(factor.index_select(0, self.row_of))
        bias = self.scale * (0.5 * self.shift - self.gain * mean / deviation) * self.bias_unit
        numbers.index_copy_(0, self.bias_at, bias)

    def _mean(self, of_features: Tensor) -> Tensor:
        """(features,) means over the rows -> (channels,) means."""
        return self.by_channel(of_features).div_(self.features_of)

    def _centred(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """(mean per channel, sums minus the mean of their channel)."""
        mean = self._mean(sums.mean(1))
        return mean, torch.sub(sums, mean.index_select(0, self.channel_of)[:, None], out=self.scratch)

    def measure(self, sums: Tensor, weights: Tensor, momentum: float) -> None:
        """Update the running statistics to bring ``sums`` closer to their normalised distribution.

        Args:
            sums: sums with the folded weights, features x batch rows.
            weights: the depth's span before folding, in least significant bits.
            momentum: share of the correction to apply; 1 applies all of it.
        """
        mean, centred = self._centred(sums)
        deviation = self._mean(centred.square_().mean(1)).sqrt_()[:-1]
        wanted = self.gain * self.unit
        error = mean[:-1] - 0.5 * self.shift * self.unit
        moved = self.running[:, 0] + momentum * error * self.running[:, 1] / wanted
        # In double precision: the last bit of a single-precision power depends on its position in memory.
        factor = (deviation / wanted).clamp_(0.25, 4.0).double().pow_(momentum).to(deviation.dtype)
        spread = self.by_row(weights * weights)
        # Weights that are small for their type grow, but not so far that most of them saturate.
        least = wanted * spread[:-1].sqrt_() / self.reach
        scaled = torch.maximum(self.running[:, 1] * factor, least)
        self.running.copy_(torch.stack([moved, scaled], 1))

    def backward(self, gradient: Tensor, sums: Tensor) -> None:
        """Convert the gradient at the normalised sums to that at the raw sums, in place."""
        _, centred = self._centred(sums)
        across = self._mean(gradient.mean(1))
        along = self._mean((gradient * centred).mean(1))
        variance = self._mean((centred * centred).mean(1)).clamp_min_(1e-6)
        torch.div(along[:-1], variance[:-1].sqrt(), out=self.gain_gradient)
        self.shift_gradient.copy_(across[:-1])
        across[-1], along[-1] = 0.0, 0.0
        gradient.sub_(across.index_select(0, self.channel_of)[:, None])
        along.div_(variance)
        gradient.sub_(centred.mul_(along.index_select(0, self.channel_of)[:, None]))
