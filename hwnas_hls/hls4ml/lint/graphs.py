"""Lint rules for networks other than chains of dense layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hwnas_hls.errors import Unsupported
from hwnas_hls.hls4ml.graph import graph_of, uses_dataflow
from hwnas_hls.hls4ml.lint.finding import Finding, pitfall
from hwnas_hls.network.architecture import INPUT
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import Conv2D, Dense, Layer, Merge
from hwnas_hls.network.limits import TABLES, UNROLL_LIMIT


def words(layer: Layer) -> str:
    """A short name of a layer for findings."""
    if isinstance(layer, Dense):
        return f"{layer.n_in}x{layer.n_out}, {layer.strategy}"
    if isinstance(layer, Conv2D):
        kind = "depthwise" if layer.depthwise else "convolution"
        window = f"{layer.kernel_height}x{layer.kernel_width}"
        return f"{kind} {window}, {layer.in_channels} to {layer.filters} channels, {layer.strategy}"
    return f"{layer.merge}" if isinstance(layer, Merge) else f"{layer.pooling} pooling"


def graph_findings(design: Design) -> Iterator[Finding]:
    """The findings that apply only to networks other than chains."""
    architecture = design.architecture
    if architecture.is_chain:
        return
    try:
        graph_of(design)
    except Unsupported as error:
        if not any(layer.activation in TABLES for layer in architecture.layers):
            yield pitfall("graph", "network", str(error), "change the graph there")
    for number, layer in enumerate(architecture.layers):
        if layer.n_out > UNROLL_LIMIT:  # as for products: hls4ml partitions every array completely
            yield pitfall(
                "unroll-limit",
                f"layer {number} ({words(layer)})",
                f"{layer.n_out} outputs, above the limit of {UNROLL_LIMIT} for partitioned arrays",
                "use a smaller image or fewer filters",
            )
    takers = Counter(
        source for number in range(len(architecture.layers)) for source in architecture.sources(number)
    )
    shared = [number for number, count in sorted(takers.items()) if count > 1]
    if shared and uses_dataflow(architecture):
        names = ", ".join("the input" if number == INPUT else f"layer {number}" for number in shared)
        yield pitfall(
            "dataflow-fork",
            "network",
            f"several layers read the outputs of {names}, and a Resource layer or a convolution puts the "
            "network under DATAFLOW, where Vitis HLS requires one reader per array (UG1399)",
            "use Latency or distributed_arithmetic everywhere (one pipeline), or check with the vendor's "
            "tool",
        )
