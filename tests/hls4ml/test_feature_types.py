"""Types of single features in hls4ml projects: real g++ gives the emulator's bits."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from feature_types import SOURCES, featured
from parts import XCVU9P
from raw_words import raw_design, raw_rows

from hwnas_hls.hls4ml.project import verify, write_project
from hwnas_hls.hls4ml.written import read_written
from hwnas_hls.network.precision import FixedType

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine"),
    pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed"),
]


@pytest.mark.parametrize("source", SOURCES)
def test_c_simulation_gives_the_emulators_bits(source: str, tmp_path: Path) -> None:
    """Random rows over the whole input type: bits that are not read are set, too."""
    design = featured(source, seed=3)
    folder = write_project(design, XCVU9P, tmp_path / "project", clock_ns=5.0)
    written = read_written(folder)
    assert written.input == FixedType.parse(source)
    assert [layer.kind for layer in written.layers] == ["dense", "relu", "dense", "relu", "dense"]
    code = (folder / "firmware" / "nnet_utils" / "nnet_code_gen.h").read_text()
    for number, own in enumerate(design.features):
        if own is not None and design.weights[0][number].any():
            assert f"<{own.width}, {own.integer}, AP_TRN, AP_WRAP> model_inp_q_{number} =" in code
    raw = np.random.default_rng(4).normal(size=(100, 7))
    found = verify(design, folder, raw, n_grid_rows=300)
    assert found.exact, str(found)


def test_design_without_features_is_built(tmp_path: Path) -> None:
    design = replace(featured(seed=5), features=(None,) * 7)
    folder = write_project(design, XCVU9P, tmp_path / "project", clock_ns=5.0)
    found = verify(design, folder, np.zeros((2, 7)), n_grid_rows=50)
    assert found.exact, str(found)


@pytest.mark.parametrize("strategy", ["", "Latency"])
def test_c_simulation_scales_raw_words_as_the_emulator_does(strategy: str, tmp_path: Path) -> None:
    design = raw_design(unread=True, strategy=strategy)
    folder = write_project(design, XCVU9P, tmp_path / "project", clock_ns=5.0)
    found = verify(design, folder, raw_rows(200, seed=3), n_grid_rows=200)
    assert found.exact, str(found)
