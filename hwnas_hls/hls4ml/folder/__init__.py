"""Project folders and configurations of hls4ml, of any version, read as queries of the hardware model.

:func:`read_folder` reads a project that hls4ml wrote, from its firmware and weights;
:func:`read_config` reads a lone ``hls4ml_config.yml``; :func:`lint_folder` and
:func:`lint_config` find the pitfalls in them. No code of a project is run, nothing outside
its folder is read, sizes are bounded.
"""

from __future__ import annotations

from hwnas_hls.hls4ml.folder.folder import (
    Project,
    find_project,
    find_projects,
    read_folder,
    read_whole,
)
from hwnas_hls.hls4ml.folder.lint import lint_config, lint_folder
from hwnas_hls.hls4ml.folder.yaml_query import read_config
from hwnas_hls.hls4ml.lint import Finding

__all__ = [
    "Finding",
    "Project",
    "find_project",
    "find_projects",
    "lint_config",
    "lint_folder",
    "read_config",
    "read_folder",
    "read_whole",
]
