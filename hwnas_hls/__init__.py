"""Hardware-aware neural architecture search for small networks on FPGAs, by hls4ml."""

from hwnas_hls.hookspecs import hookimpl

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl"]
