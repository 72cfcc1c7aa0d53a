"""Pitfalls of networks that are no chains of dense layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hwnas_hls.errors import Unsupported
from hwnas_hls.hls4ml.graph import nodes_of
from hwnas_hls.hls4ml.pitfall import TABLES, UNROLL_LIMIT, Finding
from hwnas_hls.network.architecture import INPUT, Architecture
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import Conv2D, Dense, Layer, Merge, Weighted


def words(layer: Layer) -> str:
    """A layer in a few words, as findings name it."""
    if isinstance(layer, Dense):
        return f"{layer.n_in}x{layer.n_out}, {layer.strategy}"
    if isinstance(layer, Conv2D):
        kind = "depthwise" if layer.depthwise else "convolution"
        window = f"{layer.kernel_height}x{layer.kernel_width}"
        return f"{kind} {window}, {layer.in_channels} to {layer.filters} channels, {layer.strategy}"
    return f"{layer.merge}" if isinstance(layer, Merge) else f"{layer.pooling} pooling"


def graph_findings(design: Design) -> Iterator[Finding]:
    """What only networks that are no chains step into."""
    architecture = design.architecture
    if architecture.is_chain:
        return
    try:
        nodes_of(design)
    except Unsupported as error:
        if not any(getattr(layer, "activation", "") in TABLES for layer in architecture.layers):
            yield Finding("graph", "error", "network", str(error), "change the graph there")
    for number, layer in enumerate(architecture.layers):
        if layer.n_out > UNROLL_LIMIT:  # as for products: hls4ml partitions every array wholly
            yield Finding(
                "unroll-limit",
                "warning",
                f"layer {number} ({words(layer)})",
                f"{layer.n_out} outputs, above the {UNROLL_LIMIT} values of an array that are partitioned",
                "use a smaller image or fewer filters",
            )
    takers = Counter(
        source for number in range(len(architecture.layers)) for source in architecture.sources(number)
    )
    shared = [number for number, count in sorted(takers.items()) if count > 1]
    if shared and uses_dataflow(architecture):
        names = ", ".join("the input" if number == INPUT else f"layer {number}" for number in shared)
        yield Finding(
            "dataflow-fork",
            "warning",
            "network",
            f"several layers read the outputs of {names}, and a Resource layer or a convolution puts the "
            "network under DATAFLOW, where Vitis HLS wants one reader an array (UG1399)",
            "use Latency or distributed_arithmetic everywhere (one pipeline), or have the vendor's tool "
            "confirm it",
        )


def uses_dataflow(architecture: Architecture) -> bool:
    """Whether hls4ml builds it as processes under DATAFLOW rather than as one pipeline."""
    return architecture.io_type == "io_stream" or any(
        (isinstance(layer, Weighted) and layer.strategy == "Resource")
        or (isinstance(layer, Conv2D) and layer.out_height * layer.out_width > 1)
        for layer in architecture.layers
    )
