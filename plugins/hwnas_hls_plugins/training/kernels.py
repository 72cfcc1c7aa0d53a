"""The compiled training kernels. Loaded only to train.

``kernels.c`` is compiled once by the machine's C compiler, for its very processor, and kept in the
user's cache folder. Where there is no compiler, torch does the same arithmetic, more slowly.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

log = logging.getLogger("hwnas_hls.training")

SOURCE = Path(__file__).with_name("kernels.c")
#: Nothing here lets a compiler reorder arithmetic: numbers depend on the source alone.
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
COMPILERS = ("cc", "gcc", "clang")
TIMEOUT_S = 120.0
_TYPES = {"p": ctypes.c_void_p, "i": ctypes.c_int64, "f": ctypes.c_float, "d": ctypes.c_double}
#: Arguments of each function: pointers, whole numbers, single and double ones.
_SIGNATURES = {
    "forward": "ppiipifip",
    "backward": "ppiipifip",
    "quantise": "pip",
    "update": "pffff",
    "cross_entropy": "ppipppiii",
    "gather": "pipidddp",
}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; ``None`` where this machine cannot compile them."""
    try:
        path = compiled()
        kernels = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", "") or error
        log.warning("training takes torch alone, which is slower: no compiled kernels (%s)", detail)
        return None
    for name, arguments in _SIGNATURES.items():
        function = getattr(kernels, name)
        function.argtypes, function.restype = [_TYPES[letter] for letter in arguments], None
    return kernels


def compiled(folder: Path | None = None) -> Path:
    """The shared library of ``kernels.c``, made by the first who needs it.

    Args:
        folder: where it is kept; ``None`` takes the user's cache folder.

    Raises:
        OSError: no compiler, or the folder cannot be written.
        subprocess.SubprocessError: it does not compile.
    """
    import platformdirs

    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise FileNotFoundError(f"none of {', '.join(COMPILERS)} is on the path")
    folder = folder or Path(platformdirs.user_cache_dir("hwnas-hls")) / "training"
    # Homes are shared between machines: the processor is part of the name.
    facts = "\n".join([SOURCE.read_text(), " ".join(FLAGS), compiler, platform.machine(), _processor()])
    path = folder / f"kernels-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.so"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            fresh = Path(place) / path.name
            command = [compiler, *FLAGS, "-shared", "-fPIC", str(SOURCE), "-o", str(fresh), "-lm"]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
            fresh.replace(path)
    return path


def _processor() -> str:
    """What the processor can do, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
