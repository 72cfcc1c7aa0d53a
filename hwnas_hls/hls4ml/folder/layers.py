"""The layers of a firmware, in the order of their calls."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from hwnas_hls.errors import ReportError, Unsupported
from hwnas_hls.hls4ml.folder.adder_graph import read_casts
from hwnas_hls.hls4ml.folder.cpp import Call, Struct
from hwnas_hls.hls4ml.folder.dense import Layers, integer_of, read_dense
from hwnas_hls.hls4ml.folder.einsum import read_einsum
from hwnas_hls.hls4ml.folder.firmware import Firmware, origin
from hwnas_hls.hls4ml.folder.surroundings import check_input, check_output, pragma_reasons, uncounted
from hwnas_hls.hls4ml.folder.types import fixed_type
from hwnas_hls.hls4ml.notes import Note, NoteKind, activation_of_inputs
from hwnas_hls.hls4ml.query import LayerQuery
from hwnas_hls.network.features import FeatureTypes, hull
from hwnas_hls.network.precision import FixedType

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
#: Words of the tables of a softmax in the measured designs, and hls4ml's default.
TABLE_SIZE = 1024
#: Functions of dense layers, of all releases; those of adder graphs carry their layer's number.
_DENSE = re.compile(
    r"compute_layer|compute_large_layer|einsum_dense|dense(_wrapper|_latency|_compressed|_large\w*|_resource\w*|_da\w*)?"
)
#: Calls without hardware.
_SILENT = frozenset({"load_weights_from_txt", "load_compressed_weights_from_txt", "save_layer_output"})


def read_layers(firmware: Firmware) -> Layers:
    """Combine the calls: each dense layer with the following activations and normalisation.

    Raises:
        Unsupported: a layer that is not a dense layer, activation or batch normalisation; branches; types
            other than fixed point. The message names the layer.
        ReportError: the configuration of a call is missing or lacks its sizes, or weights do not match.
    """
    out = Layers()
    previous = ""
    pending: FeatureTypes = ()
    arrays: list[str] = []
    for call in firmware.calls:
        if call.function in _SILENT:
            continue
        kinds = [kind for kind in call.types if not kind.isdigit()]
        name = call.comment or (kinds[-1] if kinds else call.function)
        if len(call.types) < 2 or len(call.arguments) < 2:
            raise ReportError(f"{firmware.folder}: layer {name!r}: call of {call.function} without its types")
        source = origin(call.arguments[0], firmware.aliases)
        if not previous:
            check_input(source, name, firmware)
        if previous and source != previous:
            raise Unsupported(
                f"layer {name!r} reads {source}, not the output {previous} of the layer before it: "
                "only chains of layers are supported"
            )
        if _DENSE.fullmatch(call.function):
            read = read_einsum if call.function == "einsum_dense" else read_dense
            read(call, name, firmware, out)
            if len(pending) == out.layers[-1].n_in:
                out.layers[-1] = dataclasses.replace(out.layers[-1], features=pending)
            pending = ()
            _check_size(source, out.layers[-1].n_in, f"layer {name!r} reads", firmware)
            previous = origin(call.arguments[1], firmware.aliases)
        elif call.function == "normalize":
            _check_values(call, name, source, firmware, out)
            _normalise(call, name, firmware, out)
            previous = origin(call.arguments[1], firmware.aliases)
        elif call.function == "repack_stream":  # the same values in words of another size
            previous = origin(call.arguments[1], firmware.aliases)
        elif call.function in ACTIVATIONS:
            _check_values(call, name, source, firmware, out)
            _activation(call, name, firmware, out)
            at = 1 if call.function.startswith("normalize_") else -1
            previous = origin(call.arguments[at], firmware.aliases)
        elif (casts := read_casts(firmware.generated, call.function)) is not None:
            _check_size(source, len(casts), f"layer {name!r} reads", firmware)
            pending = _cast(call, name, casts, firmware, out)
            previous = origin(call.arguments[1], firmware.aliases)
        else:
            raise Unsupported(
                f"layer {name!r} is nnet::{call.function}: only dense layers, activations and batch "
                "normalisation are supported"
            )
        arrays += [source, previous]
        if out.layers:
            _check_size(previous, out.layers[-1].n_out, f"layer {name!r} writes", firmware)
    if not out.layers:
        raise Unsupported(f"{firmware.folder}: its firmware has no dense layer")
    _take_casts_as_results(out)
    out.ports = _port_bits(firmware, (arrays[0], previous))
    check_output(previous, firmware)
    out.reasons += [*pragma_reasons(firmware.pragmas, firmware.constants, out), *uncounted(firmware, arrays)]
    return out


def _check_values(call: Call, name: str, source: str, firmware: Firmware, out: Layers) -> None:
    """An activation or normalisation works on as many values as the layer before it gives.

    Raises:
        Unsupported: its configuration has another number.
    """
    struct = firmware.structs.get(call.types[-1].rpartition("::")[2])
    count = None if struct is None else integer_of(struct, "n_in", firmware)
    if count is None:
        return
    _check_size(source, count, f"layer {name!r} reads", firmware)
    if out.layers and count != out.layers[-1].n_out:
        raise Unsupported(f"layer {name!r} reads {count} values of a layer with {out.layers[-1].n_out}")


def _port_bits(firmware: Firmware, ends: Iterable[str]) -> dict[str, int]:
    """The bits of each of the arrays that is a port; a stream has none of its own."""
    return {
        name: array.size * fixed_type(array.kind, firmware.names, f"port {name}").width
        for name in ends
        if name in firmware.ports and not (array := firmware.variables[name]).is_stream
    }


def _take_casts_as_results(out: Layers) -> None:
    """Casts of single values between two layers become the result types of the first layer's neurons."""
    for number in range(1, len(out.layers)):
        before, layer = out.layers[number - 1], out.layers[number]
        kinds = [own for own in layer.features if own is not None]
        if not kinds:
            continue
        kind = hull(layer.features, kinds[0])
        modes = {(own.rounding, own.overflow) for own in kinds}
        if len(modes) > 1 or not _once(before, kind):
            text = f"layer {number - 1}: its results are cast twice, by rules that no single type has"
            out.reasons.append(Note(NoteKind.UNCOUNTED, text))
            continue
        plain = tuple(None if own is None else own.plain for own in layer.features)
        out.layers[number - 1] = dataclasses.replace(before, result=kind)
        out.layers[number] = dataclasses.replace(layer, input=kind, features=plain)


