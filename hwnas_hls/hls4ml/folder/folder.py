"""Reads an hls4ml project of any version as a query of the hardware model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas_hls.errors import ErrorKind, ReportError, Unsupported, UserError
from hwnas_hls.hls4ml.belonging import contradictions
from hwnas_hls.hls4ml.folder.config import load_config
from hwnas_hls.hls4ml.folder.dense import Layers
from hwnas_hls.hls4ml.folder.files import inside
from hwnas_hls.hls4ml.folder.firmware import read_firmware
from hwnas_hls.hls4ml.folder.layers import read_layers
from hwnas_hls.hls4ml.folder.settings import (
    BACKENDS,
    READ_BACKENDS,
    Settings,
    project_reports,
    read_settings,
)
from hwnas_hls.hls4ml.notes import Note, NoteKind
from hwnas_hls.hls4ml.query import Query
from hwnas_hls.hls4ml.reports import ProjectReports

#: Maximum number of entries of a tree to search for projects.
MAX_ENTRIES = 500_000
#: Maximum number of adder levels per pipeline stage in a configuration.
_MOST_LEVELS = 1000


def find_project(path: Path | str) -> Path:
    """The project folder at ``path``, or the only one below it.

    Raises:
        UserError: not a folder, no project, or several projects.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(
            "no such folder",
            found=path,
            remedy="give the folder that hls4ml wrote (its output_dir)",
            kind=ErrorKind.MISSING,
        )
    if (path / "firmware").is_dir():
        return path
    if path.name == "firmware" and (path / "parameters.h").is_file():
        return path.parent
    below = find_projects(path)
    if len(below) == 1:
        return below[0]
    if below:
        choices = [place.relative_to(path).as_posix() for place in below[:20]]
        raise UserError(
            "more than one hls4ml project in this folder",
            where=str(path),
            choices=choices,
            kind=ErrorKind.AMBIGUOUS,
        )
    raise UserError(
        "not an hls4ml project",
        where=str(path),
        found="no folder 'firmware'",
        remedy="give the folder that hls4ml wrote (its output_dir)",
        kind=ErrorKind.WRONG_FORMAT,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """A project with all data read from it.

    Args:
        folder: its path.
        query: its query of the hardware model.
        reports: readable reports of the vendor's tools, if any.
        configs: names of the dense layers' configuration structs, which the tools' module names contain;
            empty for distributed arithmetic.
        graphs: functions of their adder graphs; empty for the other strategies.
        top: name of the top function.
        structs: names of all configuration structs of the firmware.
        ports: array that the first layer reads or the last one writes -> its bits; without streams.
    """

    folder: Path
    query: Query
    reports: ProjectReports | None
    configs: tuple[str, ...]
    graphs: tuple[str, ...]
    top: str
    structs: frozenset[str]
    ports: Mapping[str, int] = field(default_factory=dict)


def read_folder(path: Path | str, stage: str = "csynth") -> Query:
    """Read a project: layers, types, weights, part, clock and tool.

    Types, sizes and strategies come from the firmware, which is what is synthesised, and not from
    ``hls4ml_config.yml``. No code of the project is run, and no file outside the folder is read.

    Args:
        path: a folder written by hls4ml.
        stage: stage of the query.

    Raises:
        UserError: there is no project.
        ReportError: a file is missing or damaged.
        Unsupported: a layer is not supported.
    """
    return read_whole(path, stage).query


def read_whole(path: Path | str, stage: str = "csynth") -> Project:
    """Like :func:`read_folder`, with the project's reports and names."""
    folder = find_project(path)
    warnings: list[Note] = []
    config = _config(folder, Path(path), warnings)
    reports, problems = project_reports(folder)
    warnings += problems
    settings = read_settings(folder, config, None)
    if settings.backend and settings.backend not in BACKENDS.values():
        raise Unsupported(f"{folder}: backend {settings.backend}; {READ_BACKENDS}")
    firmware = read_firmware(folder, settings.top, config)
    layers = read_layers(firmware)
    scope = "core+AXI wrapper" if settings.backend == "VivadoAccelerator" else "core"
    levels = _adder_levels(config, warnings)
    project = Project(
        folder=folder,
        query=_query(layers, settings, scope, stage, warnings),
        reports=reports,
        configs=tuple(layers.configs),
        graphs=tuple(layers.graphs),
        top=firmware.top,
        structs=frozenset(firmware.structs),
        ports=layers.ports,
    )
    if reports is not None and reports.csynth is not None:
        belonging = (each for each in reports.solutions if not contradictions(project, each))
        own = next((each.csynth for each in belonging if each.csynth is not None), None)
        settings = read_settings(folder, config, own, reports.csynth if own is None else None)
    query = dataclasses.replace(_query(layers, settings, scope, stage, warnings), adder_levels=levels)
    return dataclasses.replace(project, query=query)


def find_projects(root: Path | str) -> list[Path]:
    """All hls4ml projects in a tree, sorted; links are not followed.

    Raises:
        UserError: not a folder, or too many entries.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError("no such folder", found=root, kind=ErrorKind.MISSING)
    found: list[Path] = []
    seen = 0
    for here, folders, names in os.walk(root, followlinks=False):
        seen += len(folders) + len(names)
        if seen > MAX_ENTRIES:
            raise UserError(
                "too many files to look for projects in",
                found=root,
                remedy="name a folder below it",
                kind=ErrorKind.TOO_LARGE,
            )
        if (Path(here) / "firmware" / "parameters.h").is_file():
            found.append(Path(here))
            folders[:] = []
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    return found


def _query(layers: Layers, settings: Settings, scope: str, stage: str, warnings: list[Note]) -> Query:
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
        pipeline_ii=layers.pipeline_ii,
    )


def _adder_levels(config: dict[str, Any], warnings: list[Note]) -> int | None:
    """The pipeline that was found with the clock of the design, as ``run`` writes it."""
    levels = config.get("AdderLevels")
    if levels is None or (type(levels) is int and 1 <= levels <= _MOST_LEVELS):
        return levels
    text = f"AdderLevels in the configuration is no number of levels: {levels!r:.40}"
    warnings.append(Note(NoteKind.UNREAD, text))
    return None


def _config(folder: Path, given: Path, warnings: list[Note]) -> dict[str, Any]:
    """The configuration if it is readable; it is optional.

    It lies beside the firmware, or, as oneAPI's does, above it in the folder that the user gave.
    """
    places = [folder, *(place for place in folder.parents if place == given or given in place.parents)]
    names = ("hls4ml_config.yml", "hls4ml_config.yaml", "keras-config.yml")
    for place, name in ((place, name) for place in places for name in names):
        path = place / name
        if path.is_file() and inside(place, path):
            try:
                return load_config(path)
            except ReportError as error:
                warnings.append(Note(NoteKind.UNREAD, str(error)))
    return {}
