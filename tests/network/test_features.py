"""Types of single input features: what they may be, what the host hands over, what the circuit takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feature_types import DA, SOURCES, featured
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture, Dense, Merge
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, input_integers
from hwnas_hls.network.features import bits_read, cast, ends
from hwnas_hls.network.precision import FixedType


@pytest.mark.parametrize("source", SOURCES)
def test_cast_keeps_numbers_prepared_by_host(source: str) -> None:
    design = featured(source)
    raw = np.random.default_rng(1).normal(size=(500, 7)) * 3
    rows = input_integers(design, raw)
    kind = design.architecture.input
    assert np.array_equal(cast(design.features, kind, rows), rows)
    assert design.preprocessing is not None
    scaled = design.preprocessing(raw)
    for number, own in enumerate(design.features):
        if own is None:
            assert not rows[:, number].any()
            continue
        step = 2.0**-own.fraction
        nearest = np.clip(np.floor(scaled[:, number] / step + 0.5), own.lowest, own.highest)
        assert np.array_equal(rows[:, number] * 2.0**-kind.fraction, nearest * step)


@pytest.mark.parametrize("source", SOURCES)
def test_unread_bits_change_nothing(source: str) -> None:
    design = featured(source)
    kind = design.architecture.input
    rng = np.random.default_rng(2)
    rows = rng.integers(kind.lowest, kind.highest + 1, (400, 7))
    low, high = ends(design.features, kind, 7)
    taken = cast(design.features, kind, rows)
    assert (taken >= low).all()
    assert (taken <= high).all()
    assert np.array_equal(emulate(design, rows), emulate(design, taken))
    # The same network without types of its own gives the same on what was cast.
    bare = Design(design.architecture, design.weights, design.biases)
    shift = design.layer_types()[-1][1].fraction - bare.layer_types()[-1][1].fraction
    assert shift == 0
    assert np.array_equal(emulate(design, rows), emulate(bare, taken))
    assert bits_read(design.features, kind, 7) < bits_read((), kind, 7)


def test_accumulators_are_as_narrow_as_the_features_allow() -> None:
    design = featured()
    bare = Design(design.architecture, design.weights, design.biases)
    assert design.layer_types()[0][1].width <= bare.layer_types()[0][1].width
    nothing = Design(design.architecture, design.weights, design.biases, features=(None,) * 7)
    assert nothing.layer_types()[0][1].width < bare.layer_types()[0][1].width
    assert len(np.unique(emulate(nothing, np.arange(70).reshape(10, 7) % 8), axis=0)) == 1


def test_stored_designs_keep_feature_types(tmp_path: Path) -> None:
    design = featured()
    design.save(tmp_path)
    assert Design.load(tmp_path).features == design.features
    assert Design.load(tmp_path).digest() == design.digest()
    assert Design.from_bytes(design.to_bytes()).features == design.features
    bare = Design(design.architecture, design.weights, design.biases)
    whole = Design(
        design.architecture, design.weights, design.biases, features=(design.architecture.input,) * 7
    )
    assert whole.features == ()
    assert whole.digest() == bare.digest() != design.digest()
    text = (tmp_path / "design.json").read_text()
    (tmp_path / "design.json").write_text(text.replace("ap_fixed<1,2>", "ap_fixed<1,1>"))
    with refused(ErrorKind.DAMAGED):
        Design.load(tmp_path)


def test_types_that_cannot_be_are_refused() -> None:
    design = featured()
    parts = design.architecture, design.weights, design.biases
    for wrong in ("fixed<7,2>", "fixed<6,3>", "ufixed<5,2>", "fixed<5,2,RND,SAT>"):
        with refused(ErrorKind.INVALID, mentions=["feature 3"]):
            Design(*parts, features=(*design.features[:3], FixedType.parse(wrong), *design.features[4:]))
    with refused(ErrorKind.MISMATCH, found=6):
        Design(*parts, features=design.features[:6])


def test_other_networks_have_none() -> None:
    design = featured()
    first, *rest = design.architecture.layers
    assert isinstance(first, Dense)
    latency = Dense(7, 5, "relu", first.weight, first.bias, None, first.result)
    other = Architecture(design.architecture.input, (latency, *rest))
    assert not other.allows_feature_types
    with refused(ErrorKind.CONFLICT, mentions=["distributed_arithmetic"]):
        Design(other, design.weights, design.biases, features=design.features)
    layers = (
        Dense(4, 4, "relu", FixedType(4, 1), None, None, None, strategy=DA),
        Merge("add", (4, 4), (0, -1)),
    )
    assert not Architecture(FixedType(5, 2), layers).allows_feature_types
