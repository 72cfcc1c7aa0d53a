"""What an hls4ml project really builds, read from the C++ and Tcl that hls4ml wrote.

The firmware is the authority: an ``hls4ml_config.yml`` can be stale, and hls4ml drops settings
that it does not understand without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import ReportError, UserError
from hwnas_hls.network.precision import FixedType

_TYPEDEF = re.compile(r"^typedef\s+(.+?)\s+(\w+);", re.MULTILINE)
_ARRAY_TYPE = re.compile(r"nnet::array<\s*(.+?)\s*,\s*([\d*\s]+)>")
_STRUCT = re.compile(r"struct\s+(\w+)\s*(?::\s*nnet::\w+\s*)?\{(.*?)\n\};", re.DOTALL)
_CONSTANT = re.compile(r"static const (?:nnet::)?\w+ (\w+) = (?:nnet::)?(-?\w+);")
_ALIAS = re.compile(r"typedef (\w+) (\w+);")
_SAME = re.compile(r"^\s*auto\s*&\s*(\w+)\s*=\s*(\w+);", re.MULTILINE)
# Functions of hls4ml's library that do one thing by several names.
_KINDS = {
    "conv_2d_cl": "conv2d",
    "pointwise_conv_2d_cl": "conv2d",
    "conv2d_cl": "conv2d",
    "pooling2d_cl": "pool2d",
    "concatenate1d": "concatenate",
    "concatenate3d": "concatenate",
}
_BY_CODE = ("dense_da", "conv2d_cl")
_CALL = re.compile(r"^\s*(?:nnet|\w+)::(\w+)<(.*)>\((.*)\);\s*//\s*(\S+)", re.MULTILINE)
_VARIABLE = re.compile(
    r"^\s*(?:hls::stream<\s*)?(\w+)\s*>?\s*&?\s*(\w+)(?:\[([\d*\s]+)\])?\s*[;,(\n]", re.MULTILINE
)
_SETTING = re.compile(r'^\s*set\s+(\w+)\s+"?([^"\n]*)"?\s*$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FirmwareLayer:
    """One call in the top function.

    Args:
        name: of the layer in hls4ml.
        kind: ``dense``, ``conv2d``, ``pool2d``, ``add``, ``concatenate``, ``relu``, ``leaky_relu`` or
            another function of hls4ml's library by its name.
        inputs: names of the layers that it takes its inputs from, or of the network's input.
        n_in, n_out: number of values in and out; 0 where the code does not say.
        source, result: types of its (first) input and output.
        strategy: ``latency``, ``resource``, ``distributed_arithmetic``; empty where it has none.
        reuse_factor: 1 where it has none.
        weight, bias, accum, param: its types; ``None`` where the code has none
            (distributed arithmetic writes the weights into the code).
        weights: names of its weight arrays, in order.
        settings: the constants of its configuration, as text; ``slope`` of a ``leaky_relu``.
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
class Firmware:
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
    layers: tuple[FirmwareLayer, ...]


