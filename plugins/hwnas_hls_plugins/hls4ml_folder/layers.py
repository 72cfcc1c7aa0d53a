"""The layers of a firmware, in the order of their calls."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwnas_hls.errors import ReportError, Unsupported
from hwnas_hls.precision import FixedType
from hwnas_hls_plugins.hls4ml_folder.adder_graph import read_graph
from hwnas_hls_plugins.hls4ml_folder.cpp import Call, Struct, evaluate
from hwnas_hls_plugins.hls4ml_folder.firmware import Firmware
from hwnas_hls_plugins.hls4ml_folder.types import fixed_type
from hwnas_hls_plugins.hls4ml_folder.weights import MAX_WEIGHTS, on_grid, read_compressed, read_values
from hwnas_hls_plugins.hls_model.query import LayerQuery

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PLAIN = (
    *("relu", "leaky_relu", "thresholded_relu", "prelu", "elu", "selu"),
    *("silu", "sigmoid", "hard_sigmoid", "tanh", "hard_tanh", "softmax", "softplus", "softsign"),
    *("linear", "binary_tanh", "ternary_tanh", "unary_lut"),
)
#: hls4ml's functions -> names of activations as the hardware model knows them.
ACTIVATIONS = {
    **{name: name for name in _PLAIN},
    "relu1": "relu",
    "relu6": "relu",
    "relu_max": "relu",
    "softmax_stable": "softmax",
    "softmax_latency": "softmax",
    "softmax_legacy": "softmax",
    "softmax_argmax": "softmax",
    "normalize_binary_tanh": "binary_tanh",
    "normalize_ternary_tanh": "ternary_tanh",
}
#: Calls that build no hardware of their own.
_SILENT = frozenset({"load_weights_from_txt", "load_compressed_weights_from_txt", "save_layer_output"})
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
    """The layers and what was noticed on the way; most fields are those of ``Query``.

    ``names`` are hls4ml's names of the dense layers, ``configs`` those of their configuration
    structs (empty for distributed arithmetic).
    """

    layers: list[LayerQuery] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)
    io_type: str = "io_parallel"
    softmax: str = ""
    warnings: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def read_layers(firmware: Firmware) -> Layers:
    """Put the calls together: each dense layer with the activations and normalisation behind it.

    Raises:
        Unsupported: a kind of layer that is no dense layer, activation or batch normalisation,
            branches, types that are no fixed point; the layer is named.
        ReportError: a configuration that a call names is missing or lacks its sizes, weights
            that do not fit.
    """
    out = Layers()
    previous = ""
    for call in firmware.calls:
        if call.function in _SILENT:
            continue
        name = call.comment or (call.types[-1] if call.types else call.function)
        if len(call.types) < 2 or len(call.arguments) < 2:
            raise ReportError(f"{firmware.folder}: layer {name!r}: call of {call.function} without its types")
        source = _origin(call.arguments[0], firmware.aliases)
        if previous and source != previous:
            raise Unsupported(
                f"layer {name!r} reads {source}, not the output {previous} of the layer before it: "
                "only chains of layers are judged"
            )
        if call.function.startswith("dense") or call.function == "compute_layer":
            _dense(call, name, firmware, out)
            previous = _origin(call.arguments[1], firmware.aliases)
        elif call.function == "normalize":
            _normalise(call, name, firmware, out)
            previous = _origin(call.arguments[1], firmware.aliases)
        elif call.function in ACTIVATIONS:
            _activation(call, name, firmware, out)
            at = 1 if call.function.startswith("normalize_") else -1
            previous = _origin(call.arguments[at], firmware.aliases)
        else:
            raise Unsupported(
                f"layer {name!r} is nnet::{call.function}: only dense layers, activations and batch "
                "normalisation are judged"
            )
    if not out.layers:
        raise Unsupported(f"{firmware.folder}: no dense layer in its firmware")
    return out


def _origin(name: str, aliases: Mapping[str, str]) -> str:
    for _ in range(16):
        if name not in aliases:
            break
        name = aliases[name]
    return name


def _dense(call: Call, name: str, firmware: Firmware, out: Layers) -> None:
    where = f"layer {name!r}"
    source = fixed_type(call.types[0], firmware.names, f"{where}, input")
    result = fixed_type(call.types[1], firmware.names, f"{where}, result")
    if call.function.startswith("dense_da"):
        out.layers.append(_distributed(call, name, source, result, firmware, out))
        out.names.append(name)
        out.configs.append("")
        return
    struct = firmware.structs.get(call.types[-1].rpartition("::")[2])
    if struct is None:
        raise ReportError(f"{firmware.folder}: {where}: struct {call.types[-1]} is not in parameters.h")
    names = {**firmware.names, **struct.types}
    n_in, n_out = (_size(struct, key, firmware, where) for key in ("n_in", "n_out"))
    strategy = _strategy(call.function, struct)
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
    weights = biases = None
    if n_in * n_out > MAX_WEIGHTS:
        out.warnings.append(f"{where}: more than {MAX_WEIGHTS} weights; they are not read")
    elif len(call.arguments) > 3:
        weights, biases = _weights(call, strategy, n_in, n_out, weight, bias, firmware)
    if weights is None:
        out.warnings.append(f"{where}: no weights in firmware/weights")
    if weight.width == 1 and not weight.signed:
        # binary networks keep the sign of a weight of +-1 in one bit
        out.reasons.append(f"{where}: weights of one bit (+-1) are built from sign changes, not products")
        weight = FixedType(2, 2)
        weights = None if weights is None else 2 * weights - 1
    n_nonzeros = _integer(struct, "n_nonzeros", firmware)
    n_zeros = _integer(struct, "n_zeros", firmware)
    if weights is not None:
        n_nonzeros = int((weights != 0).sum())
    elif n_nonzeros is None and n_zeros is not None:
        n_nonzeros = n_in * n_out - n_zeros
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
            reuse_factor=max(1, _integer(struct, "reuse_factor", firmware) or 1),
            strategy=strategy,
            n_nonzeros=n_nonzeros,
            weights=weights,
            biases=None if none_at_all else biases,
            multipliers=firmware.multipliers,
        )
    )
    out.names.append(name)
    out.configs.append(struct.name)


def _distributed(
    call: Call, name: str, source: FixedType, result: FixedType, firmware: Firmware, out: Layers
) -> LayerQuery:
    """A layer of distributed arithmetic: an adder graph in nnet_code_gen.h, no weights anywhere."""
    where = f"layer {name!r}"
    sizes = [firmware.sizes.get(argument) for argument in call.arguments[:2]]
    if sizes[0] is None or sizes[1] is None:
        raise ReportError(
            f"{firmware.folder}: {where}: the size of {' or '.join(call.arguments[:2])} is not declared"
        )
    if any("stream" in kind for kind in call.types):
        out.io_type = "io_stream"
    layer = LayerQuery(
        n_in=sizes[0],
        n_out=sizes[1],
        input=source,
        weight=firmware.da_weight.get(name, FixedType(16, 6)),
        accum=None,
        dense_out=result,
        result=result,
        strategy="distributed_arithmetic",
    )
    graph = read_graph(firmware.generated, call.function, layer.n_in, layer.n_out)
    if graph is None:
        out.warnings.append(
            f"{where}: its adder graph could not be followed; weight type {layer.weight} is assumed"
        )
        return layer
    given = firmware.da_weight.get(name)
    if given is not None and given.fraction < graph.weight.fraction:
        out.warnings.append(
            f"{where}: hls4ml built distributed arithmetic from weights that were not rounded to "
            f"{given}; they take {graph.weight}"
        )
    return dataclasses.replace(
        layer,
        weight=graph.weight,
        bias=graph.bias if graph.biases.any() else None,
        weights=graph.weights,
        biases=graph.biases if graph.biases.any() else None,
        n_nonzeros=int((graph.weights != 0).sum()),
    )


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
            # Resource stores a row for each output, everything else a row for each input
            transposed = strategy in ("Resource", "ResourceUnrolled")
            values = values.reshape(n_out, n_in).T if transposed else values.reshape(n_in, n_out)
    biases = read_values(folder, call.arguments[3], n_out)
    return (
        None if values is None else on_grid(values, weight),
        None if biases is None else on_grid(biases, bias),
    )


def _strategy(function: str, struct: Struct) -> str:
    """From the configuration (hls4ml 0.5 and later), else from the name of the function."""
    told = struct.constants.get("strategy", "").rpartition("::")[2].strip().lower()
    if told in STRATEGIES:
        return STRATEGIES[told]
    if "DenseResource" in struct.text or "resource" in function or "large" in function:
        return "Resource"
    return "compressed" if "compressed" in function else "Latency"


def _size(struct: Struct, key: str, firmware: Firmware, where: str) -> int:
    value = _integer(struct, key, firmware)
    if value is None or not 1 <= value <= _MAX_WIDTH:
        raise ReportError(f"{firmware.folder}: {where}: struct {struct.name} has no believable {key}")
    return value


def _integer(struct: Struct, key: str, firmware: Firmware) -> int | None:
    expression = struct.constants.get(key)
    if expression is None:
        return None
    return evaluate(expression, {**firmware.constants, **struct.constants})


def _activation(call: Call, name: str, firmware: Firmware, out: Layers) -> None:
    kind = ACTIVATIONS[call.function]
    source = fixed_type(call.types[0], firmware.names, f"layer {name!r}, input")
    at = 2 if len(call.types) > 3 else 1  # <data, parameter, result, config> since hls4ml 0.8
    result = fixed_type(call.types[at], firmware.names, f"layer {name!r}, result")
    if not out.layers:
        out.reasons.append(f"layer {name!r}: {kind} on the inputs, before any dense layer, is not counted")
        return
    last = out.layers[-1]
    if kind == "relu" and call.function != "relu":
        out.warnings.append(f"layer {name!r}: {call.function} is counted as relu; its upper limit costs more")
    if kind == "softmax":
        struct = firmware.structs.get(call.types[-1])
        told = struct.constants.get("implementation", "") if struct else ""
        out.softmax = told.rpartition("::")[2].strip() or call.function.partition("_")[2] or "legacy"
    if kind != "linear" and last.activation != "linear":
        out.reasons.append(
            f"layer {name!r}: {kind} follows another activation ({last.activation}), which is not counted"
        )
    changes: dict[str, object] = {"result": result}
    if kind != "linear":
        changes["activation"] = kind
        if last.activation == "linear" and last.normalisation == "none":
            changes["dense_out"] = source
    if call.function.startswith("normalize_"):
        changes["normalisation"] = "batch"
    out.layers[-1] = dataclasses.replace(last, **changes)  # type: ignore[arg-type]


def _normalise(call: Call, name: str, firmware: Firmware, out: Layers) -> None:
    result = fixed_type(call.types[1], firmware.names, f"layer {name!r}, result")
    if not out.layers:
        out.reasons.append(f"layer {name!r}: batch normalisation of the inputs is not counted")
        return
    last = out.layers[-1]
    if last.activation == "linear":
        out.warnings.append(f"layer {name!r}: batch normalisation before the activation, counted as after it")
    out.layers[-1] = dataclasses.replace(last, normalisation="batch", result=result)
