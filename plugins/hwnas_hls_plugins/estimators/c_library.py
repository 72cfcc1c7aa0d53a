"""C sources of plugins made shared libraries, once a machine and processor."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

#: Sums keep their order, but a compiler may fuse a product with a sum and round once instead of twice:
#: the last bits of gradients depend on the compiler and the processor, as those of torch do. Whole
#: numbers, and so outputs on their grids, are exact either way.
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
COMPILERS = ("cc", "gcc", "clang")
TIMEOUT_S = 120.0


def shared_library(source: Path, folder: Path | None = None) -> Path:
    """The shared library of a C source, made by the first who needs it.

    Args:
        source: one file; its name without ``.c`` names the library.
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
