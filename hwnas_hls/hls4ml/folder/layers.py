"""The layers of a firmware, in the order of their calls."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from hwnas_hls.errors import ReportError, Unsupported
from hwnas_hls.hls4ml.folder.cpp import Call
from hwnas_hls.hls4ml.folder.dense import Layers, read_dense
from hwnas_hls.hls4ml.folder.firmware import Firmware, origin
from hwnas_hls.hls4ml.folder.types import fixed_type
from hwnas_hls.hls4ml.notes import Note, NoteKind, activation_of_inputs

_PLAIN = (
    *("relu", "leaky_relu", "thresholded_relu", "prelu", "elu", "selu"),
    *("silu", "sigmoid", "hard_sigmoid", "tanh", "hard_tanh", "softmax", "softplus", "softsign"),
    *("linear", "binary_tanh", "ternary_tanh", "unary_lut"),
)
#: hls4ml's functions -> names of activations in the hardware model.
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
#: Calls without hardware.
_SILENT = frozenset({"load_weights_from_txt", "load_compressed_weights_from_txt", "save_layer_output"})

#: Pragmas of a top function that hls4ml writes for no design, and that change what is built.
_UNMEASURED = frozenset({"ALLOCATION", "LATENCY", "EXPRESSION_BALANCE", "FUNCTION_INSTANTIATE", "UNROLL"})


def read_layers(firmware: Firmware) -> Layers:
    """Combine the calls: each dense layer with the following activations and normalisation.

    Raises:
        Unsupported: a layer that is not a dense layer, activation or batch normalisation; branches; types
            other than fixed point. The message names the layer.
        ReportError: the configuration of a call is missing or lacks its sizes, or weights do not match.
    """
    out = Layers()
    previous = ""
    for call in firmware.calls:
        if call.function in _SILENT:
            continue
        name = call.comment or (call.types[-1] if call.types else call.function)
        if len(call.types) < 2 or len(call.arguments) < 2:
            raise ReportError(f"{firmware.folder}: layer {name!r}: call of {call.function} without its types")
        source = origin(call.arguments[0], firmware.aliases)
        if not previous and source in firmware.variables and source not in firmware.ports:
            raise Unsupported(
                f"layer {name!r} reads {source}, which no layer writes: no layer uses the network's input, "
                "and the tools remove all logic"
            )
        if previous and source != previous:
            raise Unsupported(
                f"layer {name!r} reads {source}, not the output {previous} of the layer before it: "
                "only chains of layers are supported"
            )
        if call.function.startswith("dense") or call.function == "compute_layer":
            read_dense(call, name, firmware, out)
            array = firmware.variables.get(source)
            if array is not None and not array.is_stream and array.size < out.layers[-1].n_in:
                raise Unsupported(
                    f"layer {name!r} reads {out.layers[-1].n_in} values of {source}, which has {array.size}"
                )
            previous = origin(call.arguments[1], firmware.aliases)
        elif call.function == "normalize":
            _normalise(call, name, firmware, out)
            previous = origin(call.arguments[1], firmware.aliases)
        elif call.function == "repack_stream":  # the same values in words of another size
            previous = origin(call.arguments[1], firmware.aliases)
        elif call.function in ACTIVATIONS:
            _activation(call, name, firmware, out)
            at = 1 if call.function.startswith("normalize_") else -1
            previous = origin(call.arguments[at], firmware.aliases)
        else:
            raise Unsupported(
                f"layer {name!r} is nnet::{call.function}: only dense layers, activations and batch "
                "normalisation are supported"
            )
    if not out.layers:
        raise Unsupported(f"{firmware.folder}: its firmware has no dense layer")
    if previous in firmware.variables and previous not in firmware.ports:
        raise Unsupported(
            f"the last layer writes {previous}, which is no output of the top function, and the tools remove "
            "all logic"
        )
    out.reasons += _pragma_reasons(firmware.pragmas, out)
    return out


def _pragma_reasons(pragmas: Sequence[str], layers: Layers) -> list[Note]:
    """Why pragmas of the top function put the design outside the measured domain."""
    out: list[Note] = []
    streamed = layers.io_type != "io_parallel"
    shared = any(layer.strategy.startswith("Resource") for layer in layers.layers)
    for pragma in pragmas:
        words = pragma.replace(" = ", "=").split()
        interval = re.search(r"(?i)\bII\s*=\s*(\d{1,6})", pragma)
        if words[0].upper() in _UNMEASURED or [word.upper() for word in words[:2]] == ["PIPELINE", "OFF"]:
            text = f"{' '.join(words[:2])} on the top function: no data"
            out.append(Note(NoteKind.NO_DATA, text, "pragma"))
        elif words[0].upper() == "PIPELINE" and interval is not None:
            wanted = {layer.reuse_factor for layer in layers.layers}
            if int(interval[1]) > 1 and wanted != {int(interval[1])}:
                text = f"PIPELINE II={interval[1]} on the top function shares operators between its cycles"
                out.append(Note(NoteKind.NO_DATA, text, "pragma"))
                layers.pipeline_ii = int(interval[1])
        elif words[0].upper() == "DATAFLOW" and not streamed and not shared:
            text = "DATAFLOW on layers that are not Resource makes each a separate process: no data"
            out.append(Note(NoteKind.NO_DATA, text, "pragma"))
        elif words[0].upper() == "INTERFACE" and not streamed:
            modes = [word.lower().removeprefix("mode=") for word in words[1:]]
            bus = next((mode for mode in modes if mode in ("s_axilite", "m_axi", "axis")), "")
            if bus:
                text = f"an interface {bus} on the top function adds a wrapper that is not counted"
                out.append(Note(NoteKind.NO_DATA, text, "pragma"))
    return list(dict.fromkeys(out))


def _activation(call: Call, name: str, firmware: Firmware, out: Layers) -> None:
    kind = ACTIVATIONS[call.function]
    source = fixed_type(call.types[0], firmware.names, f"layer {name!r}, input")
    at = 2 if len(call.types) > 3 else 1  # <data, parameter, result, config> since hls4ml 0.8
    result = fixed_type(call.types[at], firmware.names, f"layer {name!r}, result")
    if not out.layers:
        out.reasons.append(activation_of_inputs(name, kind))
        return
    last = out.layers[-1]
    if kind == "relu" and call.function != "relu":
        out.warnings.append(
            Note(
                NoteKind.UNCOUNTED,
                f"layer {name!r}: {call.function} is counted as relu; its upper limit adds cost",
            )
        )
    if kind == "softmax":
        struct = firmware.structs.get(call.types[-1])
        implementation = struct.constants.get("implementation", "") if struct else ""
        out.softmax = (
            implementation.rpartition("::")[2].strip() or call.function.partition("_")[2] or "legacy"
        )
    if kind != "linear" and last.activation != "linear":
        text = f"{kind} follows another activation ({last.activation}), which is not counted"
        out.reasons.append(Note(NoteKind.UNCOUNTED, f"layer {name!r}: {text}"))
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
        out.reasons.append(
            Note(NoteKind.UNCOUNTED, f"layer {name!r}: batch normalisation of the inputs is not counted")
        )
        return
    last = out.layers[-1]
    if last.activation == "linear":
        out.warnings.append(
            Note(
                NoteKind.UNCOUNTED,
                f"layer {name!r}: batch normalisation before the activation, counted as after it",
            )
        )
    out.layers[-1] = dataclasses.replace(last, normalisation="batch", result=result)
