"""The settings of the spaces of cells, with defaults and checks."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas_hls_plugins.spaces.layer_settings import LayerSettings, check

#: Kinds of operations: a dense layer, or the identity.
OPERATIONS = ("dense", "identity")
#: How the output of an operation is combined with that of an earlier one.
SKIPS = ("none", "add", "concatenate")


@dataclass(frozen=True, slots=True)
class CellLayers(LayerSettings):
    """Settings of the operations; a setting with one value is not a knob.

    Args:
        max_operations: maximum number of operations per cell.
        skips: ``none``, or ``add`` or ``concatenate`` with the output of an earlier operation.
        Other settings: as in :class:`~hwnas_hls_plugins.spaces.layer_settings.LayerSettings`.
    """

    max_operations: int = 3
    skips: tuple[str, ...] = SKIPS

    def __post_init__(self) -> None:
        if not 1 <= self.max_operations <= 8:
            raise ValueError(f"max_operations must be between 1 and 8, not {self.max_operations}")
        check("skips", self.skips, lambda skip: skip in SKIPS, f"one of {', '.join(SKIPS)}")
        if "none" not in self.skips:
            raise ValueError("skips must include none, for operations without a matching shape")
        LayerSettings.__post_init__(self)


@dataclass(frozen=True, slots=True)
class CellConfig(CellLayers):
    """Settings of :class:`~hwnas_hls_plugins.spaces.cell.CellSpace`; one value makes no knob.

    Args:
        max_cells: maximum number of repetitions of the cell.
        widths: neurons of an operation that is not added to another.
        stems: whether a dense layer maps the inputs to the cell's width before the first cell.
        Other settings: as in :class:`CellLayers`.
    """

    max_cells: int = 3
    widths: tuple[int, ...] = (4, 6, 8, 12, 16, 24, 32, 48)
    stems: tuple[bool, ...] = (False, True)

    def __post_init__(self) -> None:
        CellLayers.__post_init__(self)
        if not 1 <= self.max_cells <= 8:
            raise ValueError(f"max_cells must be between 1 and 8, not {self.max_cells}")
        check("widths", self.widths, lambda width: width >= 1, "at least 1")
        check("stems", self.stems, lambda flag: isinstance(flag, bool), "true or false")
