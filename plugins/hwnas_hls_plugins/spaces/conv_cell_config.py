"""What the space of convolutional cells may hold: its settings, their defaults and their checks."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls_plugins.spaces.cell_config import CellLayers
from hwnas_hls_plugins.spaces.layer_settings import among, check

#: Operations that have weights, with the side of their window.
CONVOLUTIONS = {"conv3": 3, "conv5": 5, "depthwise3": 3}
POOLS = ("max", "average")
OPERATIONS = (*CONVOLUTIONS, *POOLS, "identity")


@dataclass(frozen=True, slots=True)
class ConvCellConfig(CellLayers):
    """Settings of :class:`~hwnas_hls_plugins.spaces.conv_cell.ConvCellSpace`; one value makes no knob.

    Args:
        image: height, width and channels of the inputs, where the task says nothing of them; a
            series has height 1.
        max_cells: most times that the cell is repeated.
        operations: what an operation may be: convolutions with windows of 3 and 5, one of 3 that
            sees a channel at a time (``depthwise3``), pooling of 2 by ``max`` or ``average``,
            ``identity``. A series has windows of height 1.
        filters: filters of a convolution that is not added to another.
        head_pools: side of the windows that are averaged behind the last cell; 1 leaves it out.
        head_widths: neurons of a hidden layer before the output; 0 leaves it out.
        strategies: ``Resource`` among them is for the dense layers; convolutions are unrolled.
        Everything else as in :class:`~hwnas_hls_plugins.spaces.cell_config.CellLayers`.
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
            raise ValueError(f"image: {list(self.image)} is not [height, width, channels]")
        if not 1 <= self.max_cells <= 8:
            raise ValueError(f"max_cells: {self.max_cells} is not between 1 and 8")
        check("operations", self.operations, *among(OPERATIONS))
        if not set(self.operations) & set(CONVOLUTIONS):
            raise ValueError(f"operations: none of {', '.join(CONVOLUTIONS)} is among them")
        check("filters", self.filters, lambda count: count >= 1, "at least 1")
        check("head_pools", self.head_pools, lambda side: side in (1, 2, 4, 8), "one of 1, 2, 4, 8")
        check("head_widths", self.head_widths, lambda width: width >= 0, "at least 0")
        if self.strategies == ("Resource",):
            raise ValueError("strategies: convolutions want one that unrolls them beside Resource")
