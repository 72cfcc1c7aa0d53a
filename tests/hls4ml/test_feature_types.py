"""Types of single features and neurons in hls4ml projects: real g++ gives the emulator's bits."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from feature_types import RESULTS, SOURCES, featured
from parts import XCVU9P
from raw_words import raw_design, raw_rows

from hwnas_hls.evidence.matching import differences
from hwnas_hls.hls4ml.folder import read_folder
from hwnas_hls.hls4ml.project import verify, write_project
from hwnas_hls.hls4ml.query import query_of
from hwnas_hls.hls4ml.written import read_written
from hwnas_hls.network.design import Design

#: Features and neurons that are whole, unread, of one bit and of random bits. The time of g++ grows with the
#: values, so only some designs have a layer between two hidden ones.
SHORT, LONG = (4, 4, 2), (5, 4, 3, 2)

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ on this machine"),
    pytest.mark.skipif(importlib.util.find_spec("da4ml") is None, reason="da4ml is not installed"),
]


def test_c_simulation_gives_the_emulators_bits(tmp_path: Path) -> None:
    """Random rows over the whole input type: bits that are not read are set, too."""
    verified(featured(SOURCES[0], LONG, seed=3), tmp_path)


def test_design_without_features_is_built(tmp_path: Path) -> None:
    design = replace(featured(shape=SHORT, seed=5), features=(None,) * 4)
    folder = write_project(design, XCVU9P, tmp_path / "project", clock_ns=5.0)
    found = verify(design, folder, np.zeros((2, 4)), n_grid_rows=50)
    assert found.exact, str(found)


@pytest.mark.parametrize(
    ("source", "results", "activation", "shape"),
    [
        (source, results, activation, SHORT if place % 2 else LONG)
        for place, (source, (results, activation)) in enumerate(
            zip((*SOURCES, SOURCES[0]), (*RESULTS, ("fixed<6,3,RND,SAT>", "leaky_relu")), strict=True)
        )
    ],
)
def test_c_simulation_rounds_and_limits_neurons_as_the_emulator_does(
    source: str, results: str, activation: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """Each project compiles for seconds, so each has another input type and another type of its neurons."""
    verified(featured(source, shape, 1, results=results, activation=activation, neurons=True), tmp_path)


def verified(design: Design, folder: Path) -> None:
    """Write, read and simulate a project; casts are part of the next layer's adders, no stages."""
    folder = write_project(design, XCVU9P, folder / "project", clock_ns=5.0)
    written = read_written(folder)
    assert written.input == design.architecture.input
    *hidden, last = design.architecture.chain
    kinds = [["dense"] if layer.activation == "linear" else ["dense", layer.activation] for layer in hidden]
    assert [layer.kind for layer in written.layers] == [*itertools.chain(*kinds), "dense"]
    assert last.activation == "linear"
    code = (folder / "firmware" / "nnet_utils" / "nnet_code_gen.h").read_text()
    for number, own in enumerate(design.features):
        if own is not None and design.weights[0][number].any():
            assert f"<{own.width}, {own.integer}, AP_TRN, AP_WRAP> model_inp_q_{number} =" in code
    raw = np.random.default_rng(4).normal(size=(100, design.architecture.n_in))
    found = verify(design, folder, raw, n_grid_rows=300)
    assert found.exact, str(found)


def test_a_project_is_known_by_the_types_of_its_neurons(tmp_path: Path) -> None:
    design = featured(seed=1, neurons=True)
    # Values without bits have no weights, as in every design of a search.
    read = [[own is not None for own in design.own_inputs(number) or [True] * 7] for number in range(3)]
    weights = tuple(
        weight * np.array(one)[:, None] for weight, one in zip(design.chain_weights, read, strict=True)
    )
    design = replace(design, weights=weights)
    folder = write_project(design, XCVU9P, tmp_path / "project", clock_ns=5.0)
    there = read_folder(folder)
    assert not there.reasons
    for asked, same in ((design, True), (replace(design, neurons=()), False)):
        query = query_of(asked.architecture, XCVU9P.part, 5.0, design=asked)
        assert (differences(query, there) == []) is same
    assert [layer.features for layer in there.layers[1:]] == list(design.neurons)


@pytest.mark.parametrize("strategy", ["", "Latency"])
def test_c_simulation_scales_raw_words_as_the_emulator_does(strategy: str, tmp_path: Path) -> None:
    design = raw_design(unread=True, strategy=strategy)
    folder = write_project(design, XCVU9P, tmp_path / "project", clock_ns=5.0)
    found = verify(design, folder, raw_rows(200, seed=3), n_grid_rows=200)
    assert found.exact, str(found)
