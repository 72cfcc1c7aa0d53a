"""Compiles C sources of plugins to shared libraries, once per machine and processor."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

#: The order of sums is kept, but a compiler may fuse a product and a sum and round once instead of twice.
#: The last bits of gradients therefore depend on the compiler and the processor, as in torch. Integers, and
#: thus outputs on their grids, are always exact.
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
COMPILERS = ("cc", "gcc", "clang")
TIMEOUT_S = 120.0


def shared_library(source: Path, folder: Path | None = None) -> Path:
    """The shared library of a C source, compiled on first use.

    Args:
        source: a C file; its name without ``.c`` is that of the library.
        folder: folder of the library; ``None`` means the user's cache folder.

    Raises:
        OSError: there is no compiler, or the folder cannot be written.
        subprocess.SubprocessError: the compilation failed.
    """
    import platformdirs

    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise FileNotFoundError(f"none of {', '.join(COMPILERS)} is on PATH")
    folder = folder or Path(platformdirs.user_cache_dir("hwnas-hls")) / "training"
    # Home folders may be shared between machines, so the name contains the processor.
    facts = "\n".join([source.read_text(), " ".join(FLAGS), compiler, platform.machine(), _processor()])
    path = folder / f"{source.stem}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.so"
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
    """Whether a library is complete.

    A full disk or a crash may leave a truncated one, and loading it can crash the process.
    """
    try:
        return _digest(path) == seal.read_text()
    except OSError:
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _processor() -> str:
    """The features of the processor, as reported by the system."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
