"""Fake command line tools on PATH, for tests of plugins that run vendor tools."""

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
#: Runs before the fake tool and records every call.
_PREAMBLE = f"""#!{sys.executable}
import json as _json, os as _os, sys as _sys
with open(_os.path.join(_os.path.dirname(_os.path.abspath(_sys.argv[0])), {_CALLS!r}), "a") as _calls:
    _calls.write(_json.dumps([_os.path.basename(_sys.argv[0]), *_sys.argv[1:]]) + "\\n")
"""


class FakeTools:
    """A folder of fake tools, placed first on PATH.

    Example, a tool that prints one number::

        def test_reads_what_the_tool_prints(fake_tools):
            fake_tools.place("area-of", "print(1234)")
            ...
            assert fake_tools.calls() == [["area-of", "--part", "xcvu9p"]]

    Args:
        folder: folder of the tools; created if necessary.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def place(self, name: str, code: str, folder: Path | None = None) -> Path:
        """Create the tool ``name`` from a Python program; its calls are recorded.

        Args:
            code: run as a script by this interpreter.
            folder: instead of the folder on PATH.
        """
        path = (folder or self.folder) / name
        # The docstring and future imports must remain at the top of the executed code.
        body = f"{_PREAMBLE}exec(compile({code!r}, {name!r}, 'exec'))\n"
        path.write_text(body, encoding="utf-8")
        path.chmod(0o755)
        return path

    def vendor(self, *names: str, folder: Path | None = None) -> None:
        """Create fakes of AMD's tools, which check their project and write reports with fixed numbers.

        The environment variable ``FAKE_VENDOR_MODE`` makes them fail; see
        :mod:`hwnas_hls.testing.fake_vendor`.

        Args:
            names: members of :data:`VENDOR_TOOLS`; default all.
        """
        code = resources.files("hwnas_hls.testing").joinpath("fake_vendor.py").read_text(encoding="utf-8")
        for name in names or VENDOR_TOOLS:
            self.place(name, code, folder)

    def calls(self) -> list[list[str]]:
        """All calls so far; the first item is the name of the tool."""
        path = self.folder / _CALLS
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def put_on_path(self, environment: pytest.MonkeyPatch) -> None:
        """Put the folder first on PATH, and unset the variables that point to installed vendor tools."""
        environment.setenv("PATH", str(self.folder), prepend=os.pathsep)
        for name in _HOMES:
            environment.delenv(name, raising=False)