def read_firmware(folder: Path) -> Firmware:
    """Read the project in ``folder``.

    Raises:
        ReportError: a file is missing or does not look like hls4ml 1.3 wrote it.
    """
    settings = dict(_SETTING.findall(_text(folder / "project.tcl")))
    for key in ("project_name", "part", "clock_period", "backend"):
        if key not in settings:
            raise ReportError(f"{folder / 'project.tcl'}: no setting {key}")
    name = settings["project_name"]
    firmware = folder / "firmware"
    types = _types(firmware / "defines.h")
    structs = dict(_STRUCT.findall(_text(firmware / "parameters.h")))
    code_path = firmware / f"{name}.cpp"
    code = _text(code_path)
    head = re.search(rf"void {re.escape(name)}\((.*?)\)\s*\{{", code, re.DOTALL)
    if head is None:
        raise ReportError(f"{code_path}: no function {name}")
    ports = _variables(head[1] + "\n", types)
    variables = ports | _variables(code[head.end() :], types)
    same = _SAME.findall(code)
    for alias, meant in same:
        if meant in variables:
            variables[alias] = variables[meant]
    makers = {port: port for port in ports}
    layers = []
    for call in _CALL.findall(code):
        for alias, meant in same:
            if meant in makers:
                makers[alias] = makers[meant]
        layers.append(_layer(call, variables, types, structs, makers, code_path))
    if len(ports) != 2 or not layers:
        raise ReportError(f"{code_path}: not one input and one output with layers between them")
    (input_type, n_in), (output_type, n_out) = ports.values()
    return Firmware(
        folder=folder,
        name=name,
        backend=settings["backend"].lower(),
        part=settings["part"],
        clock_ns=_number(settings["clock_period"], folder / "project.tcl"),
        io_type="io_stream" if "hls::stream" in head[1] else "io_parallel",
        pipeline_style="dataflow" if "#pragma HLS DATAFLOW" in code else "pipeline",
        n_in=n_in,
        n_out=n_out,
        input=input_type,
        output=output_type,
        layers=tuple(layers),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: not readable as part of an hls4ml project: {error}") from error


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ReportError(f"{path}: not a number: {text}") from error


def _product(text: str) -> int:
    size = 1
    for factor in text.split("*"):
        size *= int(factor)
    return size


def _types(path: Path) -> dict[str, tuple[FixedType, int]]:
    """Type name -> (type of one value, values in it: above 1 for the words of a stream)."""
    found = {}
    for meaning, name in _TYPEDEF.findall(_text(path)):
        array = _ARRAY_TYPE.fullmatch(meaning)
        text, size = (array[1], _product(array[2])) if array else (meaning, 1)
        try:
            found[name] = (FixedType.parse(text), size)
        except UserError as error:
            raise ReportError(f"{path}: {name} is {text}, not a fixed-point type") from error
    return found


def _variables(code: str, types: dict[str, tuple[FixedType, int]]) -> dict[str, tuple[FixedType, int]]:
    """Variable -> (type of one value, number of values)."""
    found = {}
    for kind, name, size in _VARIABLE.findall(code):
        if kind in types:
            element, width = types[kind]
            found[name] = (element, width * (_product(size) if size else 1))
    return found


def _layer(
    call: tuple[str, str, str, str],
    variables: dict[str, tuple[FixedType, int]],
    types: dict[str, tuple[FixedType, int]],
    structs: dict[str, str],
    makers: dict[str, str],
    path: Path,
) -> FirmwareLayer:
    """One call; ``makers`` (variable -> layer that fills it) learns of its output."""
    function, templates, arguments, name = call
    values = [part.strip() for part in arguments.split(",")]
    kind = "dense" if function.startswith("dense_da") else _KINDS.get(function, function)
    given = [part.strip() for part in templates.split(",")]
    constants, aliases = _configuration(given, types, structs)
    if kind == "leaky_relu" and len(values) == 3:
        constants["slope"] = values.pop(1)
        aliases |= {"param_t": types[given[1]][0]} if given[1] in types else {}
    n_inputs = 2 if kind in ("add", "concatenate") else 1
    for value in values[: n_inputs + 1]:
        if value not in variables:
            raise ReportError(f"{path}: layer {name} uses {value}, which is not declared")
    inputs, output = values[:n_inputs], values[n_inputs]
    sources = tuple(makers.get(value, value) for value in inputs)
    makers[output] = name
    by_code = function.startswith(_BY_CODE)
    return FirmwareLayer(
        name=name,
        kind=kind,
        inputs=sources,
        n_in=variables[inputs[0]][1],
        n_out=variables[output][1],
        source=variables[inputs[0]][0],
        result=variables[output][0],
        strategy="distributed_arithmetic" if by_code else constants.get("strategy", ""),
        reuse_factor=int(constants.get("reuse_factor", 1)),
        weight=aliases.get("weight_t"),
        bias=aliases.get("bias_t"),
        accum=aliases.get("accum_t"),
        param=aliases.get("param_t"),
        weights=tuple(values[n_inputs + 1 :]),
        settings=constants,
    )


def _configuration(
    given: Sequence[str], types: dict[str, tuple[FixedType, int]], structs: dict[str, str]
) -> tuple[dict[str, str], dict[str, FixedType]]:
    """Constants and types of the configuration among a call's template arguments."""
    body = next((structs[part] for part in reversed(given) if part in structs), "")
    aliases = {alias: types[kind][0] for kind, alias in _ALIAS.findall(body) if kind in types}
    return dict(_CONSTANT.findall(body)), aliases
