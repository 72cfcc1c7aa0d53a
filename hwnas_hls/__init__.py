"""Hardware-aware neural architecture search for small neural networks on FPGAs, based on hls4ml."""

# `__init__.pyi` declares the types of the names that are loaded on demand here.
from importlib import import_module

from hwnas_hls.hookspecs import hookimpl

__version__ = "0.1.0"
_ON_DEMAND = {
    "Run": "hwnas_hls.api",
    "compare_runs": "hwnas_hls.views.comparison",
    "open_run": "hwnas_hls.api",
    "resume_run": "hwnas_hls.api",
    "run_search": "hwnas_hls.api",
}
__all__ = ["Run", "__version__", "compare_runs", "hookimpl", "open_run", "resume_run", "run_search"]


def __getattr__(name: str) -> object:
    """Import the Python API on first access, because numpy is slow to load."""
    if name not in _ON_DEMAND:
        raise AttributeError(f"module 'hwnas_hls' has no attribute {name!r}")
    found = getattr(import_module(_ON_DEMAND[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
