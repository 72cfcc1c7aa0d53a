"""A network as a small inline SVG: one column of nodes a layer, widths and types beneath."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas_hls.design import Design
    from hwnas_hls.precision import FixedType

#: Nodes drawn in a column; a wider layer shows an ellipsis in its middle.
MAX_NODES = 7
COLUMN_PX = 108
ROW_PX = 20
RADIUS_PX = 6
MARGIN_PX = 12
CAPTION_PX = 60


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the drawing.

    Args:
        x: of its centre.
        nodes: heights of the drawn nodes.
        gap: heights of the three dots that stand for the nodes left out.
        role: ``input``, ``hidden`` or ``output``.
        width: nodes in truth.
        caption: activation, or ``inputs``.
        kind: width and integer bits of the type that leaves it.
        modes: that type's rounding and overflow, where they are not the default.
    """

    x: float
    nodes: tuple[float, ...]
    gap: tuple[float, ...]
    role: str
    width: int
    caption: str
    kind: str
    modes: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the template draws; all lengths in SVG user units."""

    width: float
    height: float
    radius: float
    columns: tuple[Column, ...]
    edges: tuple[str, ...]
    description: str


def draw(design: Design) -> Drawing:
    """The drawing of a design's network, from inputs on the left to outputs on the right."""
    architecture = design.architecture
    widths = [architecture.n_in, *(layer.n_out for layer in architecture.chain)]
    captions = ["inputs", *(layer.activation for layer in architecture.chain)]
    kinds = [architecture.input, *(result for _, _, result in design.layer_types())]
    rows = min(max(widths), MAX_NODES)
    middle = MARGIN_PX + RADIUS_PX + (rows - 1) * ROW_PX / 2
    columns = []
    for place, (width, caption, kind) in enumerate(zip(widths, captions, kinds, strict=True)):
        nodes, gap = _heights(width, middle)
        role = "input" if place == 0 else "output" if place == len(widths) - 1 else "hidden"
        x = COLUMN_PX * (place + 0.5)
        columns.append(Column(x, nodes, gap, role, width, caption, *_short(kind)))
    return Drawing(
        width=COLUMN_PX * len(columns),
        height=2 * middle + CAPTION_PX,
        radius=RADIUS_PX,
        columns=tuple(columns),
        edges=tuple(_edges(a, b) for a, b in itertools.pairwise(columns)),
        description=(
            f"network of {len(architecture.chain)} dense layers, widths {architecture.shape}, activations "
            + ", ".join(captions[1:])
        ),
    )


def _heights(width: int, middle: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    shown = min(width, MAX_NODES)
    top = middle - (shown - 1) * ROW_PX / 2
    rows = [top + ROW_PX * row for row in range(shown)]
    if width <= MAX_NODES:
        return tuple(rows), ()
    centre = rows.pop(shown // 2)
    return tuple(rows), (centre - 5, centre, centre + 5)


def _edges(a: Column, b: Column) -> str:
    """All lines between two columns as the data of one SVG path."""
    left, right = a.x + RADIUS_PX, b.x - RADIUS_PX
    return "".join(f"M{left:g} {y:g}L{right:g} {z:g}" for y in a.nodes for z in b.nodes)


def _short(kind: FixedType) -> tuple[str, str]:
    modes = "" if (kind.rounding, kind.overflow) == ("TRN", "WRAP") else f"{kind.rounding}, {kind.overflow}"
    return f"{'' if kind.signed else 'u'}fixed<{kind.width},{kind.integer}>", modes
