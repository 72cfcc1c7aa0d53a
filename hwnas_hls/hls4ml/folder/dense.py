"""The dense layers of a firmware: sizes, types, weights and hls4ml implementation."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwnas_hls.errors import ReportError, Unsupported
from hwnas_hls.hls4ml.folder.adder_graph import read_graph
from hwnas_hls.hls4ml.folder.cpp import Call, Struct
from hwnas_hls.hls4ml.folder.expressions import evaluate
from hwnas_hls.hls4ml.folder.firmware import Firmware
from hwnas_hls.hls4ml.folder.kernels import SIGN_PRODUCTS, kernel_reasons, kernel_strategy, product_of
from hwnas_hls.hls4ml.folder.precisions import DEFAULT
from hwnas_hls.hls4ml.folder.types import fixed_type
from hwnas_hls.hls4ml.folder.weights import MAX_WEIGHTS, on_grid, read_compressed, read_values
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import LayerQuery
from hwnas_hls.network.limits import DSP_INPUT_BITS
from hwnas_hls.network.precision import FixedType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: ``nnet::`` constants of a configuration -> hls4ml's spelling.
STRATEGIES = {
    "latency": "Latency",
    "resource": "Resource",
    "compressed": "compressed",
    "resource_unrolled": "ResourceUnrolled",
    "distributed_arithmetic": "distributed_arithmetic",
}
_MAX_WIDTH = 1_000_000


@dataclass(slots=True)
class Layers:
    """The layers and notes of the reader; most fields are those of ``Query``.

    ``names`` are hls4ml's names of the dense layers, ``configs`` those of their configuration
    structs (empty for distributed arithmetic), ``graphs`` those of their adder graphs (empty for the
    others). ``ports`` are the arrays that the first layer reads and the last one writes, with their bits, if
    they are ports of the top function.
    """

    layers: list[LayerQuery] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)
    graphs: list[str] = field(default_factory=list)
    io_type: str = "io_parallel"
    softmax: str = ""
    warnings: list[Note] = field(default_factory=list)
    reasons: list[Note] = field(default_factory=list)
    pipeline_ii: int | None = None
    ports: dict[str, int] = field(default_factory=dict)


def read_dense(call: Call, name: str, firmware: Firmware, out: Layers) -> None:
    """Add the dense layer of one call, with its types, weights and settings."""
    where = f"layer {name!r}"
    source = fixed_type(call.types[0], firmware.names, f"{where}, input")
    result = fixed_type(call.types[1], firmware.names, f"{where}, result")
    struct = firmware.structs.get(call.types[-1].rpartition("::")[2])
    graph = call.function if call.function.startswith("dense_da") else _graph_of(struct)
    if graph:
        out.layers.append(_distributed(call, graph, name, source, result, firmware, out))
        out.names.append(name)
        out.configs.append("")
        out.graphs.append(graph)
        return
    if struct is None:
        raise ReportError(f"{firmware.folder}: {where}: struct {call.types[-1]} is not in parameters.h")
    names = {**firmware.names, **struct.types}
    n_in, n_out = (_size(struct, key, firmware, where) for key in ("n_in", "n_out"))
    written = _strategy(call.function, struct)
    strategy = kernel_strategy(struct) or written
    types = {}
    for role in ("weight_t", "bias_t", "accum_t"):
        if role not in struct.types:
            raise ReportError(f"{firmware.folder}: {where}: struct {struct.name} has no {role}")
        types[role] = fixed_type(struct.types[role], names, f"{where}, {role}")
    weight, bias = types["weight_t"], types["bias_t"]
    if "io_stream" in struct.constants.get("io_type", "") or "io_serial" in struct.constants.get(
        "io_type", ""
    ):
        out.io_type = "io_stream" if "io_stream" in struct.constants["io_type"] else "io_serial"
        if out.io_type == "io_serial":
            out.reasons.append(
                Note(
                    NoteKind.NO_DATA,
                    f"{where}: io_serial of early hls4ml versions reads one value per cycle: no data",
                )
            )
    if len(call.arguments) > 2 and call.arguments[2] in firmware.ports:
        out.reasons.append(weights_outside(where))
    weights = biases = None
    if n_in * n_out > MAX_WEIGHTS:
        out.warnings.append(
            Note(NoteKind.UNREAD, f"{where}: more than {MAX_WEIGHTS} weights, so they are not read")
        )
    elif len(call.arguments) > 3:
        weights, biases = _weights(call, strategy, n_in, n_out, weight, bias, firmware)
    if weights is None:
        out.warnings.append(Note(NoteKind.UNREAD, f"{where}: no weights in firmware/weights"))
    if weight.width == 1 and not weight.signed and product_of(struct) in ("", *SIGN_PRODUCTS):
        # binary networks store the sign of +-1 in one bit; early releases chose the product by the type
        out.reasons.append(
            Note(
                NoteKind.NO_DATA,
                f"{where}: one-bit weights (+-1) are built as sign changes, not products",
            )
        )
        weight = FixedType(2, 2)
        weights = None if weights is None else 2 * weights - 1
    n_nonzeros = integer_of(struct, "n_nonzeros", firmware)
    n_zeros = integer_of(struct, "n_zeros", firmware)
    if weights is not None:
        n_nonzeros = int((weights != 0).sum())
    elif n_nonzeros is None and n_zeros is not None:
        n_nonzeros = n_in * n_out - n_zeros
    out.reasons += _narrow_reasons(where, source, weight, firmware.bindings.of(strategy))
    reuse_factor = _reuse_factor(struct, firmware, where)
    products = -(-n_in * n_out // reuse_factor) - (n_zeros or 0) // reuse_factor
    limit = integer_of(struct, "multiplier_limit", firmware)
    out.reasons += kernel_reasons(struct, written, where, products, limit)
    none_at_all = biases is not None and bias.width == 1 and not biases.any()
    out.layers.append(
        LayerQuery(
            n_in=n_in,
            n_out=n_out,
            input=source,
            weight=weight,
            bias=None if none_at_all else bias,
            accum=types["accum_t"],
            dense_out=result,
            result=result,
            reuse_factor=reuse_factor,
            strategy=strategy,
            n_nonzeros=n_nonzeros,
            weights=weights,
            biases=None if none_at_all else biases,
            multipliers=firmware.bindings.of(strategy),
        )
    )
    out.names.append(name)
    out.configs.append(struct.name)
    out.graphs.append("")


def _narrow_reasons(
    where: str, source: FixedType, weight: FixedType, multipliers: str | None
) -> Iterator[Note]:
    """Why no data cover the products of narrow operands."""
    if weight.width == 1 and not weight.signed:
        text = f"{where}: one-bit weights (0 and 1) choose inputs instead of multiplying them: no data"
        yield Note(NoteKind.NO_DATA, text)
    if multipliers == "dsp" and source.width < DSP_INPUT_BITS:
        text = f"{where}: a directive puts products of {source.width}-bit inputs into DSPs: no data"
        yield Note(NoteKind.NO_DATA, text, "pragma")


def _graph_of(struct: Struct | None) -> str:
    """The adder graph function in the configuration of a streaming layer."""
    match = re.search(r"\bdense_da\s*=\s*(?:\w+::)*(dense_da_\w+)", struct.text if struct else "")
    return match[1] if match else ""


def _distributed(
    call: Call,
    graph_name: str,
    name: str,
    source: FixedType,
    result: FixedType,
    firmware: Firmware,
    out: Layers,
) -> LayerQuery:
    """A distributed arithmetic layer: an adder graph in nnet_code_gen.h, without a weight array."""
    where = f"layer {name!r}"
    struct = firmware.structs.get(call.types[-1].rpartition("::")[2])
    if struct is not None:
        sizes = [_size(struct, key, firmware, where) for key in ("n_in", "n_out")]
        out.io_type = "io_stream"  # only streaming layers have a configuration
    else:
        declared = [firmware.variables.get(argument) for argument in call.arguments[:2]]
        sizes = [variable.size for variable in declared if variable is not None]
        if len(sizes) != 2:
            what = " or ".join(call.arguments[:2])
            raise ReportError(f"{firmware.folder}: {where}: the size of {what} is not declared")
    layer = LayerQuery(
        n_in=sizes[0],
        n_out=sizes[1],
        input=source,
        weight=firmware.da_weight.get(name, DEFAULT),
        accum=None,
        dense_out=result,
        result=result,
        strategy="distributed_arithmetic",
    )
    graph = read_graph(firmware.generated, graph_name, layer.n_in, layer.n_out)
    if graph is None:
        out.warnings.append(unread_graph(where, layer))
        return layer
    given = firmware.da_weight.get(name)
    if given is not None and given.fraction < graph.weight.fraction:
        out.warnings.append(
            Note(
                NoteKind.REMARK,
                f"{where}: hls4ml built distributed arithmetic from weights that were not rounded to "
                f"{given}; they need {graph.weight}",
            )
        )
    return dataclasses.replace(
        layer,
        weight=graph.weight,
        bias=graph.bias if graph.biases.any() else None,
        weights=graph.weights,
        biases=graph.biases if graph.biases.any() else None,
        n_nonzeros=int((graph.weights != 0).sum()),
        features=graph.features,
    )


def weights_outside(where: str) -> Note:
    """The reason against a layer whose weights a port reads from a memory outside (``BramFactor``)."""
    return Note(NoteKind.NO_DATA, f"{where}: its weights come through a port, and are no constants: no data")


def unread_graph(where: str, layer: LayerQuery) -> Note:
    """The note on a layer whose weights are not known, because its adder graph could not be read."""
    text = f"{where}: its adder graph could not be read; weight type {layer.weight} is assumed"
    return Note(NoteKind.UNREAD, text)


def _weights(
    call: Call,
    strategy: str,
    n_in: int,
    n_out: int,
    weight: FixedType,
    bias: FixedType,
    firmware: Firmware,
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    folder = firmware.folder
    if strategy == "compressed":
        values = read_compressed(folder, call.arguments[2], n_in, n_out)
    else:
        values = read_values(folder, call.arguments[2], n_in * n_out)
        if values is not None:
            # Resource stores one row per output, the others one row per input
            transposed = strategy in ("Resource", "ResourceUnrolled")
            values = values.reshape(n_out, n_in).T if transposed else values.reshape(n_in, n_out)
    biases = read_values(folder, call.arguments[3], n_out)
    return (
        None if values is None else on_grid(values, weight),
        None if biases is None else on_grid(biases, bias),
    )


def _strategy(function: str, struct: Struct) -> str:
    """As the configuration states it (hls4ml 0.5 and later), else from the name of the function."""
    written = struct.constants.get("strategy", "").rpartition("::")[2].strip().lower()
    if written in STRATEGIES:
        return STRATEGIES[written]
    if written:
        raise Unsupported(f"struct {struct.name}: strategy {written[:40]!r}: only hls4ml's are supported")
    if "DenseResource" in struct.text or "resource" in function or "large" in function:
        return "Resource"
    return "compressed" if "compressed" in function else "Latency"


def _reuse_factor(struct: Struct, firmware: Firmware, where: str) -> int:
    """As built; 1 in releases that have none."""
    value = integer_of(struct, "reuse_factor", firmware)
    if value is None and "reuse_factor" in struct.constants:
        written = struct.constants["reuse_factor"][:40]
        raise ReportError(
            f"{firmware.folder}: {where}: the value of its reuse_factor {written!r} is not known"
        )
    return max(1, value or 1)


def _size(struct: Struct, key: str, firmware: Firmware, where: str) -> int:
    value = integer_of(struct, key, firmware)
    if value is None or not 1 <= value <= _MAX_WIDTH:
        raise ReportError(f"{firmware.folder}: {where}: struct {struct.name} has no plausible {key}")
    return value


def integer_of(struct: Struct, key: str, firmware: Firmware) -> int | None:
    """A constant of a configuration; ``None`` if it has none, or its value is unknown."""
    expression = struct.constants.get(key)
    if expression is None:
        return None
    return evaluate(expression, {**firmware.constants, **struct.constants})
