"""A project folder of hls4ml, made by anyone with any version -> a query of the hardware model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ReportError, Unsupported, UserError
from hwnas_hls_plugins.hls4ml_folder.config import load_config
from hwnas_hls_plugins.hls4ml_folder.cpp import (
    Call,
    body_of,
    call_of,
    clean,
    evaluate,
    split,
    statements,
    structs,
    typedefs,
)
from hwnas_hls_plugins.hls4ml_folder.directives import directive_multipliers
from hwnas_hls_plugins.hls4ml_folder.files import MAX_WEIGHT_BYTES, inside, optional_source, source
from hwnas_hls_plugins.hls4ml_folder.layers import Firmware, Layers, read_layers
from hwnas_hls_plugins.hls4ml_folder.precisions import Precisions
from hwnas_hls_plugins.hls4ml_folder.settings import BACKENDS, Settings, project_reports, read_settings
from hwnas_hls_plugins.hls_model.query import Query

_ALIAS = re.compile(r"(?:const\s+)?auto\s*&\s*(\w+)\s*=\s*(\w+)")
_ARRAY = re.compile(r"[\w:<>,\s*]+?[\s&>](\w+)\s*\[([^\]]{1,100})\]")


def find_project(path: Path | str) -> Path:
    """The project folder that ``path`` means: itself, or the only one directly below it.

    Raises:
        UserError: no folder, no project, or several to choose from.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(
            "no such folder", found=path, remedy="give the folder that hls4ml wrote (its output_dir)"
        )
    if (path / "firmware").is_dir():
        return path
    if path.name == "firmware" and (path / "parameters.h").is_file():
        return path.parent
    below = sorted(child.name for child in path.iterdir() if (child / "firmware" / "parameters.h").is_file())
    if len(below) == 1 and inside(path, path / below[0]):
        return path / below[0]
    if below:
        raise UserError("more than one hls4ml project in this folder", where=str(path), choices=below)
    raise UserError(
        "not an hls4ml project",
        where=str(path),
        found="no folder 'firmware'",
        remedy="give the folder that hls4ml wrote (its output_dir)",
    )


def read_folder(path: Path | str, stage: str = "csynth") -> Query:
    """Read a project: layers, types, weights, part, clock and tool.

    Types, sizes and strategies are those of the firmware, whatever ``hls4ml_config.yml`` says:
    the firmware is what is synthesised. No code of the project is run and nothing outside of
    the folder is read.

    Args:
        path: the folder that hls4ml wrote.
        stage: stage of the query.

    Raises:
        UserError: no such project.
        ReportError: a file is missing or damaged; it is named.
        Unsupported: a layer of another kind; it is named.
    """
    folder = find_project(path)
    warnings: list[str] = []
    config = _config(folder, warnings)
    reports = project_reports(folder)
    settings = read_settings(folder, config, reports)
    if settings.backend and settings.backend not in BACKENDS.values():
        raise Unsupported(f"{folder}: backend {settings.backend}; only those for Xilinx parts are judged")
    layers = read_layers(read_firmware(folder, settings.top, config))
    scope = "core+AXI wrapper" if settings.backend == "VivadoAccelerator" else "core"
    return _query(layers, settings, scope, stage, warnings)


def _query(layers: Layers, settings: Settings, scope: str, stage: str, warnings: list[str]) -> Query:
    return Query(
        layers=tuple(layers.layers),
        part=settings.part,
        clock_ns=settings.clock_ns,
        tool=settings.tool,
        stage=stage,
        clock_uncertainty=settings.clock_uncertainty,
        io_type=layers.io_type,
        backend=settings.backend,
        scope=scope,
        softmax=layers.softmax,
        name=settings.name,
        warnings=(*warnings, *settings.warnings, *layers.warnings),
        reasons=tuple(layers.reasons),
    )