def _once(layer: LayerQuery, kind: FixedType) -> bool:
    """Whether results, cast to their layer's type and then to ``kind``, are cast alike by ``kind`` alone."""
    wide, sums = layer.result or layer.sum_type, layer.dense_out or layer.sum_type
    if sums.signed and layer.activation == "relu" and sums.width > 1:
        sums = FixedType(sums.width - 1, sums.integer - 1, signed=False)
    if wide.holds(sums):
        return True
    # A truncation that keeps the bit that rounds, and a wrap that keeps all bits of a wrap.
    finer = wide.fraction - kind.fraction >= (kind.rounding != "TRN")
    inside = wide.integer - wide.signed >= sums.integer - sums.signed and wide.signed >= sums.signed
    return (
        (wide.rounding, wide.overflow) == ("TRN", "WRAP")
        and (wide.fraction >= sums.fraction or (kind.rounding in ("TRN", "RND") and finer))
        and (inside or (kind.overflow == "WRAP" and wide.integer >= kind.integer))
    )


def _check_size(array_name: str, count: int, does: str, firmware: Firmware) -> None:
    """An array has as many values as its layer; a stream comes in whole words."""
    array = firmware.variables.get(array_name)
    if array is None:
        return
    if array.is_stream and (array.size > count or count % array.size):
        raise Unsupported(f"{does} {count} values of {array_name}, which comes in words of {array.size}")
    if not array.is_stream and array.size != count:
        raise Unsupported(f"{does} {count} values of {array_name}, which has {array.size}")


def _activation(call: Call, name: str, firmware: Firmware, out: Layers) -> None:
    kind = ACTIVATIONS[call.function]
    source = fixed_type(call.types[0], firmware.names, f"layer {name!r}, input")
    # <data, parameter, result, config> since hls4ml 0.8; <data, result, 6, config> of a limited ReLU
    at = 2 if len(call.types) > 3 and not call.types[2].isdigit() else 1
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
        sizes = _table_sizes(struct, firmware)
        if out.softmax != "argmax" and sizes - {TABLE_SIZE}:
            out.reasons.append(other_tables(name, max(sizes)))
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


def other_tables(name: str, size: int) -> Note:
    """The reason against a softmax with tables of another size than the measured ones."""
    return Note(NoteKind.NO_DATA, f"layer {name!r}: tables of {size:,} words: data cover {TABLE_SIZE:,}")


def _table_sizes(struct: Struct | None, firmware: Firmware) -> set[int]:
    """The words of a softmax's tables, by its configuration: of exponentials and inverses, or of both."""
    if struct is None:
        return set()
    own = {"exp_table_size", "inv_table_size"} & struct.constants.keys()
    sizes = (integer_of(struct, key, firmware) for key in own or {"table_size"})
    return {size for size in sizes if size is not None}


def _cast(call: Call, name: str, casts: FeatureTypes, firmware: Firmware, out: Layers) -> FeatureTypes:
    """Values with types of their own, which the next layer reads."""
    if any(kind is not None and kind != kind.plain for kind in casts):
        text = f"layer {name!r}: casts of single values that round or saturate are not counted"
        out.warnings.append(Note(NoteKind.UNCOUNTED, text))
    if out.layers:
        result = fixed_type(call.types[1], firmware.names, f"layer {name!r}, result")
        out.layers[-1] = dataclasses.replace(out.layers[-1], result=result)
    return casts


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
