"""Rows of a split as training reads them. Loaded only to train, hence torch at the top."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls.precision import FixedType
from hwnas_hls.task import CLASSIFICATION, Dataset, Split


class Rows:
    """Rows of one split, standardised; quantised only as they are read.

    Features stay in float64: they are rounded onto an input grid as the emulator rounds them.
    """

    def __init__(self, split: Split, dataset: Dataset, dtype: torch.dtype, device: torch.device) -> None:
        mean, scale = dataset.standardisation
        features = np.ascontiguousarray(((split.x - mean) / scale).T)
        self.features = torch.as_tensor(features, device=device)
        if dataset.kind == CLASSIFICATION:
            targets = (split.y[None, :] == np.arange(dataset.n_out)[:, None]).astype(np.float64)
        else:
            target_mean, target_scale = target_standardisation(dataset)
            targets = ((split.y - target_mean) / target_scale).T
        self.targets = torch.as_tensor(np.ascontiguousarray(targets), dtype=dtype, device=device)
        self.dtype = dtype

    def __len__(self) -> int:
        return self.features.shape[1]

    def read(self, kinds: Sequence[FixedType], order: Tensor) -> tuple[list[Tensor], Tensor]:
        """Rows in ``order``: (n_in + 1, rows) whole numbers an input type, ones below; and targets."""
        features = self.features.index_select(1, order)
        return [quantised(features, kind, self.dtype) for kind in kinds], self.targets.index_select(1, order)


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
