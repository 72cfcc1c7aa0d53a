"""The RTL and the firmware in a design's folder: their hashes, and checks that their files are unchanged."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from hwnas_hls.errors import ErrorKind, UserError

_STATEMENT = "circuit.json"
#: Suffixes of the firmware's files; what a build leaves beside them does not count.
_SOURCES = (".cpp", ".h", ".txt")


def exported_circuit(folder: Path) -> str:
    """SHA-256 of the circuit in ``folder/rtl``; empty if there is none.

    Args:
        folder: folder of the design.

    Raises:
        UserError: the hash is not readable, or a source was modified, added or removed.
    """
    place = folder / "rtl"
    if not place.is_dir():
        return ""
    path = place / _STATEMENT
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        circuit, files = str(data["circuit"]), dict(data["files_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "the RTL of the design has no hash of its circuit",
            kind=ErrorKind.WRONG_FORMAT,
            where=str(path),
            found=error,
            remedy="delete the folder rtl, or export it again",
        ) from error
    stated = {name: value for name, value in files.items() if name.startswith("src/")}
    there = {
        file.relative_to(place).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted((place / "src").rglob("*"))
        if file.is_file()
    }
    changed = sorted(name for name in stated.keys() | there.keys() if stated.get(name) != there.get(name))
    if changed or _hash_of_core(there) != circuit:
        raise UserError(
            "the RTL was modified after it was written, so the proof belongs to another circuit",
            kind=ErrorKind.MISMATCH,
            where=str(place),
            found=", ".join(changed[:4]) or f"a circuit that is not {circuit}",
            remedy="export it again",
        )
    return circuit


def firmware_hash(folder: Path) -> str:
    """SHA-256 of the firmware in ``folder/hls4ml``: sources, templates and weights; empty if there is none.

    Args:
        folder: folder of the design.
    """
    place = folder / "hls4ml" / "firmware"
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(place).as_posix()}\n"
        for file in sorted(place.rglob("*"))
        if file.is_file() and file.suffix in _SOURCES
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""


def remove_other_circuit(folder: Path, digest: str) -> None:
    """Delete ``folder/rtl`` if it is not the RTL of the design with this digest."""
    place = folder / "rtl"
    try:
        stated = json.loads((place / _STATEMENT).read_text(encoding="utf-8"))["design"]
    except (OSError, ValueError, KeyError, TypeError):
        stated = ""
    if place.is_dir() and stated != digest:
        shutil.rmtree(place)


def _hash_of_core(files: dict[str, str]) -> str:
    """What ``find . -name '*.v' | LC_ALL=C sort | xargs sha256sum | sha256sum`` prints in ``src/core``."""
    prefix = "src/core/"
    names = sorted(name for name in files if name.startswith(prefix) and name.endswith(".v"))
    lines = [f"{files[name]}  ./{name.removeprefix(prefix)}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
