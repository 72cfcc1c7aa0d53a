"""The rows of a card's table of layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas_hls.network.features import bits_read
from hwnas_hls.network.layers import INPUT, Dense, Layer, Merge, Pool2D, Weighted
from hwnas_hls.spec.notation import figure

if TYPE_CHECKING:
    from hwnas_hls.network.architecture import Architecture
    from hwnas_hls.network.design import Design
    from hwnas_hls.network.precision import FixedType
    from hwnas_hls.protocols.exporter import Member
    from hwnas_hls.values.estimate import Estimate


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One row of a card's table of layers, as text; ``shares`` in the order of the card."""

    number: int
    shape: str
    activation: str
    weight: str
    bias: str
    accum: str
    result: str
    reuse_factor: str
    strategy: str
    zeros: str
    shares: tuple[str, ...]


def layer_rows(design: Design, member: Member, titles: tuple[str, ...]) -> list[LayerRow]:
    """One row per layer of the design, in order."""
    rows = []
    totals = {
        name: sum(layer[name].value for layer in member.layer_estimates if name in layer) for name in titles
    }
    architecture, design_types = design.architecture, design.layer_types()
    for number, layer in enumerate(architecture.layers):
        _, accum, result = design_types[number]
        parts: Mapping[str, Estimate] = (
            member.layer_estimates[number] if number < len(member.layer_estimates) else {}
        )
        weight = design.weights[number]
        weighted = layer if isinstance(layer, Weighted) else None
        bias = weighted.bias if weighted else None
        rows.append(
            LayerRow(
                number=number + 1,
                shape=_shape(architecture, number),
                activation=_activation(layer),
                weight=str(weighted.weight) if weighted else "none",
                bias="none" if bias is None else str(bias),
                accum=str(accum),
                result=_result(design, number, result),
                reuse_factor=str(weighted.reuse_factor) if weighted else "",
                strategy=weighted.strategy if weighted else "",
                zeros="" if weight is None else f"{100 * float((weight == 0).mean()):.0f} %",
                shares=tuple(_part(parts.get(name), totals[name]) for name in titles),
            )
        )
    return rows


def _shape(architecture: Architecture, number: int) -> str:
    """For example ``16 → 8``, ``conv 3 × 3: 4 × 4 × 1 → 4 × 4 × 8`` or ``add: 8 + 8 → 8 (of 1, 2)``."""
    layer = architecture.layers[number]
    if number == 0 and architecture.scaling is not None:
        words = f"scaling of {layer.n_out} words"
    elif isinstance(layer, Dense):
        words = f"{layer.n_in} → {layer.n_out}"
    elif isinstance(layer, Merge):
        words = f"{layer.merge}: {' + '.join(map(str, layer.input_widths))} → {layer.n_out}"
    else:
        taken = f"{layer.in_height} × {layer.in_width} × {layer.in_channels}"
        if isinstance(layer, Pool2D):
            kind, channels = f"{layer.pooling} {layer.pool_height} × {layer.pool_width}", layer.in_channels
        else:
            name = "depthwise" if layer.depthwise else "conv"
            kind = f"{name} {layer.kernel_height} × {layer.kernel_width}"
            channels = layer.filters
        words = f"{kind}: {taken} → {layer.out_height} × {layer.out_width} × {channels}"
    sources = architecture.sources(number)
    if sources == (number - 1,):
        return words
    return f"{words} (of {', '.join('input' if source == INPUT else str(source + 1) for source in sources)})"


def _result(design: Design, number: int, result: FixedType) -> str:
    """The type of the results, and their bits where neurons have types of their own."""
    own, count = design.own_results(number), design.architecture.layers[number].n_out
    if not own:
        return str(result)
    return f"{result}, {bits_read(own, result, count)} of {count * result.width} bits"


def _activation(layer: Layer) -> str:
    if isinstance(layer, Pool2D):
        return ""
    normalised = isinstance(layer, Weighted) and layer.normalisation == "batch"
    return layer.activation + (" (batch norm. folded)" if normalised else "")


def _part(estimate: Estimate | None, total: float) -> str:
    if estimate is None:
        return ""
    words = figure(estimate.metric, estimate.value)
    return f"{100 * estimate.value / total:.0f} % ({words})" if total > 0 else words
