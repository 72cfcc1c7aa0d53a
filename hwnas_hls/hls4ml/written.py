"""The layers of a written hls4ml 1.3 project with one input and one output.

The firmware is read instead of ``hls4ml_config.yml``, which can be stale, and from which hls4ml silently
drops unknown settings. :mod:`hwnas_hls.hls4ml.folder.firmware` reads the C++; this module adds what only
projects of this package's backends contain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import ReportError, Unsupported
from hwnas_hls.hls4ml.folder.cpp import Call, Struct
from hwnas_hls.hls4ml.folder.files import source
from hwnas_hls.hls4ml.folder.firmware import Firmware, origin, read_firmware
from hwnas_hls.hls4ml.folder.types import fixed_type
from hwnas_hls.network.precision import FixedType

#: Functions of hls4ml's library with the same effect under several names.
_KINDS = {
    "conv_2d_cl": "conv2d",
    "pointwise_conv_2d_cl": "conv2d",
    "conv2d_cl": "conv2d",
    "pooling2d_cl": "pool2d",
    "concatenate1d": "concatenate",
    "concatenate3d": "concatenate",
}
_BY_CODE = ("dense_da", "conv2d_cl")
_SETTING = re.compile(r'^\s*set\s+(\w+)\s+"?([^"\n]*)"?\s*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class WrittenLayer:
    """One layer call in the top function.

    Args:
        name: name of the layer in hls4ml.
        kind: ``dense``, ``conv2d``, ``pool2d``, ``add``, ``concatenate``, ``relu``, ``leaky_relu`` or
            the name of another function of hls4ml's library.
        inputs: names of its source layers, or of the network's input.
        n_in, n_out: number of values in and out.
        source, result: types of its first input and of its output.
        strategy: ``latency``, ``resource``, ``distributed_arithmetic``; empty if it has none.
        reuse_factor: 1 if it has none.
        weight, bias, accum, param: its types; ``None`` where the code has none
            (distributed arithmetic writes the weights into the code).
        weights: names of its weight arrays, in order.
        settings: the constants of its configuration as text; ``slope`` of a ``leaky_relu``.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    n_in: int
    n_out: int
    source: FixedType
    result: FixedType
    strategy: str
    reuse_factor: int
    weight: FixedType | None
    bias: FixedType | None
    accum: FixedType | None
    param: FixedType | None
    weights: tuple[str, ...]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WrittenProject:
    """A written project with one input and one output.

    Args:
        folder: the project.
        name: its top function.
        backend, part, clock_ns: from ``project.tcl``; ``backend`` in small letters.
        io_type: ``io_parallel`` or ``io_stream``.
        pipeline_style: ``pipeline`` or ``dataflow``.
        n_in, n_out, input, output: size and type of the input and the output.
        layers: in order.
    """

    folder: Path
    name: str
    backend: str
    part: str
    clock_ns: float
    io_type: str
    pipeline_style: str
    n_in: int
    n_out: int
    input: FixedType
    output: FixedType
    layers: tuple[WrittenLayer, ...]


def read_written(folder: Path) -> WrittenProject:
    """Read the project in ``folder``.

    Raises:
        ReportError: a file is missing or was not written by hls4ml 1.3.
    """
    script = folder / "project.tcl"
    settings = dict(_SETTING.findall(source(folder, "project.tcl")))
    for key in ("project_name", "part", "clock_period", "backend"):
        if key not in settings:
            raise ReportError(f"{script}: no setting {key}")
    name = settings["project_name"]
    try:
        clock_ns = float(settings["clock_period"])
    except ValueError as error:
        raise ReportError(f"{script}: not a number: {settings['clock_period']}") from error
    try:
        return _project(folder, name, settings, clock_ns)
    except Unsupported as error:
        raise ReportError(f"{folder}: {error}") from error


def _project(folder: Path, name: str, settings: Mapping[str, str], clock_ns: float) -> WrittenProject:
    firmware = read_firmware(folder, name, {})
    path = folder / "firmware" / f"{name}.cpp"
    if firmware.top != name:
        raise ReportError(f"{path}: no function {name}")
    makers = {port: port for port in firmware.ports}
    layers = tuple(
        _layer(call, firmware, makers, path) for call in firmware.calls if call.comment or len(call.types) > 1
    )
    if len(firmware.ports) != 2 or not layers:
        raise ReportError(f"{path}: expected one input and one output with layers between them")
    first, last = (firmware.variables[port] for port in firmware.ports)
    return WrittenProject(
        folder=folder,
        name=name,
        backend=settings["backend"].lower(),
        part=settings["part"],
        clock_ns=clock_ns,
        io_type="io_stream" if first.is_stream else "io_parallel",
        pipeline_style="dataflow" if "DATAFLOW" in firmware.pragmas else "pipeline",
        n_in=first.size,
        n_out=last.size,
        input=fixed_type(first.kind, firmware.names, "input"),
        output=fixed_type(last.kind, firmware.names, "output"),
        layers=layers,
    )


def _layer(call: Call, firmware: Firmware, makers: dict[str, str], path: Path) -> WrittenLayer:
    """One call; its output is added to ``makers`` (variable -> layer that writes it)."""
    values, name = list(call.arguments), call.comment
    kind = "dense" if call.function.startswith("dense_da") else _KINDS.get(call.function, call.function)
    struct = next(
        (firmware.structs[part] for part in reversed(call.types) if part in firmware.structs), Struct("", "")
    )
    constants = {key: value.removeprefix("nnet::") for key, value in struct.constants.items()}
    types = {
        role: fixed_type(struct.types[role], firmware.names, f"layer {name!r}, {role}")
        for role in ("weight_t", "bias_t", "accum_t", "param_t")
        if role in struct.types
    }
    if kind == "leaky_relu" and len(values) == 3:
        constants["slope"] = values.pop(1)
        types["param_t"] = fixed_type(call.types[1], firmware.names, f"layer {name!r}, slope")
    n_inputs = 2 if kind in ("add", "concatenate") else 1
    values = [origin(value, firmware.aliases) for value in values]
    if len(values) <= n_inputs:
        raise ReportError(f"{path}: layer {name} has no output")
    for value in values[: n_inputs + 1]:
        if value not in firmware.variables:
            raise ReportError(f"{path}: layer {name} uses {value}, which is not declared")
    inputs, output = values[:n_inputs], values[n_inputs]
    given, result = firmware.variables[inputs[0]], firmware.variables[output]
    sources = tuple(makers.get(value, value) for value in inputs)
    makers[output] = name
    by_code = call.function.startswith(_BY_CODE)
    return WrittenLayer(
        name=name,
        kind=kind,
        inputs=sources,
        n_in=given.size,
        n_out=result.size,
        source=fixed_type(given.kind, firmware.names, f"layer {name!r}, input"),
        result=fixed_type(result.kind, firmware.names, f"layer {name!r}, result"),
        strategy="distributed_arithmetic" if by_code else constants.get("strategy", ""),
        reuse_factor=int(constants.get("reuse_factor", 1)),
        weight=types.get("weight_t"),
        bias=types.get("bias_t"),
        accum=types.get("accum_t"),
        param=types.get("param_t"),
        weights=tuple(values[n_inputs + 1 :]),
        settings=constants,
    )
