"""Reads files of a project folder: plain files of bounded size inside the folder only."""

from __future__ import annotations

from pathlib import Path

from hwnas_hls.errors import ErrorKind, ReportError
from hwnas_hls.hls4ml.reports.files import read_text

MAX_SOURCE_BYTES = 2 * 1024 * 1024
MAX_WEIGHT_BYTES = 32 * 1024 * 1024
MAX_CONFIG_BYTES = 32 * 1024 * 1024


def inside(folder: Path, path: Path) -> bool:
    """Whether ``path`` is in ``folder`` after following links."""
    return path.resolve().is_relative_to(folder.resolve())


def source(folder: Path, relative: str, limit: int = MAX_SOURCE_BYTES) -> str:
    """The text of a file of the project.

    Raises:
        ReportError: missing, outside the folder, not a plain text file or too large.
    """
    path = folder / relative
    if not inside(folder, path):
        raise ReportError(
            f"{path}: is outside the project folder, so it is not read", kind=ErrorKind.NOT_ACCESSIBLE
        )
    return read_text(path, limit)


def optional_source(folder: Path, relative: str, limit: int = MAX_SOURCE_BYTES) -> str:
    """Like :func:`source`, but empty if the file is missing or unreadable."""
    if not (folder / relative).is_file():
        return ""
    try:
        return source(folder, relative, limit)
    except ReportError:
        return ""
