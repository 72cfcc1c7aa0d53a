"""Fake command line tools on PATH, for tests of plugins that run a vendor's."""

from __future__ import annotations

import json
import os
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

VENDOR_TOOLS = ("vitis-run", "vitis_hls", "vivado_hls", "vivado")
_HOMES = ("XILINX_VITIS", "XILINX_HLS", "XILINX_VIVADO")
_CALLS = "calls.jsonl"
#: Runs before the fake itself: every call is kept, whatever becomes of it.
_PREAMBLE = f"""#!{sys.executable}
import json as _json, os as _os, sys as _sys
with open(_os.path.join(_os.path.dirname(_os.path.abspath(_sys.argv[0])), {_CALLS!r}), "a") as _calls:
    _calls.write(_json.dumps([_os.path.basename(_sys.argv[0]), *_sys.argv[1:]]) + "\\n")
"""


class FakeTools:
    """A folder of fake tools that comes first on PATH.

    Example, a tool that prints one number::

        def test_reads_what_the_tool_prints(fake_tools):
            fake_tools.place("area-of", "print(1234)")
            ...
            assert fake_tools.calls() == [["area-of", "--part", "xcvu9p"]]

    Args:
        folder: where they lie; made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def place(self, name: str, code: str, folder: Path | None = None) -> Path:
        """Make the tool ``name`` of a Python program; its calls are recorded.

        Args:
            code: run as a script of its own, by this interpreter.
            folder: another one than that on PATH.
        """
        path = (folder or self.folder) / name
        # A docstring and future imports have to stay at the top of what is run.
        body = f"{_PREAMBLE}exec(compile({code!r}, {name!r}, 'exec'))\n"
        path.write_text(body, encoding="utf-8")
        path.chmod(0o755)
        return path

    def vendor(self, *names: str, folder: Path | None = None) -> None:
        """Make fakes of AMD's tools: they check their project and write reports with fixed numbers.

        The environment variable ``FAKE_VENDOR_MODE`` makes them fail; see
        :mod:`hwnas_hls.testing.fake_vendor`.

        Args:
            names: of :data:`VENDOR_TOOLS`; all of them where none is named.
        """
        code = resources.files("hwnas_hls.testing").joinpath("fake_vendor.py").read_text(encoding="utf-8")
        for name in names or VENDOR_TOOLS:
            self.place(name, code, folder)

    def calls(self) -> list[list[str]]:
        """Every call so far, name first."""
        path = self.folder / _CALLS
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def put_on_path(self, environment: pytest.MonkeyPatch) -> None:
        """Put the folder before everything else, and hide installed vendor tools' homes."""
        environment.setenv("PATH", str(self.folder), prepend=os.pathsep)
        for name in _HOMES:
            environment.delenv(name, raising=False)
