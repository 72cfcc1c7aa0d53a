"""A project folder of hls4ml, made by anyone with any version -> a query of the hardware model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas_hls.errors import ReportError, Unsupported, UserError
from hwnas_hls_plugins.hls4ml_folder.config import load_config
from hwnas_hls_plugins.hls4ml_folder.files import inside
from hwnas_hls_plugins.hls4ml_folder.firmware import read_firmware
from hwnas_hls_plugins.hls4ml_folder.layers import Layers, read_layers
from hwnas_hls_plugins.hls4ml_folder.settings import BACKENDS, Settings, project_reports, read_settings
from hwnas_hls_plugins.hls_model.query import Query


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
