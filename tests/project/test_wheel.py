"""What is shipped: every template, target and calibration file of the checkout is in the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from places import ROOT


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("folder", ["templates", "hw_targets"])
def test_data_files_are_all_there(shipped: set[str], folder: str) -> None:
    held = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
    assert held
    assert {f"hwnas_hls/_data/{name}" for name in held} <= shipped


def test_wheel_contains_exactly_the_code(shipped: set[str]) -> None:
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hwnas_hls").rglob("*.py")}
    plugins = ROOT / "plugins"
    code |= {path.relative_to(plugins).as_posix() for path in plugins.rglob("*.py")}
    assert code <= shipped
    tops = {name.split("/")[0] for name in shipped}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"hwnas_hls", "hwnas_hls_plugins"}
    assert "hwnas_hls/py.typed" in shipped
