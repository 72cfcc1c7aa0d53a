"""A drawing of a network as a small inline SVG: one column of nodes per layer, with widths and types.

Connections that are not between neighbouring layers are drawn as arcs above the columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.network.layers import Conv2D, Dense, Layer, Merge, Pool2D

if TYPE_CHECKING:
    from hwnas_hls.network.architecture import Architecture
    from hwnas_hls.network.design import Design
    from hwnas_hls.network.precision import FixedType

#: Maximum number of nodes per column; a wider layer has an ellipsis in the middle.
MAX_NODES = 7
COLUMN_PX = 108
ROW_PX = 20
RADIUS_PX = 6
MARGIN_PX = 12
CAPTION_PX = 60
#: Space above the nodes for arcs.
ARC_PX = 34


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the drawing.

    Args:
        x: of its centre.
        nodes: heights of the drawn nodes.
        gap: heights of the three dots of the ellipsis.
        role: ``input``, ``hidden`` or ``output``.
        width: actual number of nodes.
        caption: activation, or ``inputs``.
        kind: width and integer bits of its output type.
        modes: rounding and overflow of that type, if not the defaults.
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
    """The data of the drawing for the template; all lengths in SVG user units."""

    width: float
    height: float
    radius: float
    columns: tuple[Column, ...]
    edges: tuple[str, ...]
    description: str


def draw(design: Design) -> Drawing:
    """The drawing of a design's network, from inputs on the left to outputs on the right."""
    architecture = design.architecture
    widths = [architecture.n_in, *(layer.n_out for layer in architecture.layers)]
    captions = ["inputs", *(_caption(layer) for layer in architecture.layers)]
    if architecture.scaling is not None:
        captions[:2] = ["words", "scaled"]
    kinds = [architecture.input, *(result for _, _, result in design.layer_types())]
    rows = min(max(widths), MAX_NODES)
    room = 0 if _is_straight(architecture) else ARC_PX
    middle = MARGIN_PX + RADIUS_PX + (rows - 1) * ROW_PX / 2
    columns = []
    for place, (width, caption, kind) in enumerate(zip(widths, captions, kinds, strict=True)):
        nodes, gap = _heights(width, middle + room)
        role = "input" if place == 0 else "output" if place == len(widths) - 1 else "hidden"
        x = COLUMN_PX * (place + 0.5)
        columns.append(Column(x, nodes, gap, role, width, caption, *_short(kind)))
    # The input is column 0, layer k column k + 1.
    paths = [
        _path(
            columns[source + 1],
            columns[number + 1],
            # The scaling takes each word by itself.
            whole=isinstance(layer, Dense | Conv2D) and (number > 0 or architecture.scaling is None),
        )
        for number, layer in enumerate(architecture.layers)
        for source in architecture.sources(number)
    ]
    what = "dense layers" if architecture.is_chain else "layers"
    return Drawing(
        width=COLUMN_PX * len(columns),
        height=2 * middle + room + CAPTION_PX,
        radius=RADIUS_PX,
        columns=tuple(columns),
        edges=tuple(paths),
        description=(
            f"network of {len(architecture.layers)} {what}, widths {architecture.shape}, activations "
            + ", ".join(layer.activation for layer in architecture.layers)
        ),
    )


def _is_straight(architecture: Architecture) -> bool:
    """Whether the only source of every layer is the previous one."""
    layers = range(len(architecture.layers))
    return all(architecture.sources(number) == (number - 1,) for number in layers)


def _caption(layer: Layer) -> str:
    if isinstance(layer, Pool2D):
        return f"{layer.pooling} {layer.pool_height} × {layer.pool_width}"
    if isinstance(layer, Dense):
        return layer.activation
    kind = "depthwise" if isinstance(layer, Conv2D) and layer.depthwise else "conv"
    name = layer.merge if isinstance(layer, Merge) else f"{kind} {layer.kernel_height} × {layer.kernel_width}"
    return name if layer.activation == "linear" else f"{name}, {layer.activation}"


def _path(a: Column, b: Column, *, whole: bool) -> str:
    """The lines between two columns as the data of an SVG path; an arc if other columns are between."""
    if b.x - a.x > COLUMN_PX:
        left, right = a.nodes[0] - RADIUS_PX, b.nodes[0] - RADIUS_PX
        top = min(left, right) - ARC_PX
        return f"M{a.x:g} {left:g}C{a.x:g} {top:g} {b.x:g} {top:g} {b.x:g} {right:g}"
    if whole:
        return _edges(a, b)
    ends = zip(a.nodes, b.nodes, strict=False)
    return "".join(f"M{a.x + RADIUS_PX:g} {y:g}L{b.x - RADIUS_PX:g} {z:g}" for y, z in ends)


def _heights(width: int, middle: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    shown = min(width, MAX_NODES)
    top = middle - (shown - 1) * ROW_PX / 2
    rows = [top + ROW_PX * row for row in range(shown)]
    if width <= MAX_NODES:
        return tuple(rows), ()
    centre = rows.pop(shown // 2)
    return tuple(rows), (centre - 5, centre, centre + 5)


def _edges(a: Column, b: Column) -> str:
    """All lines between two neighbouring columns as the data of an SVG path."""
    left, right = a.x + RADIUS_PX, b.x - RADIUS_PX
    return "".join(f"M{left:g} {y:g}L{right:g} {z:g}" for y in a.nodes for z in b.nodes)


def _short(kind: FixedType) -> tuple[str, str]:
    modes = "" if (kind.rounding, kind.overflow) == ("TRN", "WRAP") else f"{kind.rounding}, {kind.overflow}"
    return f"{'' if kind.signed else 'u'}fixed<{kind.width},{kind.integer}>", modes
