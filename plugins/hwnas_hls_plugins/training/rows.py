"""Rows of a split as training reads them. Loaded only to train, hence torch at the top."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import CDLL

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls.precision import FixedType
from hwnas_hls.task import CLASSIFICATION, Dataset, Split
from hwnas_hls_plugins.training.kernels import library


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
        mean, scale = dataset.standardisation
        features = np.ascontiguousarray((split.x - mean) / scale, np.float64)
        self.features = torch.as_tensor(features, device=device)
        if dataset.kind == CLASSIFICATION:
            targets = (split.y[None, :] == np.arange(dataset.n_out)[:, None]).astype(np.float64)
        else:
            target_mean, target_scale = target_standardisation(dataset)
            targets = ((split.y - target_mean) / target_scale).T
        self.targets = torch.as_tensor(np.ascontiguousarray(targets), dtype=dtype, device=device)
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
        out = torch.empty((width + 1, len(order)))
        kernels.gather(
            *(self.features.data_ptr(), width, order.contiguous().data_ptr(), len(order)),
            *(2.0**kind.fraction, float(kind.lowest), float(kind.highest), out.data_ptr()),
        )
        return out


def quantised(features: Tensor, kind: FixedType, dtype: torch.dtype) -> Tensor:
    """Standardised float64 (n_in, rows) -> whole numbers on the input grid, a row of ones below.

    Rounded half up and saturated, as :func:`hwnas_hls.emulator.input_integers` does.
    """
    out = torch.ones((features.shape[0] + 1, features.shape[1]), dtype=dtype, device=features.device)
    counted = torch.floor(features * 2.0**kind.fraction + 0.5)
    out[:-1] = torch.clamp(counted, float(kind.lowest), float(kind.highest))
    return out


def target_standardisation(dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(mean, scale) of regression targets on the training split, each (n_out,)."""
    mean, scale = dataset.train.y.mean(axis=0), dataset.train.y.std(axis=0)
    return mean, np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1e-300), scale, 1.0)


def some(split: Split, most: int, seed: int) -> Split:
    """``most`` rows drawn from a split, the same for the same seed; 0 takes all."""
    if most == 0 or len(split) <= most:
        return split
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split))[:most])
    return Split(split.x[chosen], split.y[chosen])
