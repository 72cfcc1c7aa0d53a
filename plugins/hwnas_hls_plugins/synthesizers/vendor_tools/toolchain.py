"""Finds and runs the vendor's programs, with a time limit, a log, and clean-up of child processes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas_hls.errors import ErrorKind, ToolMissing
from hwnas_hls.system.programs import run_program

#: environment variable -> programs in its ``bin``
_HOMES = {
    "XILINX_VITIS": ("vitis-run", "vitis_hls"),
    "XILINX_HLS": ("vitis_hls", "vivado_hls"),
    "XILINX_VIVADO": ("vivado", "vivado_hls"),
}
_ERROR = re.compile(rb"^\s*(ERROR|FATAL|CRITICAL ERROR|error)\b[:\s]", re.MULTILINE)
_LICENCE = re.compile(
    rb"(valid license was not found|no license|license (checkout|check-out) (failed|error)|"
    rb"licensed number of users already reached|cannot connect to license server|LICENSE_ERROR|"
    rb"Failed to get license|flexnet|lmgrd)",
    re.IGNORECASE,
)
#: Number of bytes of a log to search, at its beginning and at its end.
_SEARCHED_BYTES = 4 * 2**20
_QUOTED_CHARACTERS = 300
_GRACE_S = 5.0


def find_program(name: str) -> Path | None:
    """A vendor's program, on PATH or in ``XILINX_VITIS``, ``XILINX_HLS`` or ``XILINX_VIVADO``."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    for variable, programs in _HOMES.items():
        home = os.environ.get(variable)
        if home and name in programs:
            found = shutil.which(name, path=str(Path(home) / "bin"))
            if found is not None:
                return Path(found)
    return None


def require_program(*names: str) -> Path:
    """The first of ``names`` that is installed.

    Raises:
        ToolMissing: none is installed; the message lists the searched locations.
    """
    for name in names:
        found = find_program(name)
        if found is not None:
            return found
    raise ToolMissing(
        f"{' or '.join(names)} is neither on PATH nor in {', '.join(_HOMES)}; "
        "install AMD Vitis/Vivado and source its settings64.sh"
    )


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Args:
        failure_kind: the kind of failure; ``None`` on success.
        code: exit code; negative for a signal.
        first_error: the first error line of its log, or a description.
        log: path of its log.
    """

    failure_kind: ErrorKind | None
    code: int
    first_error: str
    log: Path

    @property
    def failure(self) -> str:
        """Empty on success, else what happened, with the first error and the log."""
        if self.failure_kind is None:
            return ""
        leads = {ErrorKind.NO_LICENCE: "no licence", ErrorKind.TIME_LIMIT: "time limit"}
        lead = leads.get(self.failure_kind, f"ended with code {self.code}")
        return f"{lead}: {self.first_error} (log: {self.log})"


def run_tool(command: Sequence[str], folder: Path, log: Path, limit_s: float) -> Ended:
    """Run a vendor's program and classify its log.

    Args:
        command: program and arguments, run without a shell.
        folder: its working folder.
        log: receives its output.
        limit_s: time limit in seconds, after which its process group is ended.
    """
    ending = run_program(command, folder=folder, log=log, limit_s=limit_s, grace_s=_GRACE_S)
    first = first_error(log)
    if ending.timed_out:
        return Ended(ErrorKind.TIME_LIMIT, ending.status, first or f"not finished after {limit_s:g} s", log)
    if ending.status != 0 or first:
        if _licence(log):
            return Ended(ErrorKind.NO_LICENCE, ending.status, first or "the log mentions a licence", log)
        if ending.status != 0:
            kind = ErrorKind.CRASHED if ending.status < 0 else ErrorKind.TOOL_FAILED
            return Ended(kind, ending.status, first or "its log contains no error message", log)
    return Ended(None, 0, first, log)


def first_error(log: Path) -> str:
    """The first line of a log with ERROR, shortened; empty if there is none."""
    data = _searched(log)
    found = _ERROR.search(data)
    if found is None:
        return ""
    end = data.find(b"\n", found.end())
    line = data[found.start() : end if end >= 0 else None].decode("utf-8", "replace").strip()
    return line[:_QUOTED_CHARACTERS]


def _licence(log: Path) -> bool:
    return _LICENCE.search(_searched(log)) is not None


def _searched(log: Path) -> bytes:
    size = log.stat().st_size
    with log.open("rb") as source:
        data = source.read(_SEARCHED_BYTES)
        if size > 2 * _SEARCHED_BYTES:
            source.seek(size - _SEARCHED_BYTES)
        data += source.read(_SEARCHED_BYTES)
    return data
