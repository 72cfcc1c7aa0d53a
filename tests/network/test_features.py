"""Types of single features and neurons: what they may be, what the host gives, what the circuit takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from feature_types import DA, RESULTS, SOURCES, featured, narrowed
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture, Dense, Merge
from hwnas_hls.network.design import Design
from hwnas_hls.network.emulator import emulate, input_integers, output_fraction
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


@pytest.mark.parametrize(("results", "activation"), RESULTS)
def test_neurons_are_rounded_and_limited_once(results: str, activation: str) -> None:
    """Against real arithmetic, layer by layer; and the torch form says the same."""
    torch = pytest.importorskip("torch")
    design = featured(results=results, activation=activation, seed=1, neurons=True)
    kind = design.architecture.input
    rows = np.random.default_rng(2).integers(kind.lowest, kind.highest + 1, (300, 7))
    values = cast(design.features, kind, rows) * 2.0**-kind.fraction
    for number, layer in enumerate(design.architecture.chain):
        weight, bias = design.weights[number], design.biases[number]
        assert weight is not None
        assert bias is not None
        assert layer.bias is not None
        sums = values @ (weight * 2.0**-layer.weight.fraction) + bias * 2.0**-layer.bias.fraction
        values = np.maximum(sums, 0.0) if layer.activation == "relu" else sums
        for neuron, own in enumerate(design.own_results(number)):
            assert layer.result is not None
            if own is None:
                values[:, neuron] = 0.0
                continue
            moded = replace(own, rounding=layer.result.rounding, overflow=layer.result.overflow)
            values[:, neuron] = moded.integers(values[:, neuron]) * 2.0**-own.fraction
    assert np.array_equal(emulate(design, rows) * 2.0 ** -output_fraction(design), values)
    bare = replace(design, neurons=())
    assert not np.array_equal(emulate(bare, rows) * 2.0 ** -output_fraction(bare), values)
    raw = np.random.default_rng(3).normal(size=(50, 7))
    found = design.to_torch()(torch.from_numpy(raw)).detach().numpy()
    assert np.array_equal(found, design.outputs(raw))


def test_stored_designs_keep_neuron_types(tmp_path: Path) -> None:
    design = featured(neurons=True)
    design.save(tmp_path)
    for again in (Design.load(tmp_path), Design.from_bytes(design.to_bytes())):
        assert again.neurons == design.neurons
        assert again.digest() == design.digest()
    bare = replace(design, neurons=())
    whole = replace(design, neurons=tuple((layer.result.plain,) * layer.n_out for layer in hidden(design)))
    assert whole.neurons == ()
    assert whole.digest() == bare.digest() != design.digest()
    bare.save(tmp_path)
    # A design that was written before neurons had types.
    assert "neuron_types" not in json.loads((tmp_path / "design.json").read_text())
    assert Design.load(tmp_path).neurons == ()


def hidden(design: Design) -> tuple[Dense, ...]:
    return design.architecture.chain[:-1]


def test_accumulators_are_as_narrow_as_the_neurons_allow() -> None:
    design = featured()
    one_bit = replace(
        design, neurons=tuple((FixedType(1, 2, False),) * layer.n_out for layer in hidden(design))
    )
    for number in (1, 2):
        assert one_bit.layer_types()[number][1].width < design.layer_types()[number][1].width


def test_neuron_types_that_cannot_be_are_refused() -> None:
    design = featured()
    first, second = ((layer.result.plain,) * layer.n_out for layer in hidden(design) if layer.result)
    for wrong in ("ufixed<5,2>", "ufixed<4,3>", "fixed<3,2>", "ufixed<3,2,RND,SAT>"):
        with refused(ErrorKind.INVALID, mentions=["layer 1"]):
            replace(design, neurons=(first, (FixedType.parse(wrong), *second[1:])))
    with refused(ErrorKind.MISMATCH, found=3):
        replace(design, neurons=(first, second[1:]))
    with refused(ErrorKind.MISMATCH, found=1):
        replace(design, neurons=(first,))
    layers = (replace(design.architecture.chain[0], result=None), *design.architecture.chain[1:])
    exact = replace(design.architecture, layers=layers)
    with refused(ErrorKind.CONFLICT, mentions=["layer 0"]):
        replace(design, architecture=exact, neurons=((FixedType(2, 2),) * 5, ()))
    latency = tuple(replace(layer, strategy="Latency") for layer in design.architecture.chain)
    with refused(ErrorKind.CONFLICT, mentions=["distributed_arithmetic"]):
        narrowed(replace(design, architecture=replace(design.architecture, layers=latency), features=()))


def test_one_bit_with_a_sign_has_no_symmetrical_saturation() -> None:
    """Its symmetrical range is zero alone, but the vendor's type saturates to -1."""
    with refused(ErrorKind.INVALID):
        FixedType.parse("fixed<1,1,RND,SAT_SYM>")
    design = featured(results="fixed<5,3,RND,SAT_SYM>", activation="linear", seed=1, neurons=False)
    own = [(None,) * layer.n_out for layer in hidden(design)]
    assert replace(design, neurons=tuple(own)).neurons
    own[0] = (FixedType.parse("fixed<1,3>"), *own[0][1:])
    with refused(ErrorKind.INVALID):
        replace(design, neurons=tuple(own))
