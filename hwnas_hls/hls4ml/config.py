"""hls4ml's configuration of a design: types, reuse factor and strategy of every node."""

from __future__ import annotations

from typing import Any

from hwnas_hls.hls4ml.feature_cast import cast_name
from hwnas_hls.hls4ml.graph import NO_BIAS, SLOPE, Node, NodeGraph
from hwnas_hls.network.fields import HlsStrategy
from hwnas_hls.network.layers import Layer, Weighted

# Disabled: hls4ml would move large weight arrays to block RAM interfaces.
_BRAM_FACTOR = 10**9


def hls_config(graph: NodeGraph) -> dict[str, Any]:
    """The ``hls_config`` that makes hls4ml build exactly this design.

    The types, reuse factor and strategy of every layer are set explicitly.
    """
    design, image = graph.design, graph.input.image
    architecture = design.architecture
    names: dict[str, Any] = {graph.input.name: {"Precision": {"result": str(graph.input.result)}}}
    before = graph.input
    for node in graph.nodes:
        if node.number != before.number and design.own_inputs(node.number):
            # A cast gives values of the type that it takes.
            names[cast_name(node.number)] = {"Precision": {"result": str(before.result)}}
        names[node.name] = _settings(node, graph.layer(node))
        before = node
    return {
        "InputShape": (architecture.n_in,) if image is None else (image[2], image[0], image[1]),
        "Model": {
            "Precision": {"default": "fixed<16,6>"},
            "ReuseFactor": 1,
            "Strategy": "Latency",
            "BramFactor": _BRAM_FACTOR,
            # Off: hls4ml would infer all types again where the project has casts.
            **({"BitExact": False} if design.features or design.neurons else {}),
            # Without these two, torch's weights are built untransposed and nothing says so. For
            # images, "full" would transpose the input too, which arrives channels last already.
            "ChannelsLastConversion": (
                "full" if architecture.is_chain and architecture.io_type == "io_parallel" else "internal"
            ),
            "TransposeOutputs": False,
        },
        "LayerName": names,
    }


def _settings(node: Node, layer: Layer) -> dict[str, Any]:
    precision = {"result": str(node.result)}
    if node.accum is not None:
        precision = {"accum": str(node.accum)} | precision
    if node.kind == "leaky_relu":
        precision["param"] = str(SLOPE)
    if not (isinstance(layer, Weighted) and node.kind == layer.kind):
        return {"Precision": precision}
    precision = {"weight": str(layer.weight), "bias": str(layer.bias or NO_BIAS)} | precision
    # A plain string: YAML's safe dumper knows no subclass of it.
    strategy = HlsStrategy(layer.strategy).value
    return {"Precision": precision, "ReuseFactor": layer.reuse_factor, "Strategy": strategy}
