"""The sources of a project: configuration structs, type names, and the calls of the top function."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ReportError, Unsupported
from hwnas_hls.hls4ml.folder.cpp import (
    Call,
    Function,
    SourceText,
    Struct,
    call_of,
    clean,
    functions,
    split,
    statements,
    structs,
    typedefs,
)
from hwnas_hls.hls4ml.folder.directives import (
    MULTIPLYING,
    Bindings,
    directive_pragmas,
    read_bindings,
)
from hwnas_hls.hls4ml.folder.expressions import evaluate
from hwnas_hls.hls4ml.folder.files import MAX_WEIGHT_BYTES, optional_source, source
from hwnas_hls.hls4ml.folder.precisions import NEWEST, Precisions
from hwnas_hls.hls4ml.folder.preprocessor import flags
from hwnas_hls.hls4ml.folder.settings import READ_BACKENDS
from hwnas_hls.network.precision import FixedType

_ALIAS = re.compile(r"(?:const\s+)?auto\s*&\s*(\w+)\s*=\s*(\w+)")
_ARRAY = re.compile(r"([\w:<>,\s*]+?)[\s&>](\w+)\s*\[([^\]]{1,100})\]")
_STREAM = re.compile(r"(?:static\s+)?hls::stream\s*<\s*([\w:]+)\s*>\s*&?\s*(\w+)(?:\s*\(.*\))?")
_INCLUDE = re.compile(r'(?m)^[ \t]*#[ \t]*include[ \t]+"(\w{1,100}\.hp?p?)"')
_SET_TOP = re.compile(r'(?m)^[ \t]*set_top[ \t]+"?(\$\{?)?([A-Za-z_]\w*)')
_STRING = re.compile(r'"[^"]*"')
_LOADING = re.compile(r"(?:if\s*\([^;]*?\)\s*|else\s+)*(?:\w+::)*load_(?:compressed_)?weights_from_txt\s*<")
_WORD = re.compile(r"(?:\w+::)*array\s*<(.*),([^,<>]+)>")


@dataclass(frozen=True, slots=True)
class Variable:
    """An array or stream of the top function.

    Args:
        kind: C++ type of its elements, as written.
        size: number of values; for a stream, per word.
        is_stream: whether it is a stream.
    """

    kind: str
    size: int
    is_stream: bool


@dataclass(slots=True)
class Firmware:
    """The parsed sources of a project, before its layers are assembled.

    Args:
        folder: the project.
        top: name of the function that calls the layers.
        ports: arrays and streams among its parameters, in order.
        parameters: every word of its list of parameters.
        calls: layer calls of the top function, in order.
        names: type names -> definitions.
        constants: names -> expressions.
        structs: configurations by name.
        variables: arrays and streams of the top function, including its ports.
        pragmas: text behind ``#pragma HLS`` in the top function, in order, then what directives of scripts
            mean.
        aliases: array name -> the array that it is an alias of.
        touched: words of the statements that are neither declarations nor calls of layers.
        wrapper: name of a function around the top function, which the script makes the top; empty without.
        missing: name of the top function of the script, if no source has such a function; else empty.
        bindings: what directives make of operations.
        da_weight: weight types of layers, by name, from the configuration.
        strategies: names of the release's enumeration of strategies, or of the newest one's.
        generated: text of ``nnet_code_gen.h``: adder graphs, and casts of single values.
    """

    folder: Path
    top: str
    ports: tuple[str, ...]
    parameters: frozenset[str]
    calls: list[Call]
    names: Mapping[str, str]
    constants: Mapping[str, str]
    structs: Mapping[str, Struct]
    variables: Mapping[str, Variable]
    aliases: Mapping[str, str]
    touched: frozenset[str] = frozenset()
    wrapper: str = ""
    pragmas: Sequence[str] = ()
    missing: str = ""
    bindings: Bindings = field(default_factory=Bindings)
    da_weight: Mapping[str, FixedType] = field(default_factory=dict)
    strategies: frozenset[str] = NEWEST
    generated: str = ""


def read_firmware(folder: Path, top: str, config: dict[str, Any]) -> Firmware:
    """Parse ``parameters.h``, ``defines.h`` and the source of the top function.

    Raises:
        ReportError: a file is missing, or no function calls hls4ml's layers.
    """
    scripts = [optional_source(folder, name) for name in _scripts(folder)]
    given = flags("\n".join(scripts))
    defines = clean(optional_source(folder, "firmware/defines.h"), given)
    parameters = clean(source(folder, "firmware/parameters.h"), given | defines.named)
    headers = f"{defines.text}\n{parameters.text}"
    function, cleaned = _top_function(folder, top, given | defines.named | parameters.named, headers)
    names = {**typedefs(parameters.text), **typedefs(defines.text)}
    constants = {**parameters.defines, **defines.defines}
    calls: list[Call] = []
    variables: dict[str, Variable] = {}
    aliases: dict[str, str] = {}
    touched: set[str] = set()
    for part in split(function.parameters):
        _declare(part, constants, names, variables)
    ports = tuple(variables)
    for written, line in statements(function.body, function.first_line):
        statement = _STRING.sub('""', written)
        if _LOADING.match(statement):
            continue  # no hardware, whatever condition it stands under
        alias = _ALIAS.fullmatch(statement)
        if alias is not None:
            aliases[alias[1]] = alias[2]
            continue
        call = call_of(statement, _name_in(cleaned.comments.get(line, "")))
        if call is not None:
            calls.append(call)
        elif "nnet::" in statement and "(" in statement and not _STREAM.fullmatch(statement):
            raise ReportError(f"{folder}: cannot parse the statement {statement[:100]!r} of its firmware")
        elif not _declare(statement, constants, names, variables):
            touched |= set(re.findall(r"\w+", statement[:2000]))
    headers_of = {name: optional_source(folder, f"firmware/nnet_utils/{name}") for name in MULTIPLYING}
    bound = {
        name: [pragma.text for pragma in clean(text, given).pragmas] for name, text in headers_of.items()
    }
    wanted = _wanted_top(scripts, top, function.name)
    present = bool(wanted) and _is_function(folder, wanted)
    generated = "firmware/nnet_utils/nnet_code_gen.h"
    return Firmware(
        folder=folder,
        top=function.name,
        ports=ports,
        parameters=frozenset(re.findall(r"\w+", function.parameters)),
        calls=calls,
        names=names,
        constants=constants,
        structs=structs(parameters.text),
        variables=variables,
        aliases=aliases,
        touched=frozenset(touched),
        wrapper=wanted if present else "",
        missing="" if present else wanted,
        pragmas=[
            *(pragma.text for pragma in cleaned.pragmas if function.holds(pragma.line)),
            *directive_pragmas("\n".join(scripts)),
        ],
        bindings=read_bindings(bound, "\n".join(scripts)),
        da_weight=Precisions(config).weights(),
        strategies=_strategies(optional_source(folder, "firmware/nnet_utils/nnet_common.h")),
        generated=optional_source(folder, generated, MAX_WEIGHT_BYTES),
    )


#: What only the code of other makers' backends contains.
_OTHER_BACKENDS = {
    "oneAPI": re.compile(r"\b(?:InPipe|OutPipe)\s*::|\bsycl\s*::|#\s*include\s*<sycl"),
    "Quartus (Intel HLS)": re.compile(r"\bhls_register\b|\bhls_component_ii\b|\bihc\s*::"),
    "Catapult": re.compile(r"\bac_channel\s*<|\bCCS_BLOCK\b"),
    "Libero (SmartHLS)": re.compile(r"(?m)^function\s+top\b|\bhls::FIFO\s*<|\bap_fixpt\s*<"),
    # all of the above but the last have their types
    "oneAPI, Quartus or Catapult (types ac_fixed)": re.compile(r"\bac_fixed\s*<"),
}


def origin(name: str, aliases: Mapping[str, str]) -> str:
    """The array that ``name`` is an alias of, or ``name`` itself."""
    for _ in range(16):
        if name not in aliases:
            break
        name = aliases[name]
    return name


def _top_function(
    folder: Path, top: str, defined: Mapping[str, str], headers: str
) -> tuple[Function, SourceText]:
    """The function that calls the layers, and its file.

    Args:
        defined: macros of its headers.
        headers: their text, for the maker's types.
    """
    names = [name for name in (top, top.removesuffix("_axi"), "myproject") if name]
    files = [f"firmware/{name}.cpp" for name in dict.fromkeys(names)]
    listed = sorted((folder / "firmware").glob("*.cpp"))[:50]
    files += [f"firmware/{path.name}" for path in listed if f"firmware/{path.name}" not in files]
    others: list[tuple[Function, SourceText, str]] = []
    for relative in files:
        if not (folder / relative).is_file():
            continue
        text = source(folder, relative)
        cleaned = clean(text, {**defined, **_included(folder, text, defined)})
        _check_maker(folder, "\n".join([*(p.text for p in cleaned.pragmas), cleaned.text, headers]), relative)
        for function in functions(cleaned.text):
            if "nnet::" in function.body:
                if function.name in names:
                    return function, cleaned
                others.append((function, cleaned, relative))
    if not others:
        raise ReportError(f"{folder}: no function in firmware/*.cpp that calls layers of hls4ml")
    if len(others) > 1:
        several = ", ".join(f"{function.name} ({relative})" for function, _, relative in others[:10])
        raise Unsupported(f"{folder}: {several} all call layers, and none is {names[0]}")
    return others[0][:2]


def _included(folder: Path, text: str, defined: Mapping[str, str]) -> dict[str, str]:
    """Macros of the headers beside a source that it includes, without those of these headers' own."""
    found: dict[str, str] = {}
    for name in _INCLUDE.findall(text[:20_000])[:20]:
        if name not in ("defines.h", "parameters.h"):  # read already
            found |= clean(optional_source(folder, f"firmware/{name}"), {**defined, **found}).named
    return found


