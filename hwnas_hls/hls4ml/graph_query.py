"""Reads an hls4ml ``ModelGraph`` as a query, without writing or compiling it.

Everything is read from the graph after hls4ml's own optimisers ran: the types it inferred, the reuse
factors it made legal, layers it fused. The query equals that of the written project
(:func:`hwnas_hls.hls4ml.folder.read_folder`).
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas_hls.errors import ErrorKind, HwnasError, Unsupported, UserError
from hwnas_hls.hls4ml.notes import Note, NoteKind, activation_of_inputs
from hwnas_hls.hls4ml.query import DEFAULT_CLOCK_NS, DEFAULT_PART, DEFAULT_TOOL, LayerQuery, Query
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ACTIVATIONS = ("Activation", "ParametrizedActivation", "HardActivation", "PReLU", "Softmax", "TernaryTanh")
#: They move or repack values; nothing is computed.
_SILENT = ("Input", "Repack", "Reshape", "Clone")


def query_of_graph(graph: Any, *, tool: str = "", stage: str = "csynth") -> Query:
    """The query of a graph that hls4ml converted; it need not be written or compiled.

    Args:
        graph: ``hls4ml.model.ModelGraph`` of a backend for Xilinx parts.
        tool: HLS compiler and version that will build it; empty takes the usual one of the backend.
        stage: stage of the query.

    Raises:
        Unsupported: a layer, type or backend of another kind, or branches; the layer is named.
        UserError: not such a graph.
    """
    from hwnas_hls.hls4ml.folder.settings import BACKENDS, DEFAULT_VIVADO, share_of_period

    if not hasattr(graph, "get_layers") or not hasattr(graph, "config"):
        raise UserError(
            "not a graph of hls4ml",
            where="query_of_graph",
            found=type(graph).__name__,
            remedy="give what hls4ml.converters.convert_from_... returns",
            kind=ErrorKind.WRONG_FORMAT,
        )
    config = graph.config
    backend = str(getattr(config.backend, "name", "") or "")
    backend = BACKENDS.get(backend.lower(), backend)
    if backend not in BACKENDS.values():
        raise Unsupported(f"backend {backend or 'none'}; only those for Xilinx parts are supported")
    out = _Chain(graph)
    for node in graph.get_layers():
        out.add(node)
    if not out.layers:
        raise Unsupported("no dense layer in the graph")
    if backend == "VivadoAccelerator":
        out.warnings.append(
            Note(NoteKind.REMARK, "hls4ml settles the part by the board when it writes such a project")
        )
    clock_ns = float(config.get_config_value("ClockPeriod") or DEFAULT_CLOCK_NS)
    spare = str(config.get_config_value("ClockUncertainty"))
    return Query(
        layers=tuple(out.layers),
        part=str(config.get_config_value("Part") or DEFAULT_PART),
        clock_ns=clock_ns,
        tool=tool or (DEFAULT_TOOL if backend.startswith("Vitis") else DEFAULT_VIVADO),
        stage=stage,
        clock_uncertainty=share_of_period(spare, clock_ns),
        io_type=str(config.get_config_value("IOType") or "io_parallel"),
        backend=backend,
        scope="core+AXI wrapper" if backend == "VivadoAccelerator" else "core",
        softmax=out.softmax,
        name=str(config.get_project_name()),
        warnings=tuple(out.warnings),
        reasons=tuple(out.reasons),
    )


class _Chain:
    """Layers in order, each dense one with the activation and normalisation behind it."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.layers: list[LayerQuery] = []
        self.softmax = ""
        self.warnings: list[Note] = []
        self.reasons: list[Note] = []
        self._previous: str | None = None

    def add(self, node: Any) -> None:
        kind, name = node.class_name, node.name
        if len(node.outputs) != 1 or (kind != "Input" and len(node.inputs) != 1):
            raise Unsupported(f"layer {name!r} ({kind}) branches: only chains of layers are supported")
        if kind != "Input" and self._previous is not None and node.inputs[0] != self._previous:
            raise Unsupported(f"layer {name!r} does not read the layer before it: only chains are supported")
        self._previous = node.outputs[0]
        if kind == "Dense":
            self.layers.append(self._dense(node))
        elif kind in _ACTIVATIONS:
            self._activation(node)
        elif kind == "BatchNormalization":
            self._normalisation(node)
        elif kind not in _SILENT:
            raise Unsupported(
                f"layer {name!r} is a {kind}: only dense layers, activations and batch "
                "normalisation are supported"
            )

    def _dense(self, node: Any) -> LayerQuery:
        from hwnas_hls.hls4ml.folder.dense import STRATEGIES

        where = f"layer {node.name!r}"
        written = str(node.get_attr("strategy") or "latency").lower()
        strategy = STRATEGIES.get(written, "Latency")
        source = _type(node.get_input_variable().type, f"{where}, input")
        result = _type(node.get_output_variable().type, f"{where}, result")
        layer = LayerQuery(
            n_in=int(node.get_attr("n_in")),
            n_out=int(node.get_attr("n_out")),
            input=source,
            accum=None,
            dense_out=result,
            result=result,
            reuse_factor=max(1, int(node.get_attr("reuse_factor") or 1)),
            strategy=strategy,
        )
        if strategy == "distributed_arithmetic" and node.get_attr("da_codegen") is not None:
            return self._distributed(node, layer)
        weight = _type(node.get_attr("weight_t"), f"{where}, weight")
        bias = _type(node.get_attr("bias_t"), f"{where}, bias")
        values, shape = dict(node.weights), (layer.n_in, layer.n_out)
        weights = _printed(values.get("weight"), weight, shape, strategy.startswith("Resource"))
        biases = _printed(values.get("bias"), bias, (layer.n_out,), False)
        if weights is None:
            self.warnings.append(
                Note(
                    NoteKind.UNREAD,
                    f"{where}: its weights could not be read; typical trained ones are assumed",
                )
            )
        if weight.width == 1 and not weight.signed:
            self.reasons.append(
                Note(
                    NoteKind.NO_DATA,
                    f"{where}: weights of one bit (+-1) are built from sign changes, not products",
                )
            )
            weight = FixedType(2, 2)
            weights = None if weights is None else 2 * weights - 1
        none_at_all = biases is not None and bias.width == 1 and not biases.any()
        return dataclasses.replace(
            layer,
            weight=weight,
            bias=None if none_at_all else bias,
            accum=_type(node.get_attr("accum_t"), f"{where}, accumulator"),
            n_nonzeros=None if weights is None else int(np.count_nonzero(weights)),
            weights=weights,
            biases=None if none_at_all else biases,
        )

    def _distributed(self, node: Any, layer: LayerQuery) -> LayerQuery:
        """hls4ml drops the weights of such a layer; its adder graph holds them."""
        from hwnas_hls.hls4ml.folder.adder_graph import read_graph

        code = str(node.get_attr("da_codegen"))
        found = re.search(r"void (dense_da_\w+)\(", code)
        graph = read_graph(code + "\n", found[1], layer.n_in, layer.n_out) if found else None
        if graph is None:
            self.warnings.append(
                Note(NoteKind.UNREAD, f"layer {node.name!r}: its adder graph could not be followed")
            )
            return dataclasses.replace(layer, weight=FixedType(16, 6))
        bias = graph.bias if graph.biases.any() else None
        return dataclasses.replace(
            layer,
            weight=graph.weight,
            bias=bias,
            weights=graph.weights,
            biases=graph.biases if bias is not None else None,
            n_nonzeros=int(np.count_nonzero(graph.weights)),
            reuse_factor=1,
        )

    def _activation(self, node: Any) -> None:
        from hwnas_hls.hls4ml.folder.layers import ACTIVATIONS

        match = re.search(r"nnet::(\w+)<", str(node.get_attr("function_cpp") or ""))
        function = match[1] if match else str(node.get_attr("activation") or node.class_name).lower()
        kind = ACTIVATIONS.get(function)
        if kind is None:
            raise Unsupported(f"layer {node.name!r}: activation {function} is not supported")
        if not self.layers:
            self.reasons.append(activation_of_inputs(str(node.name), kind))
            return
        last = self.layers[-1]
        if kind == "relu" and function != "relu":
            self.warnings.append(
                Note(
                    NoteKind.UNCOUNTED,
                    f"layer {node.name!r}: {function} is counted as relu; its upper limit costs more",
                )
            )
        if kind == "softmax":
            self.softmax = str(node.get_attr("implementation") or "stable")
        if kind != "linear" and last.activation != "linear":
            self.reasons.append(
                Note(
                    NoteKind.UNCOUNTED,
                    f"layer {node.name!r}: {kind} follows another activation ({last.activation}), "
                    "which is not counted",
                )
            )
        last = dataclasses.replace(
            last, result=_type(node.get_output_variable().type, f"layer {node.name!r}, result")
        )
        self.layers[-1] = last if kind == "linear" else dataclasses.replace(last, activation=kind)

    def _normalisation(self, node: Any) -> None:
        if not self.layers:
            self.reasons.append(
                Note(
                    NoteKind.UNCOUNTED,
                    f"layer {node.name!r}: batch normalisation of the inputs is not counted",
                )
            )
            return
        last = self.layers[-1]
        if last.activation == "linear":
            self.warnings.append(
                Note(
                    NoteKind.UNCOUNTED,
                    f"layer {node.name!r}: batch normalisation before the activation, counted as after it",
                )
            )
        result = _type(node.get_output_variable().type, f"layer {node.name!r}, result")
        self.layers[-1] = dataclasses.replace(last, normalisation="batch", result=result)


def _type(kind: Any, where: str) -> FixedType:
    """hls4ml's type -> ours, by its text."""
    text = str(getattr(kind, "precision", kind))
    try:
        return FixedType.parse(text)
    except HwnasError as error:
        raise Unsupported(f"{where}: {text[:80]} is not a fixed-point type") from error


def _printed(
    variable: Any, kind: FixedType, shape: tuple[int, ...], transposed: bool
) -> NDArray[np.int64] | None:
    """Integers as C++ makes them from the decimals that hls4ml prints: as many as the type has bits."""
    data = None if variable is None else np.asarray(variable.data, np.float64)
    if data is None or data.size != int(np.prod(shape)) or kind.width > 53:
        return None
    data = data.reshape(shape[::-1]).T if transposed else data.reshape(shape)
    return kind.integers(np.round(data, max(kind.fraction, 0)))
