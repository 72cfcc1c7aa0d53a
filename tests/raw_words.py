"""Designs that take raw words of several types and scale them in their first layer."""

from __future__ import annotations

import dataclasses

import numpy as np
from feature_types import featured
from numpy.typing import NDArray

from hwnas_hls.network.architecture import Dense
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.input_words import InputScaling, chosen_scaling
from hwnas_hls.network.precision import FixedType
from hwnas_hls.network.scaling import scaled_design

#: A pedestal, a heavy tail, signed times, a flag, a fixed-point number, a constant, a signed byte.
WORDS = tuple(
    FixedType.parse(text)
    for text in (
        "ap_uint<12>",
        "ap_uint<16>",
        "ap_int<10>",
        "ap_uint<1>",
        "ufixed<9,6>",
        "ap_uint<3>",
        "ap_int<8>",
    )
)


def raw_rows(count: int = 600, seed: int = 7) -> NDArray[np.float64]:
    """Rows of words, their ends among them."""
    rng = np.random.default_rng(seed)
    columns = [
        1000 + 15 * rng.normal(size=count),
        40 * np.exp(1.5 * rng.normal(size=count)),
        60 * rng.normal(size=count) - 12,
        rng.random(count),
        10 + 3 * rng.normal(size=count),
        np.full(count, 5.0),
        rng.integers(-128, 128, count),
    ]
    rows = np.zeros((count, len(WORDS)))
    for place, (word, column) in enumerate(zip(WORDS, columns, strict=True)):
        steps = np.clip(np.round(column * 2.0**word.fraction), word.lowest, word.highest)
        steps[:2] = (word.lowest, word.highest) if place != 5 else 5
        rows[:, place] = steps * 2.0**-word.fraction
    return rows


def standardised_design(*, unread: bool = False, strategy: str = "") -> Design:
    """The network alone, from standardised features."""
    given = featured("fixed<6,3>", seed=2)
    layers = given.architecture.layers
    if strategy:
        layers = tuple(
            dataclasses.replace(layer, strategy=strategy) for layer in layers if isinstance(layer, Dense)
        )
    weights = list(given.weights)
    if unread and weights[0] is not None:
        weights[0] = weights[0] * (np.arange(len(WORDS)) != 2)[:, None]
    return Design(
        dataclasses.replace(given.architecture, layers=layers),
        tuple(weights),
        given.biases,
        Preprocessing(*scaling().standardisation, tuple("abcdefg")),
        ("x", "y", "z"),
    )


def scaling() -> InputScaling:
    return chosen_scaling(WORDS, raw_rows())


def raw_design(*, unread: bool = False, strategy: str = "") -> Design:
    """The same network from raw words."""
    return scaled_design(standardised_design(unread=unread, strategy=strategy), scaling())
