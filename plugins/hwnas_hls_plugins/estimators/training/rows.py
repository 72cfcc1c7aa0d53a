"""The rows of a split for training. This module imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import CDLL
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas_hls.network.features import FeatureTypes, Grids
from hwnas_hls.network.precision import FixedType
from hwnas_hls.protocols.task import Dataset, Split
from hwnas_hls_plugins.estimators.training.kernels import library


@dataclass(frozen=True, slots=True)
class InputKind:
    """The inputs of a network: its input type, and the types of single features if they have their own."""

    kind: FixedType
    features: FeatureTypes = ()
    _grids: dict[int, Grids] = field(default_factory=dict, init=False, repr=False, compare=False)

    def grids(self, n_in: int) -> Grids:
        """Those of ``n_in`` features; every batch reads them."""
        if n_in not in self._grids:
            self._grids[n_in] = Grids(self.features, self.kind, n_in)
        return self._grids[n_in]


class Rows:
    """The standardised rows of one split; they are quantised when they are read.

    Features stay in float64: they are rounded onto an input grid as the emulator rounds them.

    Args:
        compiled: whether compiled kernels, if available, read the rows; the result is the same.
        weights: how much each row counts in the loss, float64 (rows,); ``None``: all count the same.
    """

    def __init__(
        self,
        split: Split,
        dataset: Dataset,
        dtype: torch.dtype,
        device: torch.device,
        *,
        compiled: bool = True,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        features = np.ascontiguousarray(dataset.standardised(split), np.float64)
        self.features = torch.as_tensor(features, device=device)
        targets = np.ascontiguousarray(dataset.wanted(split).T)
        if weights is not None:
            # The weights are one more row of the targets, so both are always indexed together.
            targets = np.concatenate([targets, weights[None, :]])
        self.targets = torch.as_tensor(targets, dtype=dtype, device=device)
        self.dtype = dtype
        fits = compiled and dtype == torch.float32 and device.type == "cpu"
        self._kernels = library() if fits else None

    def __len__(self) -> int:
        return self.features.shape[0]

    def read(self, kinds: Sequence[InputKind], order: Tensor) -> tuple[list[Tensor], Tensor]:
        """The rows in ``order``: (n_in + 1, rows) integers per input kind, the last row ones; and targets.

        Targets are (n_out, rows), with one more row for the weights of the rows if there are any.
        """
        targets = self.targets.index_select(1, order)
        if self._kernels is not None:
            return [self._gathered(self._kernels, kind, order) for kind in kinds], targets
        features = self.features.index_select(0, order).t().contiguous()
        return [quantised(features, kind, self.dtype) for kind in kinds], targets

    def _gathered(self, kernels: CDLL, kind: InputKind, order: Tensor) -> Tensor:
        width = self.features.shape[1]
        grids = kind.grids(width)
        # The name keeps the copy alive while the kernel reads it.
        order = order.to(torch.int64).contiguous()
        out = torch.empty((width + 1, len(order)))
        kernels.gather(
            *(self.features.data_ptr(), width, order.data_ptr(), len(order)),
            *(part.ctypes.data for part in (grids.scale, grids.low, grids.high, grids.step)),
            out.data_ptr(),
        )
        return out


def quantised(features: Tensor, kind: InputKind, dtype: torch.dtype) -> Tensor:
    """Quantise standardised float64 (n_in, rows) to integers on the input grid; the last row is ones.

    Rounded half up and saturated, as :func:`hwnas_hls.network.emulator.input_integers` does.
    """
    out = torch.ones((features.shape[0] + 1, features.shape[1]), dtype=dtype, device=features.device)
    if not kind.features:
        # Plain numbers: nothing is sent to a device.
        counted = torch.floor(features * 2.0**kind.kind.fraction + 0.5)
        out[:-1] = torch.clamp(counted, float(kind.kind.lowest), float(kind.kind.highest))
        return out
    grids = kind.grids(features.shape[0])
    scale, low, high, step = (
        torch.as_tensor(part, device=features.device)[:, None]
        for part in (grids.scale, grids.low, grids.high, grids.step)
    )
    counted = torch.floor(features * scale + 0.5)
    out[:-1] = torch.minimum(torch.maximum(counted, low), high) * step
    return out
