"""AdamW for the parameters of a group (Kingma and Ba, 2015; Loshchilov and Hutter, 2019).

This module imports torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hwnas_hls_plugins.estimators.training.vector import TrainedVector

#: Far below any gradient that matters: Adam's step must not depend on a gradient's unit.
_SMALLEST = 1e-12
#: A gradient's average below this is zero.
_NOTHING = 1e-30


def step_size(rate: float, beta1: float, beta2: float, step: int) -> float:
    """The learning rate with Adam's bias correction at update ``step``, from 1."""
    return float(rate * (1 - beta2**step) ** 0.5 / (1 - beta1**step))


def averages(mean: Tensor, square: Tensor, gradient: Tensor, beta1: float, beta2: float) -> None:
    """Update Adam's two averages with a gradient."""
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)


def update(
    trained: TrainedVector[Any],
    scratch: Tensor,
    beta1: float,
    beta2: float,
    left: float | Tensor,
    size: float | Tensor,
) -> None:
    """One step, followed by clipping to the bounds.

    Args:
        scratch: buffer twice as long as the parameters; overwritten.
        left: factor of weight decay on each weight.
        size: size of the step, see :func:`step_size`.
    """
    latent = trained.latent
    averages(trained.mean, trained.square, trained.gradient, beta1, beta2)
    root, moved = scratch.chunk(2)
    torch.sqrt(trained.square, out=root)
    root.add_(_SMALLEST)
    latent[: trained.n_weights].mul_(left)
    # ``addcdiv_`` would do both, but cannot read its factor from a device.
    torch.mul(trained.mean, -size, out=moved)
    latent.add_(moved.div_(root))
    torch.maximum(latent, trained.floor, out=latent)
    torch.minimum(latent, trained.ceiling, out=latent)


def settle(trained: TrainedVector[Any]) -> None:
    """Set tiny averages to zero, because denormal numbers are slow."""
    for average in (trained.mean, trained.square):
        average.masked_fill_(average.abs() < _NOTHING, 0.0)
