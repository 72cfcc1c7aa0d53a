"""Designs whose input features have random types of their own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

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
    source: str = "fixed<6,2>", shape: Sequence[int] = (7, 5, 4, 3), seed: int = 0, *, bias: bool = True
) -> Design:
    """Random weights, and random types of all features."""
    rng = np.random.default_rng(seed)
    kind, weight = FixedType.parse(source), FixedType(5, 1)
    layers, weights, biases = [], [], []
    for number, (n_in, n_out) in enumerate(itertools.pairwise(shape)):
        last = number == len(shape) - 2
        result = None if last else FixedType.parse("ufixed<4,2,RND,SAT>")
        wide = FixedType(7, 3) if bias else None
        layers.append(
            Dense(n_in, n_out, "linear" if last else "relu", weight, wide, None, result, strategy=DA)
        )
        values = rng.integers(weight.lowest, weight.highest + 1, (n_in, n_out))
        weights.append(values * (rng.random((n_in, n_out)) < 0.7))
        biases.append(rng.integers(-30, 30, n_out) if bias else None)
    scaling = Preprocessing(rng.normal(size=shape[0]), rng.uniform(0.5, 2.0, shape[0]))
    architecture = Architecture(kind, tuple(layers))
    features = random_features(kind, shape[0], rng)
    return Design(architecture, tuple(weights), tuple(biases), scaling, features=features)


SOURCES = ("fixed<6,2>", "fixed<5,0>", "fixed<4,4>", "ufixed<5,2>", "fixed<3,-1>")
