"""The torch module of a design, the input of hls4ml's conversion."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from hwnas_hls.hls4ml.feature_cast import cast_name, feature_cast
from hwnas_hls.hls4ml.graph import Node, NodeGraph, kernel
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import LEAKY_SLOPE, Conv2D, Pool2D, Weighted


def torch_module(graph: NodeGraph) -> Any:
    """The torch module that hls4ml converts: float64 weights, exactly on their grids."""
    import torch

    design, nodes = graph.design, graph.nodes
    modules = {node.name: _module(design, node) for node in nodes}
    if design.architecture.is_chain:
        parts: dict[str, Any] = {}
        types = design.layer_types()
        # Numbered without the casts, whose names are their own.
        for place, node in enumerate(nodes):
            own = design.own_inputs(node.number)
            if own and node.kind == "dense":
                # Features are cast by truncation and wrapping, results by the modes of their layer.
                kind = types[node.number][0] if node.number else design.architecture.input.plain
                parts[cast_name(node.number)] = feature_cast(own, kind)
            parts[str(place)] = modules[node.name]
        return torch.nn.Sequential(OrderedDict(parts)).eval()

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, module in modules.items():
                if module is not None:
                    self.add_module(name, module)

        def forward(self, x: Any) -> Any:
            held = {graph.input.name: x}
            for node in nodes:
                given = [held[name] for name in node.inputs]
                if node.kind == "add":
                    held[node.name] = given[0] + given[1]
                elif node.kind == "concatenate":
                    held[node.name] = torch.cat(given, dim=1)
                else:
                    held[node.name] = getattr(self, node.name)(*given)
            return held[nodes[-1].name]

    return Network().eval()


def _module(design: Design, node: Node) -> Any:
    import torch

    layer = design.architecture.layers[node.number]
    if node.kind in ("dense", "conv2d"):
        return _weighted_module(design, node)
    if node.kind == "pool2d" and isinstance(layer, Pool2D):
        pooling = torch.nn.MaxPool2d if layer.pooling == "max" else torch.nn.AvgPool2d
        return pooling((layer.pool_height, layer.pool_width))
    makers: dict[str, Callable[[], Any]] = {
        "relu": torch.nn.ReLU,
        "leaky_relu": lambda: torch.nn.LeakyReLU(LEAKY_SLOPE),
        "flatten": torch.nn.Flatten,
    }
    return makers[node.kind]() if node.kind in makers else None


def _weighted_module(design: Design, node: Node) -> Any:
    import torch

    layer, bias = design.architecture.layers[node.number], design.biases[node.number]
    if not isinstance(layer, Weighted):
        return None
    weight = kernel(design, node.number)
    module: Any
    if isinstance(layer, Conv2D):
        module = torch.nn.Conv2d(
            layer.in_channels,
            layer.filters,
            (layer.kernel_height, layer.kernel_width),
            padding=layer.margins,
            bias=bias is not None,
            dtype=torch.float64,
        )
        weight = weight.transpose(3, 2, 0, 1)
    else:
        module = torch.nn.Linear(layer.n_in, layer.n_out, bias=bias is not None, dtype=torch.float64)
        if node.taken is not None:  # torch flattens channels first; hls4ml reverts that
            weight = weight.reshape(*node.taken, -1).transpose(2, 0, 1, 3).reshape(weight.shape)
        weight = weight.T
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight * 2.0**-layer.weight.fraction))
        if bias is not None and layer.bias is not None:
            module.bias.copy_(torch.from_numpy(bias * 2.0**-layer.bias.fraction))
    return module
