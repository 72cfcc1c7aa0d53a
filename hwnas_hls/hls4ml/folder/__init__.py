"""Reads hls4ml projects and configurations of any version as queries of the hardware model.

:func:`read_folder` reads the firmware and weights of a project; :func:`read_config` reads a single
``hls4ml_config.yml``. No code of a project is run, no file outside its folder is read, and sizes are
bounded.
"""

from __future__ import annotations

from hwnas_hls.hls4ml.folder.folder import (
    Project,
    find_project,
    find_projects,
    read_folder,
    read_whole,
)
from hwnas_hls.hls4ml.folder.yaml_query import read_config

__all__ = [
    "Project",
    "find_project",
    "find_projects",
    "read_config",
    "read_folder",
    "read_whole",
]
