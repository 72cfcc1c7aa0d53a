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

from hwnas_hls.errors import ToolMissing

log = logging.getLogger("hwnas_hls.training")

SOURCE = Path(__file__).with_name("kernels.c")
#: Sums keep their order, but a compiler may fuse a product with a sum and round once instead of twice:
#: the last bits of gradients depend on the compiler and the processor, as those of torch do. Whole
#: numbers, and so outputs on their grids, are exact either way. A design says which kernels trained it.
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


def library() -> ctypes.CDLL | None:
    """The compiled kernels; ``None`` where this machine cannot compile them."""
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


def compiled(folder: Path | None = None, source: Path = SOURCE) -> Path:
    """The shared library of ``kernels.c``, made by the first who needs it.

    Args:
        folder: where it is kept; ``None`` takes the user's cache folder.
        source: another file of kernels.

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
    facts = "\n".join([source.read_text(), " ".join(FLAGS), compiler, platform.machine(), _processor()])
    path = folder / f"kernels-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.so"
    seal = path.with_suffix(".sha256")
    if not _is_whole(path, seal):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            fresh = Path(place) / path.name
            command = [compiler, *FLAGS, "-shared", "-fPIC", str(source), "-o", str(fresh), "-lm"]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
            digest = Path(place) / seal.name
            digest.write_text(_digest(fresh))
            fresh.replace(path)
            digest.replace(seal)
    return path


def _is_whole(path: Path, seal: Path) -> bool:
    """Whether a library is there as it was compiled.

    A disk that was full, or a machine that went down, may leave half of one, and to load that can end
    the process.
    """
    try:
        return _digest(path) == seal.read_text()
    except OSError:
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _processor() -> str:
    """What the processor can do, as far as the system says."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
