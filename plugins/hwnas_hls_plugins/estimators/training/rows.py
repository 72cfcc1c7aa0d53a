"""The rows of a split for training. This module imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import CDLL

import numpy as np
import torch
from torch import Tensor

from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls_plugins.estimators.training.kernels import library


class Rows:
    """Rows of one split, standardised; quantised only as they are read.

    Features stay in float64: they are rounded onto an input grid as the emulator rounds them.

    Args:
        compiled: let the compiled kernels read, where there are some; the numbers are the same.
    """

    def __init__(
        self,
        split: Split,
        dataset: Dataset,
        dtype: torch.dtype,
        device: torch.device,
        *,
        compiled: bool = True,
    ) -> None:
        features = np.ascontiguousarray(dataset.standardised(split), np.float64)
        self.features = torch.as_tensor(features, device=device)
        targets = np.ascontiguousarray(dataset.wanted(split).T)
        self.targets = torch.as_tensor(targets, dtype=dtype, device=device)
        self.dtype = dtype
        fits = compiled and dtype == torch.float32 and device.type == "cpu"
        self._kernels = library() if fits else None

    def __len__(self) -> int:
        return self.features.shape[0]

    def read(self, kinds: Sequence[FixedType], order: Tensor) -> tuple[list[Tensor], Tensor]:
        """Rows in ``order``: (n_in + 1, rows) whole numbers an input type, ones below; and targets."""
        targets = self.targets.index_select(1, order)
        if self._kernels is not None:
            return [self._gathered(self._kernels, kind, order) for kind in kinds], targets
        features = self.features.index_select(0, order).t().contiguous()
        return [quantised(features, kind, self.dtype) for kind in kinds], targets

    def _gathered(self, kernels: CDLL, kind: FixedType, order: Tensor) -> Tensor:
        width = self.features.shape[1]
        # Named, so that the copy is alive while the kernel reads it.
        order = order.to(torch.int64).contiguous()
        out = torch.empty((width + 1, len(order)))
        kernels.gather(
            *(self.features.data_ptr(), width, order.data_ptr(), len(order)),
            *(2.0**kind.fraction, float(kind.lowest), float(kind.highest), out.data_ptr()),
        )
        return out


def quantised(features: Tensor, kind: FixedType, dtype: torch.dtype) -> Tensor:
    """Standardised float64 (n_in, rows) -> whole numbers on the input grid, a row of ones below.

    Rounded half up and saturated, as :func:`hwnas_hls.network.emulator.input_integers` does.
    """
    out = torch.ones((features.shape[0] + 1, features.shape[1]), dtype=dtype, device=features.device)
    counted = torch.floor(features * 2.0**kind.fraction + 0.5)
    out[:-1] = torch.clamp(counted, float(kind.lowest), float(kind.highest))
    return out
