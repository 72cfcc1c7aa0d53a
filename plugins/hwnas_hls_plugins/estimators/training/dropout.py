"""Dropout masks. This module imports torch."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(mask: Tensor, share: float, generator: torch.Generator) -> None:
    """Fill ``mask`` with 0 for dropped values and with ``1 / (1 - share)`` for the others.

    The mask is drawn on the CPU, so it is the same on every device; the copy to a GPU is asynchronous.
    """
    draws = torch.rand(mask.shape, generator=generator, dtype=mask.dtype)
    kept = (draws >= share).to(mask.dtype) / (1 - share)
    if mask.device.type == "cuda":
        kept = kept.pin_memory()
    mask.copy_(kept, non_blocking=True)
