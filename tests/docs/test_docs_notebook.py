"""The notebook of the documentation runs from top to bottom, as printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def test_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for number, code in enumerate(codes):
        exec(compile(code, f"<cell {number}>", "exec"), space)  # noqa: S102
    assert space["run"].finished
    assert space["accuracy"] == pytest.approx(space["member"].estimates["accuracy"].value, abs=1e-12)
    assert space["same"]
    assert len(space["snapshot"].records) == len(space["run"].records)


def test_it_holds_no_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
