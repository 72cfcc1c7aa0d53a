"""What the spaces of cells may hold: the settings that they share, their defaults and their checks."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls_plugins.spaces.layer_settings import LayerSettings, check

#: What an operation of a cell may be: a layer of neurons, or what it takes as it is.
OPERATIONS = ("dense", "identity")
#: How the output of an operation meets that of an earlier one.
SKIPS = ("none", "add", "concatenate")


@dataclass(frozen=True, slots=True)
class CellLayers(LayerSettings):
    """Settings of the operations; one with a single value is no knob.

    Args:
        max_operations: most operations of a cell.
        skips: whether an operation's output is added to an earlier one of the cell, or put beside.
        Everything else as in :class:`~hwnas_hls_plugins.spaces.layer_settings.LayerSettings`.
    """

    max_operations: int = 3
    skips: tuple[str, ...] = SKIPS

    def __post_init__(self) -> None:
        if not 1 <= self.max_operations <= 8:
            raise ValueError(f"max_operations: {self.max_operations} is not between 1 and 8")
        check("skips", self.skips, lambda skip: skip in SKIPS, f"one of {', '.join(SKIPS)}")
        if "none" not in self.skips:
            raise ValueError("skips: none is among them, for operations that nothing fits beside")
        LayerSettings.__post_init__(self)


@dataclass(frozen=True, slots=True)
class CellConfig(CellLayers):
    """Settings of :class:`~hwnas_hls_plugins.spaces.cell.CellSpace`; one with a single value is no knob.

    Args:
        max_cells: most times that the cell is repeated.
        widths: neurons of an operation that is not added to another.
        stems: whether a dense layer brings the inputs to the cell's width before the first cell.
        Everything else as in :class:`CellLayers`.
    """

    max_cells: int = 3
    widths: tuple[int, ...] = (4, 6, 8, 12, 16, 24, 32, 48)
    stems: tuple[bool, ...] = (False, True)

    def __post_init__(self) -> None:
        CellLayers.__post_init__(self)
        if not 1 <= self.max_cells <= 8:
            raise ValueError(f"max_cells: {self.max_cells} is not between 1 and 8")
        check("widths", self.widths, lambda width: width >= 1, "at least 1")
        check("stems", self.stems, lambda flag: isinstance(flag, bool), "true or false")
