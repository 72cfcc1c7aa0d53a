"""Deterministic sums by owner. This module imports torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Totals:
    """``total[owner[i]] += numbers[i]``, reproducible to the bit, with nothing read back.

    On a GPU ``index_add_`` adds in no fixed order, and its deterministic alternatives cannot be captured in
    a graph. There the numbers of each owner are gathered into a row instead.

    Args:
        owner: owner of each number.
        count: number of owners.
        idle: whether the last owner collects unused numbers; its total is 0 on a GPU.
    """

    def __init__(
        self, owner: NDArray[np.int64], count: int, device: torch.device, *, idle: bool = False
    ) -> None:
        self.count = count
        self._owner = torch.as_tensor(owner, device=device)
        self._rows: Tensor | None = None
        if device.type != "cpu":
            # Rows are padded with a zero that follows the numbers.
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
