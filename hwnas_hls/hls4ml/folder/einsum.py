"""``einsum_dense`` of hls4ml 1.2 and later (HGQ2's ``QEinsumDense``), where it is one dense layer."""

from __future__ import annotations

import dataclasses
import re

from hwnas_hls.errors import ReportError, Unsupported
from hwnas_hls.hls4ml.folder.adder_graph import read_graph
from hwnas_hls.hls4ml.folder.cpp import Call, Struct
from hwnas_hls.hls4ml.folder.dense import Layers, integer_of, read_dense, unread_graph
from hwnas_hls.hls4ml.folder.firmware import Firmware
from hwnas_hls.hls4ml.folder.precisions import DEFAULT
from hwnas_hls.hls4ml.folder.types import fixed_type
from hwnas_hls.hls4ml.folder.weights import on_grid, read_values
from hwnas_hls.hls4ml.query import LayerQuery

_KERNEL = re.compile(r"\bda_kernel\s*=\s*(?:\w+::)*(\w+)")
_GRAPH = re.compile(r"\b(\w+)\s*\(\s*&\s*inp_tpose\b")


def read_einsum(call: Call, name: str, firmware: Firmware, out: Layers) -> None:
    """Add the dense layer that an ``einsum_dense`` is.

    Raises:
        Unsupported: it is more than one product of a matrix and a vector, or transposes.
        ReportError: its configuration, or that of its dense layer, is missing.
    """
    where = f"layer {name!r}"
    struct = firmware.structs.get(call.types[-1].rpartition("::")[2])
    if struct is None:
        raise ReportError(f"{firmware.folder}: {where}: struct {call.types[-1]} is not in parameters.h")
    sizes = {key: integer_of(struct, key, firmware) for key in ("n_free_data", "n_inplace")}
    if set(sizes.values()) != {1} or not _in_order(struct, firmware):
        raise Unsupported(f"{where} is an einsum of more than one vector: only dense layers are supported")
    kernel = _KERNEL.search(struct.text)
    if kernel is not None:
        _distributed(call, struct, kernel[1], name, firmware, out)
        return
    inner = struct.types.get("dense_conf", "")
    if inner not in firmware.structs:
        raise ReportError(
            f"{firmware.folder}: {where}: struct {inner or 'dense_conf'} is not in parameters.h"
        )
    read_dense(dataclasses.replace(call, types=(*call.types[:-1], inner)), name, firmware, out)
    if "io_stream" in struct.constants.get("io_type", ""):
        out.io_type = "io_stream"


def _in_order(struct: Struct, firmware: Firmware) -> bool:
    """Whether values keep their order: arrays of one dimension cannot be transposed."""
    names = [struct.types.get(f"tpose_{end}_conf", "") for end in ("inp", "out")]
    shapes = [firmware.structs.get(name) for name in names]
    return all(each is not None and integer_of(each, "dims", firmware) == 1 for each in shapes)


def _distributed(call: Call, struct: Struct, kernel: str, name: str, firmware: Firmware, out: Layers) -> None:
    """Distributed arithmetic: an adder graph, and biases that are added behind it."""
    where = f"layer {name!r}"
    n_in, n_out = (integer_of(struct, key, firmware) or 0 for key in ("n_contract", "n_free_kernel"))
    if n_in < 1 or n_out < 1:
        raise ReportError(f"{firmware.folder}: {where}: struct {struct.name} has no plausible sizes")
    start = firmware.generated.find(f"void {kernel}(")
    found = _GRAPH.search(firmware.generated, start, start + 2000) if start >= 0 else None
    result = fixed_type(call.types[1], firmware.names, f"{where}, result")
    layer = LayerQuery(
        n_in=n_in,
        n_out=n_out,
        input=fixed_type(call.types[0], firmware.names, f"{where}, input"),
        weight=firmware.da_weight.get(name, DEFAULT),
        accum=None,
        dense_out=result,
        result=result,
        strategy="distributed_arithmetic",
    )
    graph = None if found is None else read_graph(firmware.generated, found[1], n_in, n_out)
    if graph is None:
        out.warnings.append(unread_graph(where, layer))
    else:
        kind = fixed_type(struct.types.get("bias_t", ""), firmware.names, f"{where}, bias_t")
        values = read_values(firmware.folder, call.arguments[-1], n_out)
        biases = None if values is None or not values.any() else on_grid(values, kind)
        layer = dataclasses.replace(
            layer,
            weight=graph.weight,
            bias=None if biases is None else kind,
            weights=graph.weights,
            biases=biases,
            n_nonzeros=int((graph.weights != 0).sum()),
            features=graph.features,
        )
    out.layers.append(layer)
    out.names.append(name)
    out.configs.append("")
    out.graphs.append(kernel)
