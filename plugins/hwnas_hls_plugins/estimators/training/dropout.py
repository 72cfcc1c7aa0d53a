"""Dropout masks. This module imports torch."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(mask: Tensor, share: float, generator: torch.Generator) -> None:
    """Fill ``mask`` with 0 for what is dropped and with what makes up for it elsewhere.

    Drawn on the CPU, so that it is the same on every device; a GPU is not waited for.
    """
    draws = torch.rand(mask.shape, generator=generator, dtype=mask.dtype)
    kept = (draws >= share).to(mask.dtype) / (1 - share)
    if mask.device.type == "cuda":
        kept = kept.pin_memory()
    mask.copy_(kept, non_blocking=True)
