"""The space of networks with several cells, whose contents and order are searched together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.protocols.synthesizer import Synthesizer
from hwnas_hls.values.candidate import Value
from hwnas_hls_plugins.spaces.cell import CellNetworkSpace
from hwnas_hls_plugins.spaces.cell_builder import CellNetwork
from hwnas_hls_plugins.spaces.cell_config import OPERATIONS, CellLayers
from hwnas_hls_plugins.spaces.cell_table import CellTable
from hwnas_hls_plugins.spaces.knob_families import Condition
from hwnas_hls_plugins.spaces.layer_knobs import OUTPUT
from hwnas_hls_plugins.spaces.layer_settings import check

if TYPE_CHECKING:
    from hwnas_hls.protocols.task import Dataset

#: Change of the width from one position to the next.
RESIZES = ("halve", "keep", "double")
_FACTORS = {"halve": 0.5, "keep": 1.0, "double": 2.0}
#: Minimum width of a cell.
_NARROWEST = 2


@dataclass(frozen=True, slots=True)
class HierarchicalConfig(CellLayers):
    """Settings of :class:`HierarchicalSpace`; a setting with one value is not a knob.

    Args:
        kinds: number of different cells.
        max_positions: maximum number of cells in sequence.
        widths: neurons of an operation of the first cell that is not added to another.
        resizes: changes of that width from one cell to the next.
        max_width: maximum width after doubling.
        Other settings: as in :class:`~hwnas_hls_plugins.spaces.cell_config.CellLayers`.
    """

    kinds: int = 2
    max_positions: int = 4
    widths: tuple[int, ...] = (4, 6, 8, 12, 16, 24, 32, 48)
    resizes: tuple[str, ...] = RESIZES
    max_width: int = 64
    max_operations: int = 2

    def __post_init__(self) -> None:
        CellLayers.__post_init__(self)
        for name, most in (("kinds", 4), ("max_positions", 8)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between 1 and {most}, not {getattr(self, name)}")
        check("widths", self.widths, lambda width: width >= _NARROWEST, f"at least {_NARROWEST}")
        check("resizes", self.resizes, lambda resize: resize in RESIZES, f"one of {', '.join(RESIZES)}")
        if self.max_width < max(self.widths):
            raise ValueError(
                f"max_width ({self.max_width}) is below the largest of widths ({max(self.widths)})"
            )


class HierarchicalSpace(CellNetworkSpace):
    """Several cells (``a``, ``b``, ...) with their own operations, and their sequence: which cell is at
    which position, and how the width changes from there.

    Args:
        config: settings.
        task: determines the number of inputs and outputs.
        synthesizer: of the run; determines the HLS strategies unless the config sets them.

    Raises:
        UserError: a layer is too large to unroll for all widths, and ``Resource`` is not among the
            strategies.
    """

    name = "hierarchical"
    Config = HierarchicalConfig
    config: HierarchicalConfig

    def __init__(
        self, config: HierarchicalConfig, task: Dataset, synthesizer: Synthesizer | None = None
    ) -> None:
        super().__init__(config, task, synthesizer)
        self._kinds = "abcd"[: config.kinds]
        table = CellTable(config, self.strategies, OPERATIONS, ("dense",))
        positions = range(1, config.max_positions + 1)
        table.fill(table.knob("positions", positions, "number of cells in sequence"))
        table.fill(table.knob("width", config.widths, "neurons of an operation of the first cell"))
        for position in positions:
            exists: Condition = None
            if position > 1:
                exists = ("positions", tuple(range(position, config.max_positions + 1)))
            table.fill(
                table.knob("cell", tuple(self._kinds), "cell at this position", exists, position, False)
            )
            if position > 1:
                table.fill(
                    table.knob(
                        "resize",
                        config.resizes,
                        "change of width from the previous cell",
                        exists,
                        position,
                        ordered=False,
                    )
                )
        table.fill(table.inputs())
        for kind in self._kinds:
            table.fill(table.cell(kind))
        table.fill(table.hardware(OUTPUT, None))
        self._take(table)

    def network(self, values: Mapping[str, Value]) -> CellNetwork:
        network = CellNetwork(self._table, values, self.n_in)
        end = network.graph.input
        for kind, width in zip(self._order(values), self._widths(values), strict=True):
            end = network.cell(end, width, kind)
        network.dense(OUTPUT, end, self.n_out)
        return network

    def settle(self, values: dict[str, Value]) -> None:
        """Rename the cells in order of appearance, and reset unused ones."""
        order = list(dict.fromkeys(self._order(values)))
        unused = [kind for kind in self._kinds if kind not in order]
        names = dict(zip([*order, *unused], self._kinds, strict=True))
        if any(old != new for old, new in names.items()):
            old_values = dict(values)
            values.clear()
            for name, value in old_values.items():
                family, _, tag = name.rpartition("_")
                if _of_cell(name):
                    name = f"{family}_{names[tag[0]]}{tag[1:]}"
                values[name] = names[str(value)] if family == "cell" else value
        for kind in self._kinds[len(order) :]:
            self._reset(values, kind)

    def shrink(self, values: dict[str, Value], tag: str) -> bool:
        doubled = [name for name in values if name.startswith("resize_") and values[name] == "double"]
        if doubled:
            kept = [resize for resize in self.config.resizes if resize != "double"]
            if kept:
                values[doubled[-1]] = kept[-1]
                return True
        return self._table.lower(values, "width") or self.separate_last(values)

    def _order(self, values: Mapping[str, Value]) -> list[str]:
        """The cell at each position."""
        table = self._table
        count = int(table.value(values, "positions"))
        return [str(table.value(values, "cell", str(position))) for position in range(1, count + 1)]

    def _widths(self, values: Mapping[str, Value]) -> list[int]:
        """The width at each position."""
        table = self._table
        found = [int(table.value(values, "width"))]
        for position in range(2, int(table.value(values, "positions")) + 1):
            wanted = round(found[-1] * _FACTORS[table.value(values, "resize", str(position))])
            found.append(min(max(wanted, _NARROWEST), self.config.max_width))
        return found

    def _reset(self, values: dict[str, Value], kind: str) -> None:
        """Set all knobs of an unused cell to their first values."""
        table = self._table
        for name in [*values]:
            if _of_cell(name) and name.rpartition("_")[2][0] == kind:
                del values[name]
        table.first(values, "operations", kind)
        tag = f"{kind}1"
        for knob in table.knobs.values():
            if knob.name.rpartition("_")[2] == tag and knob.active(values):
                values[knob.name] = knob.choices[0]


def _of_cell(name: str) -> bool:
    """Whether a knob belongs to one of the cells."""
    family, _, tag = name.rpartition("_")
    return family == "operations" or (tag[:1] in "abcd" and tag[1:].isdigit())
