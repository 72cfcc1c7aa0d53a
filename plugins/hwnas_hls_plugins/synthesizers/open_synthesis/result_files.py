"""The files of a synthesis: RTL, logs, reports and bitstream, by their roles."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from hwnas_hls.protocols.synthesizer import SynthesisReport


def files_of(folder: Path) -> dict[str, Path]:
    """Role -> path of each existing file."""
    roles = {
        "result": "result.json",
        "rtl": "rtl",
        "design": "design",
        "statistics": "statistics.json",
        "rtl_log": "rtl.log",
        "synthesis_log": "synthesis.log",
        "compile_log": "compile.log",
        "simulation_log": "simulation.log",
        "pack_log": "pack.log",
    }
    routed = {path.stem.replace("-", "_") + "_report": path.name for path in folder.glob("route-*.json")}
    routed |= {path.stem.replace("-", "_") + "_log": path.name for path in folder.glob("route-*.log")}
    for role, pattern in (("routed", "route-*.config"), ("bitstream", "*.bit")):
        routed[role] = next((path.name for path in folder.glob(pattern)), role)
    roles |= routed
    return {role: folder / name for role, name in roles.items() if (folder / name).exists()}


def copied(report: SynthesisReport, folder: Path) -> SynthesisReport:
    """The same report, with its files copied into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for role, path in report.files.items():
        files[role] = folder / path.name
        if path.is_dir():
            shutil.copytree(path, files[role], dirs_exist_ok=True)
        else:
            shutil.copy2(path, files[role])
    return dataclasses.replace(report, files=files)
