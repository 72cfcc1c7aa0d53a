"""Project folders and configurations of hls4ml, of any version, read as queries of the hardware model.

:func:`read_folder` reads a project that hls4ml wrote, from its firmware and weights;
:func:`read_config` reads a lone ``hls4ml_config.yml``. No code of a project is run, nothing outside
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
from hwnas_hls.hls4ml.folder.yaml_query import read_config

__all__ = [
    "Project",
    "find_project",
    "find_projects",
    "read_config",
    "read_folder",
    "read_whole",
]
