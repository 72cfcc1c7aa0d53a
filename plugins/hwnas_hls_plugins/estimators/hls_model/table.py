"""Designs as arrays, one entry per layer or per design: the laws compute all designs at once."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwnas_hls.hls4ml.query import STAGES, LayerQuery, Query
from hwnas_hls.network.precision import FixedType
from hwnas_hls.network.reuse import nearest_legal
from hwnas_hls_plugins.estimators.feature_bits import digit_price
from hwnas_hls_plugins.estimators.hls_model.conditions import Conditions, DesignArrays, design_arrays
from hwnas_hls_plugins.estimators.hls_model.constants import (
    LEVELS,
    MAX_BITS,
    ConstantCost,
    constant_cost,
    csd_weight,
)
from hwnas_hls_plugins.estimators.hls_model.layer_arrays import LayerArrays
from hwnas_hls_plugins.estimators.hls_model.prior import (
    ALONE,
    EXPECTED,
    FEW,
    OWN,
    UNPRUNED,
    WIDE,
    WIDE_BITS,
    BlindLayers,
    WeightPrior,
    expected_costs,
)

FloatArray = NDArray[np.float64]

LATENCY, RESOURCE, DISTRIBUTED, UNROLLED = 0, 1, 2, 3
ACTIVATION_CODES = {
    "linear": 0,
    "relu": 1,
    "softmax": 2,
    "sigmoid": 3,
    "tanh": 3,
    "hard_sigmoid": 4,
    "hard_tanh": 4,
    "leaky_relu": 5,
    "prelu": 4,
    "thresholded_relu": 5,
    "elu": 6,
    "selu": 6,
    "softplus": 3,
    "softsign": 3,
    "binary_tanh": 4,
    "ternary_tanh": 4,
}
#: Spellings of strategies that hls4ml builds as asked; every other becomes ``Latency``.
STRATEGY_NAMES = (
    "latency",
    "resource",
    "compressed",
    "distributed_arithmetic",
    "da",
    "resource_unrolled",
    "resourceunrolled",
)
BLIND, COUNTED, WEIGHTS = 0, 1, 2
KNOWLEDGE = ("architecture only", "non-zeros known", "weights known")


def strategy_code(layer: LayerQuery) -> int:
    """The strategy that hls4ml really builds: an unknown spelling becomes ``Latency``."""
    return strategy_code_of(layer.strategy, layer.reuse_factor == 1)


@functools.lru_cache(maxsize=1024)
def strategy_code_of(strategy: str, whole: bool) -> int:
    """The code of a spelling; ``whole``: at reuse factor 1."""
    name = strategy.strip().lower()
    if name in ("resource", "compressed"):
        return RESOURCE
    if name in ("distributed_arithmetic", "da"):
        return DISTRIBUTED
    if name in ("resource_unrolled", "resourceunrolled"):
        return RESOURCE if whole else UNROLLED
    return LATENCY


@dataclass(frozen=True, slots=True, eq=False)
class DesignTable:
    """Designs as arrays.

    Attributes:
        layer: of the layers of all designs.
        owner: (layers,) index of each layer's design, ascending.
        design: of the designs.
        conditions: that designs are built under, each once.
        condition: (designs,) index of each design's conditions.
        queries: what was asked, in order; empty in a block.
    """

    layer: LayerArrays
    owner: NDArray[np.int64]
    design: DesignArrays
    conditions: Sequence[Conditions]
    condition: NDArray[np.int64]
    queries: Sequence[Query] = ()

    @property
    def count(self) -> int:
        """Number of designs."""
        return self.condition.size

    def of_layers(self, values: FloatArray) -> FloatArray:
        """An array of designs, (designs,), with one entry per layer, (layers,)."""
        return values[self.owner]

    def total(self, values: FloatArray) -> FloatArray:
        """Sum over each design of an array of layers, (layers,) -> (designs,)."""
        sums = np.bincount(self.owner, weights=values, minlength=self.count)
        out: FloatArray = sums.astype(np.float64, copy=False)
        return out

    def largest(self, values: FloatArray | NDArray[np.bool_]) -> FloatArray:
        """Maximum over each design of an array of layers, at least 0; 0 for a design without layers."""
        out = np.zeros(self.count)
        if self.owner.size:
            starts = np.flatnonzero(np.diff(self.owner, prepend=-1))
            out[self.owner[starts]] = np.maximum(np.maximum.reduceat(values, starts), 0.0)
        return out

    def at_stage(self, stage: str) -> DesignTable:
        """The same designs, reported at another stage."""
        conditions = tuple(replace(each, stage=stage) for each in self.conditions)
        stages = np.full(self.count, float(STAGES.index(stage)))
        return replace(self, conditions=conditions, design=replace(self.design, stage=stages))

    def with_layers(self, rows: NDArray[np.int64]) -> DesignTable:
        """The same designs with some of their layers only."""
        if rows.size == self.owner.size:
            return self
        return replace(self, layer=self.layer.at(rows), owner=self.owner[rows])

    def blocks(self, designs: int) -> Iterator[DesignTable]:
        """Tables of so many designs each, without their queries; arrays are views."""
        for first in range(0, self.count, designs):
            last = min(first + designs, self.count)
            left, right = (int(row) for row in np.searchsorted(self.owner, (first, last)))
            yield DesignTable(
                self.layer.at(slice(left, right)),
                self.owner[left:right] - first,
                DesignArrays(
                    *(getattr(self.design, name)[first:last] for name in DesignArrays.__dataclass_fields__)
                ),
                self.conditions,
                self.condition[first:last],
            )


#: Layers that are worked out together: their arrays stay in a core's cache.
_BLOCK_LAYERS = 8192
#: The types of a layer, by the prefixes of :class:`LayerArrays`.
_TYPES = ("in", "w", "acc", "out", "result")
#: What a query decides of a layer besides its types, in order; ``known_nonzeros`` is NaN where unknown.
_SETTINGS = (
    "n_in",
    "n_out",
    "reuse",
    "legal_reuse",
    "strategy",
    "activation",
    "batch",
    "has_bias",
    "first",
    "last",
    "habit",
    "known_nonzeros",
    "knowledge",
    "to_dsp",
    "to_fabric",
)


def _type_arrays(kinds: Sequence[FixedType]) -> dict[str, FloatArray]:
    """The bits, fractional bits and modes of types, named as in :class:`LayerArrays`.

    Args:
        kinds: of all layers, each with one for each of :data:`_TYPES`.
    """
    # Equal types are mostly the same object, and identities are compared faster than types.
    identities = np.fromiter(map(id, kinds), np.int64, len(kinds))
    _, places, number = np.unique(identities, return_index=True, return_inverse=True)
    distinct = [kinds[place] for place in places.tolist()]
    facts = {
        "bits": [kind.width for kind in distinct],
        "fraction": [kind.fraction for kind in distinct],
        "modes": [(kind.rounding != "TRN") + (kind.overflow != "WRAP") for kind in distinct],
    }
    number = number.reshape(-1, len(_TYPES)).T
    return {
        f"{name}_{fact}": np.array(values, np.float64)[number[place]]
        for fact, values in facts.items()
        for place, name in enumerate(_TYPES)
    }


def _bits_read(
    features: Sequence[FixedType | None], weights: NDArray[np.int64], whole: FixedType, *, neurons: bool
) -> int:
    """Bits of features with types of their own: what the adder of a digit takes on average.

    Args:
        features: the types of the single values of the input.
        weights: of the layer, (n_in, n_out).
        whole: the type of the input.
        neurons: whether another layer gives it.
    """
    digits = csd_weight(weights).sum(axis=1)
    if not digits.any():
        return whole.width
    prices = np.array([digit_price(kind, whole, neuron=neurons) for kind in features])
    return max(1, round(float(digits @ prices / digits.sum()) - 1.0))


def tabulate(queries: Sequence[Query], prior: WeightPrior | None = None) -> DesignTable:
    """Arrays of all layers of all queries, weight statistics included.

    Args:
        prior: of unknown weights; ``None`` takes the one that ships.
    """
    rows: list[tuple[float, ...]] = []
    kinds: list[FixedType] = []
    bits_read: dict[int, int] = {}
    owner: list[int] = []
    exact: list[tuple[int, ConstantCost]] = []
    for number, query in enumerate(queries):
        count, habit = len(query.layers), habit_of(query.layers)
        for place, layer in enumerate(query.layers):
            source, weight = layer.input, layer.weight
            accum = layer.sum_type
            dense_out = layer.dense_out or accum
            result = layer.result or dense_out
            code = strategy_code(layer)
            legal = layer.reuse_factor
            if code in (RESOURCE, UNROLLED):
                legal = nearest_legal(layer.n_in, layer.n_out, "Resource", max(1, legal))
            knowledge = BLIND
            nonzeros = float("nan")
            if layer.weights is not None and max(source.width, weight.width) <= MAX_BITS:
                knowledge = WEIGHTS
                if code in (LATENCY, DISTRIBUTED, UNROLLED) or legal == 1:
                    exact.append(
                        (
                            len(rows),
                            constant_cost(
                                layer.weights, source, weight, accum, layer.biases, layer.bias is not None
                            ),
                        )
                    )
                nonzeros = float(np.count_nonzero(layer.weights))
            elif layer.n_nonzeros is not None:
                knowledge = COUNTED
                nonzeros = float(min(layer.n_nonzeros, layer.n_in * layer.n_out))
            if layer.features and layer.weights is not None:
                bits_read[len(rows)] = _bits_read(layer.features, layer.weights, source, neurons=place > 0)
            kinds += (source, weight, accum, dense_out, result)
            rows.append(
                (
                    layer.n_in,
                    layer.n_out,
                    layer.reuse_factor,
                    legal,
                    code,
                    ACTIVATION_CODES.get(layer.activation, 0),
                    layer.normalisation != "none",
                    layer.bias is not None,
                    place == 0,
                    place == count - 1,
                    UNPRUNED if layer.unpruned else habit,
                    nonzeros,
                    knowledge,
                    layer.multipliers == "dsp",
                    layer.multipliers == "fabric",
                )
            )
            owner.append(number)
    values = np.array(rows, np.float64).reshape(len(rows), len(_SETTINGS))
    asked = {name: values[:, place].copy() for place, name in enumerate(_SETTINGS)} | _type_arrays(kinds)
    for row, bits in bits_read.items():
        asked["in_bits"][row] = bits
    costs, live = _expected(asked, prior)
    for row, cost in exact:
        for name in EXPECTED:
            costs[name][row] = getattr(cost, name)
        live[row] = cost.live_bits
    known: dict[Conditions, int] = {}
    condition = np.array([known.setdefault(Conditions.of(query), len(known)) for query in queries], np.int64)
    owners = np.array(owner, np.int64)
    n_layers = np.bincount(owners, minlength=condition.size)
    design = design_arrays(tuple(known), condition, n_layers)
    found = asked | costs | {"live_bits": live}
    arrays = LayerArrays(**{name: found[name] for name in LayerArrays.__dataclass_fields__})
    return DesignTable(arrays, owners, design, tuple(known), condition, queries)


def habit_of(layers: Sequence[LayerQuery]) -> int:
    """How a design's weights are typed, a place in ``HABITS``."""
    if len(layers) <= 1:
        return ALONE
    # The first question is answered fastest, and mostly with no.
    if (
        all(layer.bias is not None and layer.bias == layer.accum for layer in layers)
        and len({layer.weight for layer in layers}) > 1
        and len({layer.accum for layer in layers}) > 1
    ):
        return OWN
    return FEW if min(layer.weight.width for layer in layers) < WIDE_BITS else WIDE


