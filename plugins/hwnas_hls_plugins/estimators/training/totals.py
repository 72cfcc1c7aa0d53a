"""Deterministic sums by owner. This module imports torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Totals:
    """``total[owner[i]] += numbers[i]``, the same bits every time, nothing read back.

    On a GPU ``index_add_`` adds in whatever order its threads come, and the operations that do not
    cannot be captured in a graph. There the numbers of each owner are gathered into a row instead.

    Args:
        owner: of each number.
        count: owners.
        idle: whether the last owner stands for numbers that nobody asks for: 0 on a GPU.
    """

    def __init__(
        self, owner: NDArray[np.int64], count: int, device: torch.device, *, idle: bool = False
    ) -> None:
        self.count = count
        self._owner = torch.as_tensor(owner, device=device)
        self._rows: Tensor | None = None
        if device.type != "cpu":
            # What fills up a row is a zero that stands behind the numbers.
            sizes = np.bincount(owner, minlength=count)
            if idle:
                sizes[-1] = 0
            rows = np.full((count, max(1, int(sizes.max(initial=0)))), len(owner))
            order = np.argsort(owner, kind="stable")
            start = 0
            for number, size in enumerate(sizes):
                rows[number, :size] = order[start : start + size]
                start += size
            self._rows = torch.as_tensor(rows, device=device)

    def __call__(self, numbers: Tensor) -> Tensor:
        """(count,) sums of ``numbers``, a vector."""
        if self._rows is None:
            total = torch.zeros(self.count, dtype=numbers.dtype)
            return total.index_add_(0, self._owner, numbers)
        filled = torch.cat([numbers, numbers.new_zeros(1)])
        return filled.index_select(0, self._rows.view(-1)).view(self._rows.shape).sum(1)
