"""A design in Python: predictions from raw features, and the same network in torch."""

from __future__ import annotations

import numpy as np
import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind, Unsupported
from hwnas_hls.network import emulator
from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.precision import OVERFLOWS, ROUNDINGS, FixedType

FEATURES = ("pt", "eta", "phi", "mass")


def chain(seed: int, **meta: object) -> Design:
    """A chain of three layers with random types and modes, and inputs far from standard."""
    rng = np.random.default_rng(seed)
    widths = [4, 5, 6, 3]
    layers, weights, biases = [], [], []
    for number in range(3):
        weight, bias = FixedType(6, 2), FixedType(8, 3)
        modes = str(rng.choice(ROUNDINGS)), str(rng.choice(OVERFLOWS))
        activation = ("relu", "leaky_relu", "linear")[number]
        result = FixedType(7, 3, activation != "relu", *modes) if number < 2 else None
        shape = widths[number], widths[number + 1]
        layers.append(Dense(*shape, activation, weight, bias, result=result))
        weights.append(rng.integers(weight.lowest, weight.highest + 1, shape))
        biases.append(rng.integers(bias.lowest, bias.highest + 1, shape[1]))
    scaling = Preprocessing(np.array([1e3, 0, -2, 5e-3]), np.array([1e2, 1.5, 0.1, 1e-3]), FEATURES)
    architecture = Architecture(FixedType(7, 3), tuple(layers))
    return Design(architecture, tuple(weights), tuple(biases), scaling, ("a", "b", "c"), meta)


def raw(rows: int = 300) -> np.ndarray:
    standard = np.random.default_rng(1).normal(0, 3, (rows, 4))
    return standard * np.array([1e2, 1.5, 0.1, 1e-3]) + np.array([1e3, 0, -2, 5e-3])


@pytest.mark.parametrize("seed", range(8))
def test_torch_equals_the_hardware_to_the_bit(seed: int) -> None:
    torch = pytest.importorskip("torch")
    design, x = chain(seed), raw()
    module = design.to_torch()
    with torch.no_grad():
        found = module(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(found, emulator.outputs(design, x))
    np.testing.assert_array_equal(design.predict(x), found.argmax(axis=1))
    assert len(np.unique(found[:, 0])) > 20


def test_gradients_pass_the_rounding() -> None:
    torch = pytest.importorskip("torch")
    module = chain(0).to_torch()
    module(torch.from_numpy(raw(20))).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
    assert module.dense2.weight.grad.abs().sum() > 0
    assert module.dense0.weight.grad.abs().sum() > 0


def test_frame_columns_are_read_by_name() -> None:
    pandas = pytest.importorskip("pandas")
    design, x = chain(0), raw()
    frame = pandas.DataFrame(x, columns=FEATURES)
    frame["weight"] = 1.0
    mixed = frame[["weight", "mass", "phi", "eta", "pt"]]
    np.testing.assert_array_equal(design.outputs(mixed), design.outputs(x))
    with refused(ErrorKind.MISSING, mentions=["eta"]):
        design.predict(frame.drop(columns="eta"))


@pytest.mark.parametrize("shape", [(4,), (3, 5), (2, 3, 4)])
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with refused(ErrorKind.MISMATCH, mentions=["4 features"]):
        chain(0).predict(np.zeros(shape))


def test_a_regression_is_in_the_unit_of_its_targets() -> None:
    design = chain(0, target_mean=[1.0, 2.0, 3.0], target_scale=[10.0, 0.1, 1.0])
    design = Design(design.architecture, design.weights, design.biases, design.preprocessing, (), design.meta)
    x = raw(5)
    wanted = emulator.outputs(design, x) * [10.0, 0.1, 1.0] + [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(design.predict(x), wanted)


def test_an_accumulator_that_rounds_has_no_torch_form() -> None:
    pytest.importorskip("torch")
    kind = FixedType(6, 2)
    layer = Dense(4, 2, "linear", kind, None, accum=FixedType(8, 4))
    design = Design(Architecture(FixedType(7, 3), (layer,)), (np.ones((4, 2), np.int64),), (None,))
    with refused(ErrorKind.INEXACT, Unsupported):
        design.to_torch()
