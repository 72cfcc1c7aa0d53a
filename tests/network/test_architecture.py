"""Architectures: widths that fit, a JSON form that comes back, and what spaces may return."""

from __future__ import annotations

import pytest
from refusal import refused

from hwnas_hls.errors import ErrorKind
from hwnas_hls.network.architecture import Architecture, Dense, Merge, as_architecture
from hwnas_hls.network.precision import FixedType

EIGHT = FixedType(8, 3)
RELU = FixedType(6, 2, False, "RND", "SAT")
LAYERS = (
    Dense(16, 8, "relu", FixedType(4, 1), EIGHT, result=RELU, reuse_factor=4, strategy="Resource"),
    Dense(8, 5, "linear", FixedType(4, 1), None, sparsity=0.5),
)
NETWORK = Architecture(EIGHT, LAYERS, 5.0)


def test_json_form_round_trips() -> None:
    assert Architecture.from_json(NETWORK.to_json()) == NETWORK
    assert NETWORK.shape == "16-8-5"


def test_widths_must_fit() -> None:
    with refused(ErrorKind.MISMATCH, mentions=["layer 0", 8, "layer 1", 9]):
        Architecture(EIGHT, (LAYERS[0], Dense(9, 5, "linear", EIGHT, None)))


def test_the_exact_accumulator_holds_the_worst_case() -> None:
    accum = LAYERS[1].exact_accum(RELU)
    largest = 8 * (2**6 - 1) * 2**3  # eight products of the largest input and the largest weight
    assert accum.fraction == RELU.fraction + 3
    assert accum.highest >= largest > accum.highest / 4


@pytest.mark.parametrize("form", ["itself", "json", "layers", "dictionaries"])
def test_space_may_return_an_architecture_its_json_form_or_layers(form: str) -> None:
    value = {
        "itself": NETWORK,
        "json": NETWORK.to_json(),
        "layers": list(LAYERS),
        "dictionaries": [layer.to_json() for layer in LAYERS],
    }[form]
    built = as_architecture(value)
    assert built.layers == LAYERS
    if form in ("itself", "json"):
        assert built == NETWORK
    else:
        assert str(built.input) == "ap_fixed<16,6>"


@pytest.mark.parametrize("value", [None, 3, "16-8-5", [1, 2]])
def test_other_return_values_are_refused(value: object) -> None:
    with refused(ErrorKind.WRONG_FORMAT, found=type(value).__name__):
        as_architecture(value)


def test_unknown_kinds_and_choices_are_named() -> None:
    data = NETWORK.to_json()
    data["layers"][0]["kind"] = "conv"
    with refused(ErrorKind.UNKNOWN_NAME, where="layer 0", found="conv"):
        Architecture.from_json(data)
    with refused(ErrorKind.UNKNOWN_NAME, found="Resorce", near="Resource"):
        Dense(2, 2, "relu", EIGHT, None, strategy="Resorce")


def test_a_chain_that_names_its_inputs_is_a_chain() -> None:
    eight = FixedType(8, 3)
    first, second = (Dense(4, 4, "relu", eight, eight, inputs=(k - 1,)) for k in range(2))
    named = Architecture(eight, (first, second))
    assert named.is_chain
    assert named.chain == (first, second)
    skipping = Architecture(eight, (first, second, Merge("add", (4, 4), (0, 1))))
    assert not skipping.is_chain