def _config(folder: Path, warnings: list[str]) -> dict[str, Any]:
    """The configuration, where it is there and readable: the firmware does not need it."""
    for name in ("hls4ml_config.yml", "hls4ml_config.yaml", "keras-config.yml"):
        path = folder / name
        if path.is_file() and inside(folder, path):
            try:
                return load_config(path)
            except ReportError as error:
                warnings.append(str(error))
    return {}


def read_firmware(folder: Path, top: str, config: dict[str, Any]) -> Firmware:
    """Parse ``parameters.h``, ``defines.h`` and the source of the top function.

    Raises:
        ReportError: one is missing, or no function in it calls hls4ml's layers.
    """
    parameters = clean(source(folder, "firmware/parameters.h"))
    defines = clean(optional_source(folder, "firmware/defines.h"))
    text, first_line, comments, header, pragmas = _top_body(folder, top)
    names = {**typedefs(parameters.text), **typedefs(defines.text)}
    constants = {**parameters.defines, **defines.defines}
    calls: list[Call] = []
    sizes: dict[str, int] = {}
    aliases: dict[str, str] = {}
    for part in split(header):
        _declare(part, constants, sizes)
    for statement, line in statements(text, first_line):
        alias = _ALIAS.fullmatch(statement)
        if alias is not None:
            aliases[alias[1]] = alias[2]
            continue
        call = call_of(statement, _name_in(comments.get(line, "")))
        if call is not None and not statement.startswith("hls::stream"):
            calls.append(call)
        elif "nnet::" in statement and "(" in statement and not statement.startswith("hls::stream"):
            raise ReportError(f"{folder}: cannot make out the statement {statement[:100]!r} of its firmware")
        else:
            _declare(statement, constants, sizes)
    directives = [f"HLS {pragma}" for pragma in pragmas]
    for name in ("nnet_mult.h", "nnet_dense_latency.h", "nnet_dense_resource.h", "nnet_dense.h"):
        directives.append(optional_source(folder, f"firmware/nnet_utils/{name}"))
    directives.append(optional_source(folder, "build_prj.tcl"))
    generated = "firmware/nnet_utils/nnet_code_gen.h"
    by_graph = any(call.function.startswith("dense_da") for call in calls)
    return Firmware(
        folder=folder,
        calls=calls,
        names=names,
        constants=constants,
        structs=structs(parameters.text),
        sizes=sizes,
        aliases=aliases,
        multipliers=directive_multipliers(directives),
        da_weight=Precisions(config).weights(),
        generated=optional_source(folder, generated, MAX_WEIGHT_BYTES) if by_graph else "",
    )


def _top_body(folder: Path, top: str) -> tuple[str, int, dict[int, str], str, list[str]]:
    """Body of the top function, its first line, comments, parameter list and directives."""
    names = [top, top.removesuffix("_axi"), "myproject"]
    files = [f"firmware/{name}.cpp" for name in dict.fromkeys(names) if name]
    listed = sorted((folder / "firmware").glob("*.cpp"))[:50]
    files += [f"firmware/{path.name}" for path in listed if f"firmware/{path.name}" not in files]
    for relative in files:
        if not (folder / relative).is_file():
            continue
        cleaned = clean(source(folder, relative))
        for match in re.finditer(r"\bvoid\s+(\w+)\s*\(([^)]*)\)\s*\{", cleaned.text):
            body, first_line = body_of(cleaned.text, match[1])
            if "nnet::" in body:
                return body, first_line, cleaned.comments, match[2], cleaned.pragmas
    raise ReportError(f"{folder}: no function in firmware/*.cpp that calls layers of hls4ml")


def _name_in(comment: str) -> str:
    """hls4ml writes the layer's name behind its call; other people's remarks are no names."""
    return comment if re.fullmatch(r"[\w./:-]{1,120}", comment) else ""


def _declare(statement: str, constants: dict[str, str], sizes: dict[str, int]) -> None:
    match = _ARRAY.fullmatch(" ".join(statement.split())[:300])
    if match is not None:
        size = evaluate(match[2], constants)
        if size is not None and size > 0:
            sizes[match[1]] = size