def _expected(
    asked: dict[str, FloatArray], prior: WeightPrior | None
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Expected cost of the constants: name -> (layers,), and the live bits, (layers, LEVELS)."""
    size = asked["n_in"].size
    # Where multipliers are shared, weights lie in memory, and what they are costs nothing.
    unrolled = np.flatnonzero((asked["strategy"] != RESOURCE) | (asked["legal_reuse"] <= 1))
    costs, live = {name: np.zeros(size) for name in EXPECTED}, np.zeros((LEVELS, size)).T
    for first in range(0, unrolled.size, _BLOCK_LAYERS):
        rows = unrolled[first : first + _BLOCK_LAYERS]
        c = {name: values[rows] for name, values in asked.items()}
        found, live[rows] = expected_costs(
            BlindLayers(
                n_in=c["n_in"],
                n_out=c["n_out"],
                source_bits=c["in_bits"],
                weight_bits=c["w_bits"],
                weight_fraction=c["w_fraction"],
                accum_bits=c["acc_bits"],
                shift=c["in_fraction"] + c["w_fraction"] - c["acc_fraction"],
                has_bias=c["has_bias"],
                last=c["last"],
                habit=c["habit"],
                nonzeros=c["known_nonzeros"],
            ),
            prior,
        )
        for name, values in found.items():
            costs[name][rows] = values
    return costs, live


__all__ = ["LEVELS", "DesignTable", "LayerArrays", "habit_of", "strategy_code", "tabulate"]
