"""The programs and packages that open synthesis needs, and how to install the missing ones."""

from __future__ import annotations

import importlib.metadata
import importlib.util

from hwnas_hls.protocols.target import Target
from hwnas_hls_plugins.synthesizers.open_synthesis.cxxrtl import compiler
from hwnas_hls_plugins.synthesizers.open_synthesis.yosys import FAMILIES

_INSTALL = "pip install 'hwnas-hls[open]'"


def missing(target: Target, *, package: str, compiled: bool) -> str:
    """What is missing and how to install it; empty if nothing is.

    Args:
        target: its family must be one that Yosys maps to.
        package: package that writes the RTL; empty if none is needed.
        compiled: whether a C++ compiler is needed.
    """
    lacks = []
    if target.family not in FAMILIES:
        lacks.append(
            f"Yosys' flow knows no family {target.family} ({target.name}); it knows {', '.join(FAMILIES)}"
        )
    packages = ["pyosys", *([package] if package else [])]
    lacks += [f"Python package {name} ({_INSTALL})" for name in packages if not installed(name)]
    if compiled and compiler() is None:
        lacks.append("a C++ compiler (for example apt install g++, or set CXX)")
    return "; ".join(lacks)


def installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def version(package: str) -> str:
    """Installed version; ``unknown`` for a package without metadata."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
