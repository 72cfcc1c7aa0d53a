"""Compares a written project with its design: types, reuse factors, strategies, part, clock, weights.

hls4ml drops or changes settings without an error (a misspelt layer, an illegal reuse factor, a
misplaced part). Any difference between project and design is an error here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import ErrorKind, HwnasError, ReportError
from hwnas_hls.hls4ml.graph import NO_BIAS, SLOPE, Node, NodeGraph, kernel
from hwnas_hls.hls4ml.written import WrittenLayer, WrittenProject, read_written
from hwnas_hls.network.design import Design
from hwnas_hls.network.layers import LEAKY_SLOPE, Conv2D, Layer, Pool2D, Weighted
from hwnas_hls.protocols.target import Target

DEFINES, PARAMETERS = "firmware/defines.h", "firmware/parameters.h"


def check_project(
    graph: NodeGraph, target: Target, folder: Path, clock_ns: float, backend: str, blame: str
) -> None:
    """Compare the written firmware, Tcl and weights with the design of ``graph`` exactly.

    The weights of ``distributed_arithmetic`` layers are part of the code and not compared.

    Args:
        folder: the project folder.
        blame: beginning of the message: the cause of a difference.

    Raises:
        HwnasError: a setting differs; the message names the file and both values.
    """
    try:
        firmware = read_written(folder)
    except ReportError as error:
        raise HwnasError(f"{blame}: {error}", kind=error.kind) from error
    for fact in _facts(graph, target, firmware, clock_ns, backend):
        if fact.asked != fact.found:
            raise HwnasError(
                f"{blame}: {fact.file}: {fact.what} is {fact.found}, expected {fact.asked}",
                kind=ErrorKind.MISMATCH,
            )
    for node, layer in zip(graph.calls, firmware.layers, strict=True):
        if layer.weights:
            _check_weights(graph.design, node.number, layer, folder / "firmware" / "weights", blame)


@dataclass(frozen=True, slots=True)
class _Fact:
    file: str
    what: str
    asked: object
    found: object


def _facts(
    graph: NodeGraph, target: Target, firmware: WrittenProject, clock_ns: float, backend: str
) -> Iterator[_Fact]:
    design = graph.design
    architecture, code = design.architecture, f"firmware/{firmware.name}.cpp"
    yield _Fact("project.tcl", "part", target.part, firmware.part)
    yield _Fact("project.tcl", "clock period in ns", float(clock_ns), firmware.clock_ns)
    yield _Fact("project.tcl", "backend", backend.lower(), firmware.backend)
    yield _Fact(code, "io type", architecture.io_type, firmware.io_type)
    calls = graph.calls
    yield _Fact(
        code,
        "order of layers",
        [node.kind for node in calls],
        [layer.kind for layer in firmware.layers],
    )
    yield _Fact(DEFINES, "type of the input", str(graph.input.result), str(firmware.input))
    yield _Fact(DEFINES, "type of the output", str(design.layer_types()[-1][2]), str(firmware.output))
    widths = {graph.input.name: architecture.n_in}
    behind = graph.flattened
    for node, written in zip(calls, firmware.layers, strict=True):
        layer = architecture.layers[node.number]
        where = f"of layer {node.number}"
        widths[node.name] = layer.n_out
        inputs = tuple(behind.get(name, name) for name in node.inputs)
        what = "sums" if node.kind == layer.kind else f"{node.kind} result"
        yield _Fact(code, f"inputs of the {node.kind} {where}", inputs, written.inputs)
        yield _Fact(code, f"shape {where}", (widths[inputs[0]], layer.n_out), (written.n_in, written.n_out))
        yield _Fact(DEFINES, f"type of the {what} {where}", str(node.result), str(written.result))
        if node.kind == "leaky_relu":
            yield _Fact(code, f"slope {where}", LEAKY_SLOPE, float(written.settings.get("slope", "nan")))
            yield _Fact(DEFINES, f"type of the slope {where}", str(SLOPE), str(written.param))
        elif node.kind == layer.kind:
            yield from _of_layer(node, layer, written, where)
        yield from _of_image(node, layer, written, where)


def _of_layer(node: Node, layer: Layer, written: WrittenLayer, where: str) -> Iterator[_Fact]:
    by_code = written.strategy == "distributed_arithmetic"
    if isinstance(layer, Weighted):
        yield _Fact(PARAMETERS, f"strategy {where}", layer.strategy.lower(), written.strategy)
        yield _Fact(PARAMETERS, f"reuse factor {where}", layer.reuse_factor, written.reuse_factor)
        if not by_code:
            yield _Fact(DEFINES, f"weight type {where}", str(layer.weight), str(written.weight))
            yield _Fact(DEFINES, f"bias type {where}", str(layer.bias or NO_BIAS), str(written.bias))
            yield _Fact(PARAMETERS, f"number of weight arrays {where}", 2, len(written.weights))
    if node.accum is not None and not by_code:
        yield _Fact(DEFINES, f"accumulator type {where}", str(node.accum), str(written.accum))


def _of_image(node: Node, layer: Layer, written: WrittenLayer, where: str) -> Iterator[_Fact]:
    """The other settings of a convolution, pooling or concatenation of images."""
    asked: dict[str, object] = {}
    if isinstance(layer, Conv2D) and node.kind == layer.kind:
        asked |= {"filt_height": layer.kernel_height, "filt_width": layer.kernel_width}
        asked |= {"stride_height": 1, "stride_width": 1}
        if written.strategy != "distributed_arithmetic":  # its padding is part of the code
            above, left = layer.margins
            asked |= {"pad_top": above, "pad_bottom": above, "pad_left": left, "pad_right": left}
    elif isinstance(layer, Pool2D):
        asked |= {"pool_op": layer.pooling.capitalize(), "pad_top": 0, "pad_left": 0}
        asked |= {"pool_height": layer.pool_height, "pool_width": layer.pool_width}
        asked |= {"stride_height": layer.pool_height, "stride_width": layer.pool_width}
    elif node.kind == "concatenate":
        asked |= {"axis": 1 if node.image is None else 3}
    if node.image is not None and "stride_height" in asked:
        asked |= {"out_height": node.image[0], "out_width": node.image[1]}
    for name, value in asked.items():
        yield _Fact(PARAMETERS, f"{name} {where}", str(value), written.settings.get(name))


def _check_weights(design: Design, number: int, written: WrittenLayer, folder: Path, blame: str) -> None:
    import numpy as np

    layer, weight, bias = design.architecture.layers[number], kernel(design, number), design.biases[number]
    if not isinstance(layer, Weighted):
        raise HwnasError(
            f"{blame}: {written.name} has weights, but its layer has none", kind=ErrorKind.MISMATCH
        )
    # The Resource strategy keeps its weights transposed.
    flat = (np.moveaxis(weight, -1, 0) if written.strategy == "resource" else weight).ravel()
    offsets = (
        (np.zeros(weight.shape[-1], np.int64), 0)
        if bias is None
        else (bias, (layer.bias or NO_BIAS).fraction)
    )
    for array, (integers, fraction) in zip(
        written.weights, ((flat, layer.weight.fraction), offsets), strict=True
    ):
        path = folder / f"{array}.txt"
        try:
            found = np.array([float(value) for value in path.read_text().split(",")])
        except (OSError, ValueError) as error:
            raise HwnasError(
                f"{blame}: {path.name} is not readable: {error}", kind=ErrorKind.WRONG_FORMAT
            ) from error
        asked = integers * 2.0**-fraction
        if found.shape != asked.shape:
            raise HwnasError(
                f"{blame}: {path.name} has {len(found)} values, expected {len(asked)}",
                kind=ErrorKind.MISMATCH,
            )
        for place in np.flatnonzero(found != asked)[:1]:
            raise HwnasError(
                f"{blame}: {path.name}: value {place} is {found[place]}, expected {asked[place]}",
                kind=ErrorKind.MISMATCH,
            )
