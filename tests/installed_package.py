"""A plugin package as pip leaves it in a folder of the path."""

from __future__ import annotations

from pathlib import Path


def install(folder: Path, module: str, code: str, entry: str) -> None:
    """A package as pip leaves it: a module and its dist-info."""
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module.replace('_', '-')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[hwnas_hls]\n{entry} = {module}\n")
