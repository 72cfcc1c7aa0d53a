"""Designs whose input features or neurons have random types of their own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwnas_hls.network.architecture import Architecture, Dense
from hwnas_hls.network.design import Design, Preprocessing
from hwnas_hls.network.features import FeatureTypes
from hwnas_hls.network.precision import FixedType

DA = "distributed_arithmetic"


def random_features(kind: FixedType, count: int, rng: np.random.Generator) -> FeatureTypes:
    """Any slice of the bits of ``kind``, or none; the first whole, the second unread, the third one bit."""
    found: list[FixedType | None] = [kind.plain, None, FixedType(1, kind.integer, kind.signed)]
    for _ in range(count - len(found)):
        width = int(rng.integers(0, kind.width + 1))
        high = int(rng.integers(0, kind.width - width + 1))
        found.append(FixedType(width, kind.integer - high, kind.signed) if width else None)
    return tuple(found[:count])


def featured(
    source: str = "fixed<6,2>",
    shape: Sequence[int] = (7, 5, 4, 3),
    seed: int = 0,
    *,
    bias: bool = True,
    results: str = "ufixed<4,2,RND,SAT>",
    activation: str = "relu",
    neurons: bool = False,
) -> Design:
    """Random weights, and random types of all features; with ``neurons``, of all hidden neurons, too."""
    rng = np.random.default_rng(seed)
    kind, weight = FixedType.parse(source), FixedType(5, 1)
    layers, weights, biases = [], [], []
    for number, (n_in, n_out) in enumerate(itertools.pairwise(shape)):
        last = number == len(shape) - 2
        result = None if last else FixedType.parse(results)
        wide = FixedType(7, 3) if bias else None
        layers.append(
            Dense(n_in, n_out, "linear" if last else activation, weight, wide, None, result, strategy=DA)
        )
        values = rng.integers(weight.lowest, weight.highest + 1, (n_in, n_out))
        weights.append(values * (rng.random((n_in, n_out)) < 0.7))
        biases.append(rng.integers(-30, 30, n_out) if bias else None)
    scaling = Preprocessing(rng.normal(size=shape[0]), rng.uniform(0.5, 2.0, shape[0]))
    architecture = Architecture(kind, tuple(layers))
    features = random_features(kind, shape[0], rng)
    design = Design(architecture, tuple(weights), tuple(biases), scaling, features=features)
    return narrowed(design, seed) if neurons else design


def narrowed(design: Design, seed: int = 0) -> Design:
    """The design with random types of all hidden neurons."""
    rng = np.random.default_rng(seed)
    layers = design.architecture.chain[:-1]
    own = tuple(
        _allowed(random_features(layer.result, layer.n_out, rng), layer.result)
        for layer in layers
        if layer.result is not None
    )
    return replace(design, neurons=own)


def _allowed(types: FeatureTypes, result: FixedType) -> FeatureTypes:
    """One bit with a sign cannot saturate symmetrically: its result is 0 instead."""
    symmetric = result.overflow == "SAT_SYM"
    return tuple(
        None if symmetric and own is not None and own.signed and own.width == 1 else own for own in types
    )


SOURCES = ("fixed<6,2>", "fixed<5,0>", "fixed<4,4>", "ufixed<5,2>", "fixed<3,-1>")
#: Result types of hidden layers with other modes, a sign, a grid finer than the sums, and their activation.
RESULTS = (
    ("ufixed<4,2,RND,SAT>", "relu"),
    ("ufixed<4,1>", "relu"),
    ("fixed<5,3,RND,SAT_SYM>", "linear"),
    ("fixed<5,2,TRN,SAT>", "linear"),
    ("ufixed<9,1,RND,SAT>", "relu"),
)
