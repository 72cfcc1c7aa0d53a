"""The settings of the space of convolutional cells, with defaults and checks."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls_plugins.spaces.cell_config import CellLayers
from hwnas_hls_plugins.spaces.layer_settings import among, check

#: Operations with weights -> size of their window.
CONVOLUTIONS = {"conv3": 3, "conv5": 5, "depthwise3": 3}
POOLS = ("max", "average")
OPERATIONS = (*CONVOLUTIONS, *POOLS, "identity")


@dataclass(frozen=True, slots=True)
class ConvCellConfig(CellLayers):
    """Settings of :class:`~hwnas_hls_plugins.spaces.conv_cell.ConvCellSpace`; one value makes no knob.

    Args:
        image: height, width and channels of the inputs, unless the task gives them; a time series has
            height 1.
        max_cells: maximum number of repetitions of the cell.
        operations: kinds of operations: convolutions with windows of 3 and 5, a depthwise one with a
            window of 3 (``depthwise3``), ``max`` or ``average`` pooling with a window of 2, and
            ``identity``. In a time series, windows have height 1.
        filters: filters of a convolution that is not added to another.
        head_pools: side of the average-pooling windows after the last cell; 1: no pooling.
        head_widths: neurons of a hidden layer before the output; 0: no layer.
        strategies: HLS strategies in hls4ml's spelling; empty means those of the run's synthesizer, or
            ``Latency`` and ``Resource`` without one. ``Resource`` applies to the dense layers only;
            convolutions are unrolled.
        Other settings: as in :class:`~hwnas_hls_plugins.spaces.cell_config.CellLayers`.
    """

    image: tuple[int, ...] = ()
    max_cells: int = 2
    operations: tuple[str, ...] = OPERATIONS
    filters: tuple[int, ...] = (2, 3, 4, 6, 8, 12)
    head_pools: tuple[int, ...] = (1, 2, 4)
    head_widths: tuple[int, ...] = (0, 8, 16, 32)

    def __post_init__(self) -> None:
        CellLayers.__post_init__(self)
        if self.image and (len(self.image) != 3 or min(self.image) < 1):
            raise ValueError(f"image must be [height, width, channels], not {list(self.image)}")
        if not 1 <= self.max_cells <= 8:
            raise ValueError(f"max_cells must be between 1 and 8, not {self.max_cells}")
        check("operations", self.operations, *among(OPERATIONS))
        if not set(self.operations) & set(CONVOLUTIONS):
            raise ValueError(f"operations must include one of {', '.join(CONVOLUTIONS)}")
        check("filters", self.filters, lambda count: count >= 1, "at least 1")
        check("head_pools", self.head_pools, lambda side: side in (1, 2, 4, 8), "one of 1, 2, 4, 8")
        check("head_widths", self.head_widths, lambda width: width >= 0, "at least 0")
        if self.strategies == ("Resource",):
            raise ValueError(
                "strategies must include one besides Resource, because convolutions are unrolled"
            )
