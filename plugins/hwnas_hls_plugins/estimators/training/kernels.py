"""The compiled training kernels. Loaded only to train.

``kernels.c`` is compiled once by the machine's C compiler for its own processor, and stored in the user's
cache folder. Without a compiler, torch does the same arithmetic, more slowly.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import subprocess
from pathlib import Path

from hwnas_hls.errors import ToolMissing
from hwnas_hls_plugins.estimators.c_library import shared_library

log = logging.getLogger("hwnas_hls.training")

SOURCE = Path(__file__).with_name("kernels.c")
_TYPES = {"p": ctypes.c_void_p, "i": ctypes.c_int64, "f": ctypes.c_float, "d": ctypes.c_double}
#: Arguments of each function: pointers, integers, floats and doubles.
_SIGNATURES = {
    "forward": "ppiipifip",
    "backward": "ppiipifip",
    "quantise": "pip",
    "update": "pffff",
    "cross_entropy": "ppippppiiiip",
    "gather": "pipippppp",
}


def library() -> ctypes.CDLL | None:
    """The compiled kernels; ``None`` if they cannot be compiled."""
    return loaded()[0]


def required() -> ctypes.CDLL:
    """The compiled kernels.

    Raises:
        ToolMissing: this machine cannot compile them.
    """
    kernels, cause = loaded()
    if kernels is None:
        raise ToolMissing(f"the training kernels need a C compiler (cc, gcc or clang) that works: {cause}")
    return kernels


@functools.cache
def loaded() -> tuple[ctypes.CDLL | None, str]:
    """The compiled kernels, or why there are none."""
    try:
        kernels = ctypes.CDLL(str(compiled()))
    except (OSError, subprocess.SubprocessError) as error:
        cause = str(getattr(error, "stderr", "") or error).strip()
        log.warning("training takes torch alone, which is slower: no compiled kernels (%s)", cause)
        return None, cause
    for name, arguments in _SIGNATURES.items():
        function = getattr(kernels, name)
        function.argtypes, function.restype = [_TYPES[letter] for letter in arguments], None
    return kernels, ""


def compiled(folder: Path | None = None) -> Path:
    """The shared library of ``kernels.c``, see :func:`shared_library`.

    Args:
        folder: folder of the library; ``None`` means the user's cache folder.
    """
    return shared_library(SOURCE, folder)
