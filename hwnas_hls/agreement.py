"""What hls4ml wrote against what was asked: types, reuse factors, strategies, part, clock, weights.

hls4ml drops or changes settings without an error (a misspelt layer, an illegal reuse factor, a
part in the wrong place); a project that differs from its design in anything is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.design import Design
from hwnas_hls.errors import HwnasError, ReportError
from hwnas_hls.firmware import Firmware, FirmwareLayer, read_firmware
from hwnas_hls.precision import FixedType
from hwnas_hls.target import Target

#: A layer without biases still has an array of zeros in the firmware, of this type.
NO_BIAS = FixedType(1, 1, signed=False)
DEFINES, PARAMETERS = "firmware/defines.h", "firmware/parameters.h"


def plain_input(design: Design) -> FixedType:
    """The input type as hls4ml gets it, without modes.

    Inputs arrive on the grid, so modes would never act, and da4ml refuses a saturating input.
    """
    kind = design.architecture.input
    return FixedType(kind.width, kind.integer, kind.signed)


def check_project(
    design: Design, target: Target, folder: Path, clock_ns: float, backend: str, blame: str
) -> None:
    """Compare the written firmware, Tcl and weights with the design, to the last bit.

    The weights of ``distributed_arithmetic`` layers are written into code and not compared.

    Args:
        folder: of the project.
        blame: first words of the message, who is to blame for a difference.

    Raises:
        HwnasError: something differs; names the file, what was found and what was asked for.
    """
    try:
        firmware = read_firmware(folder)
    except ReportError as error:
        raise HwnasError(f"{blame}: {error}") from error
    for fact in _facts(design, target, firmware, clock_ns, backend):
        if fact.asked != fact.found:
            raise HwnasError(f"{blame}: {fact.file}: {fact.what} is {fact.found}, asked for {fact.asked}")
    dense = [layer for layer in firmware.layers if layer.kind == "dense"]
    for number, layer in enumerate(dense):
        if layer.weights:
            _check_weights(design, number, layer, folder / "firmware" / "weights", blame)


@dataclass(frozen=True, slots=True)
class _Fact:
    file: str
    what: str
    asked: object
    found: object


def _facts(
    design: Design, target: Target, firmware: Firmware, clock_ns: float, backend: str
) -> Iterator[_Fact]:
    architecture, code = design.architecture, f"firmware/{firmware.name}.cpp"
    yield _Fact("project.tcl", "part", target.part, firmware.part)
    yield _Fact("project.tcl", "clock period in ns", float(clock_ns), firmware.clock_ns)
    yield _Fact("project.tcl", "backend", backend.lower(), firmware.backend)
    yield _Fact(code, "io type", architecture.io_type, firmware.io_type)
    kinds = []
    for each in architecture.chain:
        kinds += ["dense", "relu"] if each.activation == "relu" else ["dense"]
    yield _Fact(code, "order of layers", kinds, [layer.kind for layer in firmware.layers])
    yield _Fact(DEFINES, "type of the input", str(plain_input(design)), str(firmware.input))
    yield _Fact(DEFINES, "type of the output", str(design.layer_types()[-1][2]), str(firmware.output))
    written = iter(firmware.layers)
    for number, (layer, (_, accum, result)) in enumerate(
        zip(architecture.chain, design.layer_types(), strict=True)
    ):
        dense, where = next(written), f"of layer {number}"
        sums = accum if layer.activation == "relu" else result
        yield _Fact(PARAMETERS, f"strategy {where}", layer.strategy.lower(), dense.strategy)
        yield _Fact(PARAMETERS, f"reuse factor {where}", layer.reuse_factor, dense.reuse_factor)
        yield _Fact(code, f"shape {where}", (layer.n_in, layer.n_out), (dense.n_in, dense.n_out))
        yield _Fact(DEFINES, f"type of the sums {where}", str(sums), str(dense.result))
        if dense.strategy != "distributed_arithmetic":
            yield _Fact(DEFINES, f"weight type {where}", str(layer.weight), str(dense.weight))
            yield _Fact(DEFINES, f"bias type {where}", str(layer.bias or NO_BIAS), str(dense.bias))
            yield _Fact(DEFINES, f"accumulator type {where}", str(accum), str(dense.accum))
            yield _Fact(code, f"number of weight arrays {where}", 2, len(dense.weights))
        if layer.activation == "relu":
            yield _Fact(DEFINES, f"type after the relu {where}", str(result), str(next(written).result))


def _check_weights(design: Design, number: int, dense: FirmwareLayer, folder: Path, blame: str) -> None:
    import numpy as np

    layer, weight, bias = design.architecture.chain[number], design.weights[number], design.biases[number]
    # The Resource strategy keeps its weights transposed.
    flat = (weight.T if dense.strategy == "resource" else weight).ravel()
    offsets = (
        (np.zeros(layer.n_out, np.int64), 0) if bias is None else (bias, (layer.bias or NO_BIAS).fraction)
    )
    for array, (integers, fraction) in zip(
        dense.weights, ((flat, layer.weight.fraction), offsets), strict=True
    ):
        path = folder / f"{array}.txt"
        try:
            found = np.array([float(value) for value in path.read_text().split(",")])
        except (OSError, ValueError) as error:
            raise HwnasError(f"{blame}: {path.name} is not readable: {error}") from error
        asked = integers * 2.0**-fraction
        if found.shape != asked.shape:
            raise HwnasError(f"{blame}: {path.name} holds {len(found)} values, asked for {len(asked)}")
        for place in np.flatnonzero(found != asked)[:1]:
            raise HwnasError(
                f"{blame}: {path.name}: value {place} is {found[place]}, asked for {asked[place]}"
            )
