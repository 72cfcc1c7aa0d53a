"""What hls4ml wrote against what was asked: types, reuse factors, strategies, part, clock, weights.

hls4ml drops or changes settings without an error (a misspelt layer, an illegal reuse factor, a
part in the wrong place); a project that differs from its design in anything is refused here.
"""

from __future__ import annotations

from pathlib import Path

from hwnas_hls.design import Design
from hwnas_hls.errors import HwnasError, ReportError
from hwnas_hls.firmware import Firmware, FirmwareLayer, read_firmware
from hwnas_hls.precision import FixedType
from hwnas_hls.target import Target

#: A layer without biases still has an array of zeros in the firmware, of this type.
NO_BIAS = FixedType(1, 1, signed=False)


def plain_input(design: Design) -> FixedType:
    """The input type as hls4ml gets it, without modes.

    Inputs arrive on the grid, so modes would never act, and da4ml refuses a saturating input.
    """
    kind = design.architecture.input
    return FixedType(kind.width, kind.integer, kind.signed)


def check_project(
    design: Design, target: Target, place: Path, clock_ns: float, backend: str, blame: str
) -> None:
    """Compare the written firmware, Tcl and weights with the design, to the last bit."""
    architecture = design.architecture
    try:
        firmware = read_firmware(place)
    except ReportError as error:
        raise HwnasError(f"{blame}: {error}") from error
    types = design.layer_types()
    wanted: list[tuple[str, str, object, object]] = [
        ("project.tcl", "part", target.part, firmware.part),
        ("project.tcl", "clock period in ns", float(clock_ns), firmware.clock_ns),
        ("project.tcl", "backend", backend.lower(), firmware.backend),
        (f"firmware/{firmware.name}.cpp", "io type", architecture.io_type, firmware.io_type),
        (f"firmware/{firmware.name}.cpp", "inputs", architecture.n_in, firmware.n_in),
        (f"firmware/{firmware.name}.cpp", "outputs", architecture.n_out, firmware.n_out),
        ("firmware/defines.h", "type of the input", str(plain_input(design)), str(firmware.input)),
        ("firmware/defines.h", "type of the output", str(types[-1][2]), str(firmware.output)),
    ]
    written = iter(firmware.layers)
    for number, layer in enumerate(architecture.layers):
        dense, where = next(written, None), f"of layer {number}"
        if dense is None or dense.kind != "dense":
            raise HwnasError(f"{blame}: firmware/{firmware.name}.cpp has no dense layer {number}")
        accum, result = types[number][1:]
        values = accum if layer.activation == "relu" else result
        wanted += [
            ("firmware/parameters.h", f"strategy {where}", layer.strategy.lower(), dense.strategy),
            ("firmware/parameters.h", f"reuse factor {where}", layer.reuse_factor, dense.reuse_factor),
            (
                f"firmware/{firmware.name}.cpp",
                f"shape {where}",
                (layer.n_in, layer.n_out),
                (dense.n_in, dense.n_out),
            ),
            ("firmware/defines.h", f"type of the sums {where}", str(values), str(dense.result)),
        ]
        if dense.weight is not None:
            bias = str(layer.bias or NO_BIAS)
            wanted += [
                ("firmware/defines.h", f"weight type {where}", str(layer.weight), str(dense.weight)),
                ("firmware/defines.h", f"bias type {where}", bias, str(dense.bias)),
                ("firmware/defines.h", f"accumulator type {where}", str(accum), str(dense.accum)),
            ]
            _check_weights(design, number, dense, firmware, blame)
        if layer.activation == "relu":
            relu = next(written, None)
            if relu is None or relu.kind != "relu":
                raise HwnasError(f"{blame}: firmware/{firmware.name}.cpp has no relu after layer {number}")
            wanted.append(
                ("firmware/defines.h", f"type after the relu {where}", str(result), str(relu.result))
            )
    if next(written, None) is not None:
        raise HwnasError(f"{blame}: firmware/{firmware.name}.cpp has more layers than the design")
    for file, what, asked, found in wanted:
        if asked != found:
            raise HwnasError(f"{blame}: {file}: {what} is {found}, asked for {asked}")


def _check_weights(design: Design, number: int, dense: FirmwareLayer, firmware: Firmware, blame: str) -> None:
    import numpy as np

    layer, weight, bias = design.architecture.layers[number], design.weights[number], design.biases[number]
    # The Resource strategy keeps its weights transposed.
    flat = (weight.T if dense.strategy == "resource" else weight).ravel()
    arrays = [(flat, layer.weight.fraction)]
    if bias is None or layer.bias is None:
        arrays.append((np.zeros(layer.n_out, np.int64), 0))
    else:
        arrays.append((bias, layer.bias.fraction))
    for array, (integers, fraction) in zip(dense.weights, arrays, strict=True):
        path = firmware.folder / "firmware" / "weights" / f"{array}.txt"
        text = path.read_text().split(",") if path.exists() else []
        if len(text) != len(integers):
            raise HwnasError(f"{blame}: {path.name} holds {len(text)} values, asked for {len(integers)}")
        found = np.array([float(value) for value in text]) * 2.0**fraction
        wrong = np.flatnonzero(found != integers)
        if len(wrong):
            at = int(wrong[0])
            raise HwnasError(
                f"{blame}: {path.name}: value {at} is {text[at].strip()}, "
                f"asked for {integers[at] * 2.0**-fraction}"
            )