def _check_maker(folder: Path, text: str, relative: str) -> None:
    """Refuse code that only the backends of other makers write."""
    for backend, mark in _OTHER_BACKENDS.items():
        if mark.search(text):
            raise Unsupported(f"{folder}: code of the backend {backend} ({relative}); {READ_BACKENDS}")


def _name_in(comment: str) -> str:
    """The layer name in the comment after a call; other comments are ignored."""
    return comment if re.fullmatch(r"[\w./:-]{1,120}", comment) else ""


def _strategies(header: str) -> frozenset[str]:
    """The names of ``enum strategy``, which each release extends."""
    found = re.search(r"\benum\s+strategy\s*\{([\w\s,]{1,500})\}", header)
    return frozenset(found[1].replace(",", " ").split()) if found is not None else NEWEST


def _scripts(folder: Path) -> list[str]:
    """The scripts that a tool may have run, with the directives that its user interface stored."""
    stored = sorted(folder.glob("*/solution*/directives.tcl"))[:20]
    names = [path.relative_to(folder).as_posix() for path in stored]
    return ["build_prj.tcl", "project.tcl", "build_opt.tcl", "directives.tcl", *names]


def _wanted_top(scripts: Sequence[str], top: str, found: str) -> str:
    """The function that a script synthesises instead of ``found``, the one with the layers; else empty.

    hls4ml's own function around it is none. Behind ``set_top $project_name`` stands ``top``.
    """
    named = [set_top for text in scripts for set_top in _SET_TOP.finditer(text)]
    wanted = "" if not named else top if named[-1][1] else named[-1][2]
    return "" if wanted in (found, f"{found}_axi") else wanted


def _is_function(folder: Path, name: str) -> bool:
    """Whether a source of the firmware has a function of this name."""
    paths = sorted((folder / "firmware").glob("*.cpp"))[:50]
    texts = (clean(source(folder, f"firmware/{path.name}")).text for path in paths)
    return any(re.search(rf"\b{re.escape(name)}\s*\(", text) for text in texts)


def _declare(
    statement: str, constants: Mapping[str, str], names: Mapping[str, str], variables: dict[str, Variable]
) -> bool:
    """Record the array or stream that a statement or parameter declares; whether it declares one."""
    plain = " ".join(statement.split())[:300]
    array, stream = _ARRAY.fullmatch(plain), _STREAM.fullmatch(plain)
    if array is not None:
        size = evaluate(array[3], constants)
        if size is not None and size > 0:
            variables[array[2]] = Variable(array[1].strip(), size, is_stream=False)
            return True
    elif stream is not None:
        word = _WORD.fullmatch(names.get(stream[1], ""))
        size = None if word is None else evaluate(word[2].strip(), constants)
        variables[stream[2]] = Variable(stream[1], size or 1, is_stream=True)
        return True
    return False
